#ifndef KERNELS_STRIDED_COPY_H
#define KERNELS_STRIDED_COPY_H

#include <stdint.h>

#define STRIDED_COPY_LOOPS 7

/* Nested loops over the bytes of the output, outermost first; steps are in bytes of x, and may be negative or 0. */
struct strided_copy {
    int32_t loops; /* 1 to STRIDED_COPY_LOOPS */
    int32_t start; /* the byte of x that comes first */
    const int32_t *counts;
    const int32_t *steps;
};

void strided_copy_portable(const struct strided_copy *p, const void *from, void *to);

#endif
