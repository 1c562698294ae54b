/* SOFTMAX: y = exp(x - max) / sum exp(x - max), in units of 1/256 from -128 on
 *
 * The exponentials come from a table with gemmlowp's integers; the rest is TFLite's reference/softmax.h.
 */
#include "softmax.h"

#include "fixed_point.h"

/* 48/17 and -32/17, the coefficients of Newton's first guess of a reciprocal, with two integer bits. */
#define GUESS_OFFSET 1515870810
#define GUESS_SLOPE (-1010580540)

/* 1 / (1 + fraction / 2^31) in units of 2^-31, by three Newton steps (gemmlowp's one_over_one_plus_x). */
static int32_t reciprocal_of_one_plus(uint32_t fraction)
{
    int32_t half_denominator = (int32_t)((fraction >> 1) + (1u << 30));
    int32_t guess = GUESS_OFFSET + doubling_high_product(half_denominator, GUESS_SLOPE);

    for (int32_t i = 0; i < 3; i++) {
        int32_t error = (1 << 29) - doubling_high_product(half_denominator, guess);

        guess += doubling_high_product(guess, error) * 4;
    }
    return guess >= 1 << 30 ? INT32_MAX : guess * 2;
}

/* x / 2^exponent to the nearest; x reaches INT32_MAX, so the sum is unsigned. */
static int32_t round_shift(int32_t x, int32_t exponent)
{
    return exponent > 31 ? 0 : (int32_t)(((uint32_t)x + (1u << (exponent - 1))) >> exponent);
}

static int32_t exponential(const struct softmax *p, int32_t difference)
{
    return difference < p->entries ? p->exponential[difference] : 0;
}

void softmax_portable(const struct softmax *p, const int8_t *x, int8_t *y)
{
    for (int32_t row = 0; row < p->rows; row++, x += p->depth, y += p->depth) {
        int32_t best = INT8_MIN, sum = 0, headroom = 0, scale;

        for (int32_t i = 0; i < p->depth; i++)
            best = larger(best, x[i]);
        for (int32_t i = 0; i < p->depth; i++)
            sum += round_shift(exponential(p, best - x[i]), 12);
        while (!((uint32_t)sum << headroom >> 31))
            headroom++;
        scale = reciprocal_of_one_plus(((uint32_t)sum << headroom) - (1u << 31));
        for (int32_t i = 0; i < p->depth; i++) {
            int32_t share = doubling_high_product(scale, exponential(p, best - x[i]));

            y[i] = (int8_t)smaller(round_shift(share, 12 - headroom + 31 - 8) - 128, 127);
        }
    }
}
