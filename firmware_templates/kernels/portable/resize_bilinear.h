#ifndef KERNELS_RESIZE_BILINEAR_H
#define KERNELS_RESIZE_BILINEAR_H

#include <stdint.h>

/* For each row and column of y: the two of x between which it lies, and how far along, in units of 1/1024. */
struct resize_bilinear {
    int32_t height, width, channels; /* of y */
    int32_t row_pitch;               /* of x */
    const int16_t *upper, *lower, *down;
    const int16_t *left, *right, *across;
};

void resize_bilinear_portable(const struct resize_bilinear *p, const int8_t *x, int8_t *y);

#endif
