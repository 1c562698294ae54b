#ifndef KERNELS_LOGISTIC_INT16_H
#define KERNELS_LOGISTIC_INT16_H

#include <stdint.h>

struct logistic_int16 {
    int32_t count;
    int32_t multiplier, shift; /* bring an input to 1 / 12288: x * multiplier / 2^shift */
    const uint16_t *sigmoid;   /* [i]: of i / 24, in units of 2^-16; 256 entries */
};

/* x and y may be the same array. */
void logistic_int16_portable(const struct logistic_int16 *p, const int16_t *x, int16_t *y);

#endif
