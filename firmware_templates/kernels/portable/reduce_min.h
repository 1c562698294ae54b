#ifndef KERNELS_REDUCE_MIN_H
#define KERNELS_REDUCE_MIN_H

#include <stdint.h>

struct reduce_min {
    int32_t outer, count, inner;
};

/* x (outer, count, inner), y (outer, inner) */
void reduce_min_portable(const struct reduce_min *p, const int8_t *x, int8_t *y);

#endif
