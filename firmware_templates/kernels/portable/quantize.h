#ifndef KERNELS_QUANTIZE_H
#define KERNELS_QUANTIZE_H

#include <stdint.h>

struct quantize {
    int32_t count;
    int32_t zero;
    float scale;
};

void quantize_portable(const struct quantize *p, const float *x, int8_t *y);

#endif
