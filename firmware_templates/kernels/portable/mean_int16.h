#ifndef KERNELS_MEAN_INT16_H
#define KERNELS_MEAN_INT16_H

#include <stdint.h>

/* 1 / count is part of the multiplier. */
struct mean_int16 {
    int32_t outer, count, inner;
    int32_t input_zero, output_zero;
    int32_t multiplier, shift;
};

/* x (outer, count, inner), y (outer, inner) */
void mean_int16_portable(const struct mean_int16 *p, const int16_t *x, int16_t *y);

#endif
