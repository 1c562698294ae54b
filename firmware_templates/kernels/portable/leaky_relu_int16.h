#ifndef KERNELS_LEAKY_RELU_INT16_H
#define KERNELS_LEAKY_RELU_INT16_H

#include <stdint.h>

struct leaky_relu_int16 {
    int32_t count;
    int32_t above_multiplier, above_shift; /* from 0 on */
    int32_t below_multiplier, below_shift;
};

/* x and y may be the same array. */
void leaky_relu_int16_portable(const struct leaky_relu_int16 *p, const int16_t *x, int16_t *y);

#endif
