#ifndef KERNELS_REQUANTIZE_INT16_H
#define KERNELS_REQUANTIZE_INT16_H

#include <stdint.h>

struct requantize_int16 {
    int32_t count;
    int32_t input_bytes, output_bytes; /* of an element: 1 for int8_t and uint8_t, 2 for int16_t */
    int32_t input_flip;                /* 0x80 for uint8_t, 0 for the others */
    int32_t input_zero, output_zero;   /* of uint8_t, that of the int8_t with the other sign bit */
    int32_t multiplier, shift;
    int32_t minimum, maximum;
};

/* x is int8_t, uint8_t or int16_t, y int8_t or int16_t; they may be the same array where both are of one type. */
void requantize_int16_portable(const struct requantize_int16 *p, const void *x, void *y);

#endif
