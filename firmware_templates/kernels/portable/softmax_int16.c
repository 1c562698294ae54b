/* SOFTMAX of int16: y = exp(x - max) / sum exp(x - max), in units of 2^-15
 *
 * Exponential and reciprocal are read between the entries of tables (TFLite, reference/softmax.h).
 */
#include "softmax_int16.h"

#include "fixed_point.h"

/* The line between two entries, 128 steps apart. */
static int32_t between(const int16_t *table, int32_t value)
{
    const int16_t *entry = table + 256 + (value >> 7);

    return *entry + (((entry[1] - entry[0]) * (value & 127) + 64) >> 7);
}

static int32_t exponential(const struct softmax_int16 *p, int32_t difference)
{
    int32_t scaled = rescale(difference, p->multiplier, p->shift) + INT16_MAX;

    return between(p->exponential, clamp(scaled, INT16_MIN, INT16_MAX));
}

void softmax_int16_portable(const struct softmax_int16 *p, const int16_t *x, int16_t *y)
{
    for (int32_t row = 0; row < p->rows; row++, x += p->depth, y += p->depth) {
        int32_t best = INT16_MIN, sum = 0, headroom = 0, fraction, reciprocal;

        for (int32_t i = 0; i < p->depth; i++)
            best = larger(best, x[i]);
        for (int32_t i = 0; i < p->depth; i++) {
            y[i] = (int16_t)exponential(p, x[i] - best);
            sum += y[i];
        }
        while (!((uint32_t)sum << headroom >> 30))
            headroom++;
        /* sum * 2^headroom is in [1, 2) with 30 fractional bits; what is above 1, with 16. */
        fraction = (int32_t)((((uint32_t)sum << headroom) + (1u << 13)) >> 14) - (1 << 16);
        reciprocal = between(p->reciprocal, smaller(fraction - (1 << 15), INT16_MAX));
        for (int32_t i = 0; i < p->depth; i++) {
            int32_t share = (y[i] * reciprocal + (1 << (29 - headroom))) >> (30 - headroom);

            y[i] = (int16_t)clamp(share, 0, INT16_MAX);
        }
    }
}
