#ifndef KERNELS_PAD_H
#define KERNELS_PAD_H

#include <stdint.h>

struct pad {
    int32_t height, width, channels; /* of x */
    int32_t top, bottom;
    int32_t left, right;
    int32_t front, back; /* channels before and after */
    int32_t value;
};

void pad_portable(const struct pad *p, const int8_t *x, int8_t *y);

#endif
