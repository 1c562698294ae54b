/* Fixed-point arithmetic of TFLite's int8 kernels.
 *
 * The same integers as gemmlowp's fixedpoint.h and TFLite's common.cc. Callers keep |x| * 2^shift below 2^30,
 * and |x| below 2^31 - 1 where shift < 0 (checked when the model is read), so that nothing can overflow.
 * A right shift of a negative number is arithmetic in every compiler this is meant for.
 */
#ifndef KERNELS_FIXED_POINT_H
#define KERNELS_FIXED_POINT_H

#include <stdint.h>

static inline int32_t clamp(int32_t x, int32_t minimum, int32_t maximum)
{
    return x < minimum ? minimum : x > maximum ? maximum : x;
}

static inline int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Upper half of 2*a*b, ties rounded up. Not for a = b = INT32_MIN. */
static inline int32_t doubling_high_product(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* x / 2^exponent, ties rounded away from zero; 1 <= exponent <= 31. */
static inline int32_t divide_by_power_of_two(int32_t x, int32_t exponent)
{
    return (((x - (x < 0)) >> (exponent - 1)) + 1) >> 1;
}

/* x * multiplier * 2^(shift - 31), rounded after the product and again after a shift to the right. */
static inline int32_t rescale(int32_t x, int32_t multiplier, int32_t shift)
{
    int32_t product = doubling_high_product(x * (1 << larger(shift, 0)), multiplier);

    return shift < 0 ? divide_by_power_of_two(product, -shift) : product;
}

/* x * (multiplier + residue / 2^32) * 2^(shift - 31), rounded once, ties away from zero; shift <= 30. */
static inline int32_t rescale_once(int32_t x, int32_t multiplier, int32_t residue, int32_t shift)
{
    int32_t total = 31 - shift;
    int64_t product = (int64_t)x * multiplier + (((int64_t)x * residue) >> 32);

    return (int32_t)((product + ((int64_t)1 << (total - 1)) - (product < 0)) >> total);
}

#endif
