/* MEAN along neighbouring axes: channels, as a layer normalization wants it, or any others.
 *
 * Words are added up as they lie, bytes 0 and 2 in the lanes of one register, 1 and 3 in those of another: two instructions
 * for four elements. Where the last axis goes, the four sums are those of one output, else of four outputs side by side.
 * A lane holds 2^15, so 255 elements; then it goes into a sum of 32 bits.
 */
#include "mean_axes.h"

#include "../portable/fixed_point.h"
#include "dsp.h"

#define MOST_IN_A_LANE 255
#define INLINE static inline __attribute__((always_inline))

/* Sums of bytes 0 and 2, of bytes 1 and 3. */
struct lanes {
    uint32_t even, odd;
};

/* Of up to 255 words, `step` bytes from one to the next. */
INLINE struct lanes lanes_of(const int8_t *x, int32_t words, int32_t step)
{
    struct lanes sums = {0, 0};

    for (; words > 0; words--, x += step) {
        uint32_t four = load_word(x);

        sums.even = sxtab16(sums.even, four);
        sums.odd = sxtab16_high(sums.odd, four);
    }
    return sums;
}

/* The two roundings of the reference, as SMMLAR has them. */
INLINE int8_t mean_of(const struct mean_axes *p, int32_t sum)
{
    int32_t twice = (int32_t)((uint32_t)(sum - p->zeros) << (p->left + 1));
    int32_t round = p->right ? (1 << (p->right - 1)) + (twice >> 31) : 0;

    return (int8_t)ssat8((smmlar(twice, p->multiplier, round) >> p->right) + p->output_zero);
}

RAMCODE static void means_along(const struct mean_axes *p, const int8_t *x, int8_t *y)
{
    const struct mean_axes own = *p;

    for (int32_t outer = own.outer; outer > 0; outer--) {
        int32_t sum = 0;

        for (int32_t words = own.count >> 2, run; words > 0; words -= run, x += 4 * run) {
            run = smaller(words, MOST_IN_A_LANE);

            struct lanes sums = lanes_of(x, run, 4);

            sum = smlad(sums.even, 0x00010001, smlad(sums.odd, 0x00010001, sum));
        }
        for (int32_t rest = own.count & 3; rest > 0; rest--)
            sum += *x++;
        *y++ = mean_of(&own, sum);
    }
}

/* Of one map (count, inner). */
RAMCODE static void means_across(const struct mean_axes *p, const int8_t *x, int8_t *y)
{
    const struct mean_axes own = *p;
    int32_t columns = own.inner;

    for (; columns >= 4; columns -= 4, x += 4) {
        const int8_t *from = x;
        int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;

        for (int32_t words = own.count, run; words > 0; words -= run, from += run * own.inner) {
            run = smaller(words, MOST_IN_A_LANE);

            struct lanes sums = lanes_of(from, run, own.inner);

            sum0 += (int16_t)sums.even;
            sum1 += (int16_t)sums.odd;
            sum2 += (int32_t)sums.even >> 16;
            sum3 += (int32_t)sums.odd >> 16;
        }
        *y++ = mean_of(&own, sum0);
        *y++ = mean_of(&own, sum1);
        *y++ = mean_of(&own, sum2);
        *y++ = mean_of(&own, sum3);
    }
    for (; columns > 0; columns--, x++) {
        const int8_t *value = x;
        int32_t sum = 0;

        for (int32_t left = own.count; left > 0; left--, value += own.inner)
            sum += *value;
        *y++ = mean_of(&own, sum);
    }
}

RAMCODE void mean_axes_cortex_m4(const struct mean_axes *p, const struct feature_map *x, const struct feature_map *y,
                                 void *scratch, int32_t first, int32_t count)
{
    (void)scratch;
    (void)first;
    (void)count;
    if (p->inner == 1)
        means_along(p, x->data, y->data);
    else
        for (int32_t outer = 0; outer < p->outer; outer++)
            means_across(p, x->data + outer * p->count * p->inner, y->data + outer * p->inner);
}
