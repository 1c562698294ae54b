/* The part of a window that lies inside its input, along one axis. */
#ifndef KERNELS_WINDOW_H
#define KERNELS_WINDOW_H

#include <stdint.h>

struct span {
    int32_t first; /* first tap inside */
    int32_t end;   /* one past the last tap inside; <= first where none is */
};

/* Taps first <= k < end with 0 <= origin + k * dilation < size, of a window of `taps` taps. */
static inline struct span taps_inside(int32_t origin, int32_t taps, int32_t dilation, int32_t size)
{
    struct span inside = {0, taps};

    if (origin < 0)
        inside.first = (dilation - 1 - origin) / dilation;
    if (origin + (taps - 1) * dilation >= size)
        inside.end = (size - origin + dilation - 1) / dilation;
    return inside;
}

#endif
