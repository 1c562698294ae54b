#ifndef KERNELS_PAD_H
#define KERNELS_PAD_H

#include <stdint.h>

struct pad {
    int32_t height, width, channels; /* of x; a channel is a byte, so that an int16 has two */
    int32_t top, bottom;
    int32_t left, right;
    int32_t front, back; /* channels before and after */
    int32_t value;
};

void pad_portable(const struct pad *p, const void *x, void *y);

#endif
