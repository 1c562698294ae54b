#ifndef KERNELS_RESHAPE_H
#define KERNELS_RESHAPE_H

#include <stdint.h>

struct reshape {
    int32_t bytes;
};

/* x and y may be the same array; then nothing is done. */
void reshape_portable(const struct reshape *p, const void *x, void *y);

#endif
