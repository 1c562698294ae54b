/* Sums of products of int16 activations and int8 weights, and what becomes of them.
 *
 * A product takes 23 bits, so that sums take more than 32. TFLite multiplies them by 15 bits of the factor
 * (common.cc), rounded once, ties up. Callers keep |sum| below 2^47 and results within 32 bits (checked when
 * the model is read).
 */
#ifndef KERNELS_INT16_H
#define KERNELS_INT16_H

#include <stdint.h>

/* sum * multiplier * 2^(shift - 15); shift <= 14. */
static inline int32_t rescale_sum(int64_t sum, int32_t multiplier, int32_t shift)
{
    int32_t total = 15 - shift;

    return (int32_t)((sum * multiplier + ((int64_t)1 << (total - 1))) >> total);
}

/* Adds to sum[k] the products of `count` elements with each of two runs of weights: an element is loaded once. */
static inline void add_products_2(const int16_t *x, const int8_t *w0, const int8_t *w1, int32_t count, int64_t sum[2])
{
    int64_t sum0 = sum[0], sum1 = sum[1];

    for (int32_t i = 0; i < count; i++) {
        int32_t value = x[i];

        sum0 += (int64_t)w0[i] * value;
        sum1 += (int64_t)w1[i] * value;
    }
    sum[0] = sum0;
    sum[1] = sum1;
}

#endif
