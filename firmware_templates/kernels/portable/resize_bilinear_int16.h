#ifndef KERNELS_RESIZE_BILINEAR_INT16_H
#define KERNELS_RESIZE_BILINEAR_INT16_H

#include <stdint.h>

/* For each row and column of y: the two of x between which it lies, and how far along, in units of 1/1024. */
struct resize_bilinear_int16 {
    int32_t height, width, channels; /* of y */
    int32_t row_pitch;               /* of x */
    const int16_t *upper, *lower, *down;
    const int16_t *left, *right, *across;
};

void resize_bilinear_int16_portable(const struct resize_bilinear_int16 *p, const int16_t *x, int16_t *y);

#endif
