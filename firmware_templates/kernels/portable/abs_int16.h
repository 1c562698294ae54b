#ifndef KERNELS_ABS_INT16_H
#define KERNELS_ABS_INT16_H

#include <stdint.h>

struct abs_int16 {
    int32_t count;
    int32_t multiplier, shift;
};

/* x and y may be the same array. */
void abs_int16_portable(const struct abs_int16 *p, const int16_t *x, int16_t *y);

#endif
