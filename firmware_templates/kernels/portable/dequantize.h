#ifndef KERNELS_DEQUANTIZE_H
#define KERNELS_DEQUANTIZE_H

#include <stdint.h>

struct dequantize {
    int32_t count;
    int32_t zero;
    float scale;
};

void dequantize_portable(const struct dequantize *p, const int8_t *x, float *y);

#endif
