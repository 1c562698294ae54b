#ifndef KERNELS_REDUCE_MAX_H
#define KERNELS_REDUCE_MAX_H

#include <stdint.h>

struct reduce_max {
    int32_t outer, count, inner;
};

/* x (outer, count, inner), y (outer, inner) */
void reduce_max_portable(const struct reduce_max *p, const int8_t *x, int8_t *y);

#endif
