/* FULLY_CONNECTED by Winograd's inner product of 1968, which makes two products of one multiplication:
 *
 *   w0 * x0 + w1 * x1 = (x1 + w0) * (x0 + w1) - x0 * x1 - w0 * w1
 *
 * Sums of two int8 fit 16 bits, so that four inputs and weights take three instructions, and the weights need no
 * widening of their own (fully_connected_pairs.S). The products of the inputs' pairs are the same for all outputs: one
 * sum for each row. Those of the weights' pairs are in the bias. Everything is exact modulo 2^32, and the sums that
 * remain fit 32 bits, which the operator makes sure of.
 *
 * x is widened in parts, so that scratch stays small: a word of four becomes the words (x1, x3) and (x0, x2). Where
 * there is more than one part, the sums wait in scratch until the next.
 */
#include "fully_connected_pairs.h"

#include "dsp.h"

#define UNROLLED 8
#define STEP_BYTES 56 /* of code, for one word of inputs */

/* What fully_connected_pairs.S works on. */
struct fully_connected_pairs_job {
    const uint32_t *x, *x_end;
    const int8_t *entry;  /* into the unrolled loop */
    const int8_t *next;   /* what becomes of a group's sums */
    int32_t pairs;        /* products of the inputs' pairs */
    const int32_t *from;  /* starting values of the groups */
    int32_t outputs;
    void *to;             /* y, or where sums wait for the next part */
    const int32_t *multiplier;
    int32_t multiplier_step;
    int32_t rounding, shift;
    int32_t above, base;
};

const int32_t *fully_connected_pairs_groups(const struct fully_connected_pairs_job *job, const int32_t *weights);
extern const int8_t fully_connected_pairs_end[], fully_connected_pairs_keep[], fully_connected_pairs_rescale[];

/* Widens `count` inputs, the last word filled up with zeros; the sum of the products of pairs. */
RAMCODE static int32_t widen(const int8_t *x, int32_t count, uint32_t *to)
{
    int32_t pairs = 0;

    for (; count > 0; count -= 4, x += 4, to += 2) {
        uint32_t four = 0;

        if (count >= 4)
            four = load_word(x);
        else
            for (int32_t i = 0; i < count; i++)
                four |= (uint32_t)(uint8_t)x[i] << 8 * i;
        to[0] = sxtb16_high(four);
        to[1] = sxtb16(four);
        pairs = smlad(to[0], to[1], pairs);
    }
    return pairs;
}

RAMCODE static void make_row(const struct fully_connected_pairs *p, const int8_t *x, int8_t *y, uint32_t *widened)
{
    int32_t *sums = (int32_t *)(widened + p->part / 2);
    const int32_t *weights = p->weights;
    struct fully_connected_pairs_job job = {
        .x = widened,
        .next = fully_connected_pairs_keep,
        .from = p->bias,
        .outputs = p->outputs,
        .to = sums,
        .multiplier = p->multiplier,
        .multiplier_step = p->multiplier_step,
        .rounding = p->rounding,
        .shift = p->shift,
        .above = p->above,
        .base = p->base,
    };

    for (int32_t left = p->inputs; left > 0; left -= p->part, x += p->part) {
        int32_t count = left, words;

        if (left > p->part) {
            count = p->part;
        } else {
            job.next = fully_connected_pairs_rescale;
            job.to = y;
        }
        words = (count + 3) / 4;
        job.pairs = widen(x, count, widened);
        job.x_end = widened + 2 * words;
        job.entry = fully_connected_pairs_end - ((words - 1) % UNROLLED + 1) * STEP_BYTES;
        weights = fully_connected_pairs_groups(&job, weights);
        job.from = sums;
    }
}

RAMCODE void fully_connected_pairs_cortex_m4(const struct fully_connected_pairs *p, const struct feature_map *x,
                                             const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    for (int32_t row = first; row < first + count; row++)
        make_row(p, row_of(x, row), row_of(y, row), scratch);
}
