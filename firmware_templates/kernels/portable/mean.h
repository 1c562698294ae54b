#ifndef KERNELS_MEAN_H
#define KERNELS_MEAN_H

#include <stdint.h>

/* 1 / count is part of the multiplier. */
struct mean {
    int32_t outer, count, inner;
    int32_t input_zero, output_zero;
    int32_t multiplier, shift;
};

/* x (outer, count, inner), y (outer, inner) */
void mean_portable(const struct mean *p, const int8_t *x, int8_t *y);

#endif
