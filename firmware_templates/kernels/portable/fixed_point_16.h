/* Sigmoid and tanh on 16 bits: gemmlowp's fixedpoint.h for int16. Numbers are held in int32 and stay within 16 bits. */
#ifndef KERNELS_FIXED_POINT_16_H
#define KERNELS_FIXED_POINT_16_H

#include <stdint.h>

#include "fixed_point.h"

#define SHORT_LOWEST  (-32768)
#define SHORT_HIGHEST 32767

static inline int32_t clamp_short(int32_t x)
{
    return clamp(x, SHORT_LOWEST, SHORT_HIGHEST);
}

/* a * b / 2^15, ties away from zero. */
static inline int32_t short_product(int32_t a, int32_t b)
{
    int32_t ab = a * b;

    return smaller((ab + (ab >= 0 ? 1 << 14 : 1 - (1 << 14))) / (1 << 15), SHORT_HIGHEST);
}

/* x * 2^exponent, saturating. */
static inline int32_t short_scaled_up(int32_t x, int32_t exponent)
{
    return clamp_short(x * (1 << exponent));
}

/* exp(x) with 15 fractional bits, of x <= 0 with 15 - integer_bits; 1 <= integer_bits <= 7. */
static inline int32_t short_exp(int32_t x, int32_t integer_bits)
{
    static const int16_t powers[] = {25520, 19875, 12055, 4435, 600, 11, 0}; /* exp(-1/4), exp(-1/2), ... */
    const int32_t at_one_eighth = 28918, one_third = 10923;
    int32_t fraction_bits = 15 - integer_bits, quarter = 1 << (fraction_bits - 2);
    int32_t rest = (x & (quarter - 1)) - quarter, whole = rest - x;
    /* A Taylor series around -1/8 for the part in [-1/4, 0), and a factor for each bit of what is left. */
    int32_t z = short_scaled_up(rest, integer_bits) + (1 << 12);
    int32_t z2 = short_product(z, z), z3 = short_product(z2, z), z4 = short_product(z2, z2);
    int32_t series = z + divide_by_power_of_two(
        short_product(divide_by_power_of_two(z4, 2) + z3, one_third) + z2, 1);
    int32_t found = smaller(at_one_eighth + short_product(series, at_one_eighth), SHORT_HIGHEST);

    if (x == 0)
        return SHORT_HIGHEST;
    for (int32_t bit = -2; bit < integer_bits && bit <= 4; bit++)
        if (whole >> (fraction_bits + bit) & 1)
            found = short_product(found, powers[bit + 2]);
    return integer_bits > 5 && x < -(1 << (20 - integer_bits)) ? 0 : found;
}

/* 2 / (1 + a) with 13 fractional bits, of a in [0, 1) with 15: a line, and three of Newton's steps. */
static inline int32_t short_reciprocal(int32_t a)
{
    int32_t half = (a + SHORT_HIGHEST + 1) >> 1;
    int32_t found = 23130 + short_product(half, -15420);

    for (int32_t i = 0; i < 3; i++)
        found += short_scaled_up(short_product(found, (1 << 13) - short_product(half, found)), 2);
    return found;
}

/* -|x|, within 16 bits. */
static inline int32_t short_negative(int32_t x)
{
    return x < 0 ? x : -x;
}

/* 1 / (1 + exp(-x)) with 15 fractional bits, of x with 12. */
static inline int32_t short_logistic(int32_t x)
{
    int32_t large = short_scaled_up(short_reciprocal(short_exp(short_negative(x), 3)), 1);

    return x == 0 ? 1 << 14 : x > 0 ? large : SHORT_HIGHEST - large;
}

/* tanh(x) with 15 fractional bits, of x with 15 - integer_bits; 0 <= integer_bits <= 6. */
static inline int32_t short_tanh(int32_t x, int32_t integer_bits)
{
    int32_t exponential = short_exp(short_negative(x), integer_bits + 1); /* of 2 x */
    int32_t large = short_scaled_up(short_reciprocal(exponential) - (1 << 13), 2);

    return x == 0 ? 0 : x > 0 ? large : -large;
}

#endif
