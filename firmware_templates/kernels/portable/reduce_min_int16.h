#ifndef KERNELS_REDUCE_MIN_INT16_H
#define KERNELS_REDUCE_MIN_INT16_H

#include <stdint.h>

struct reduce_min_int16 {
    int32_t outer, count, inner;
};

/* x (outer, count, inner), y (outer, inner) */
void reduce_min_int16_portable(const struct reduce_min_int16 *p, const int16_t *x, int16_t *y);

#endif
