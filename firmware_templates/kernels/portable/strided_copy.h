#ifndef KERNELS_STRIDED_COPY_H
#define KERNELS_STRIDED_COPY_H

#include <stdint.h>

#define STRIDED_COPY_LOOPS 6

/* Nested loops over the outputs, outermost first; steps are in elements of x, and may be negative or 0. */
struct strided_copy {
    int32_t loops; /* 1 to STRIDED_COPY_LOOPS */
    int32_t start; /* the element of x that comes first */
    const int32_t *counts;
    const int32_t *steps;
};

void strided_copy_portable(const struct strided_copy *p, const int8_t *x, int8_t *y);

#endif
