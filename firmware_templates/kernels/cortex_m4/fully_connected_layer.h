/* The C half of a kernel of FULLY_CONNECTED, told by fully_connected.h. It is included once by each kernel, which
 * defines FULLY_CONNECTED(part), its name with something behind it, and of its assembly STEP_BYTES of code for one word
 * of inputs, UNROLLED such steps. */

/* The assembly half. */
void FULLY_CONNECTED(_groups)(const struct fully_connected_job *job, const int32_t *weights);
extern const int8_t FULLY_CONNECTED(_end)[]; /* of the unrolled loop */

/* One row of y from inputs as the assembly reads them, and the sum of the products of their pairs. */
RAMCODE static void make_row(const struct FULLY_CONNECTED() *p, const void *x, const void *x_end, int32_t pairs,
                             int8_t *y)
{
    int32_t words = (p->inputs + 3) / 4;
    struct fully_connected_job job = {
        .x = x,
        .x_end = x_end,
        .entry = FULLY_CONNECTED(_end) - ((words - 1) % UNROLLED + 1) * STEP_BYTES,
        .pairs = pairs,
        .bias = p->bias,
        .outputs = p->outputs,
        .y = y,
        .multiplier = p->multiplier,
        .multiplier_step = p->multiplier_step,
        .rounding = p->rounding,
        .shift = p->shift,
        .above = p->above,
        .base = p->base,
    };

    FULLY_CONNECTED(_groups)(&job, p->weights);
}
