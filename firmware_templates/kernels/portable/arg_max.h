#ifndef KERNELS_ARG_MAX_H
#define KERNELS_ARG_MAX_H

#include <stdint.h>

struct arg_max {
    int32_t outer, count, inner;
    int32_t flip;  /* -1 looks for the smallest instead, as the largest of its complements; else 0 */
    int32_t words; /* 32-bit words of an index */
};

/* x (outer, count, inner), y (outer, inner), int32_t or int64_t; the first of equals counts */
void arg_max_portable(const struct arg_max *p, const int8_t *x, void *y);

#endif
