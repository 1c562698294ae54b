#ifndef KERNELS_REQUANTIZE_H
#define KERNELS_REQUANTIZE_H

#include <stdint.h>

/* Zero points and bounds are those of int8; a uint8 is the int8 with the other sign bit. */
struct requantize {
    int32_t count;
    int32_t input_flip, output_flip; /* 0x80 for uint8, 0 for int8 */
    int32_t input_zero, output_zero;
    int32_t multiplier, shift;
    int32_t minimum, maximum;
};

/* x and y are bytes, int8_t or uint8_t; they may be the same array. */
void requantize_portable(const struct requantize *p, const void *x, void *y);

#endif
