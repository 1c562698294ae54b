/* The sigmoid between the entries of a table, as TFLite's int16 LOGISTIC and TANH read it. */
#ifndef KERNELS_SIGMOID_INT16_H
#define KERNELS_SIGMOID_INT16_H

#include <stdint.h>

#include "fixed_point.h"

/* x * multiplier / 2^shift, ties up. */
static inline int32_t scaled(int32_t x, int32_t multiplier, int32_t shift)
{
    return (x * multiplier + (shift ? 1 << (shift - 1) : 0)) >> shift;
}

/* Of a number that is not negative, with `bits` below a step of the table: as many below a unit of the result.
 * Beyond the table it is `saturated`. */
static inline int32_t sigmoid_between(const uint16_t *table, int32_t x, int32_t bits, int32_t saturated)
{
    int32_t step = x >> bits, rest = x & ((1 << bits) - 1);

    if (step >= 255)
        return saturated;
    return table[step] * (1 << bits) + rest * (table[step + 1] - table[step]);
}

#endif
