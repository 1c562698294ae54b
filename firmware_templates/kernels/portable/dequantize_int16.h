#ifndef KERNELS_DEQUANTIZE_INT16_H
#define KERNELS_DEQUANTIZE_INT16_H

#include <stdint.h>

struct dequantize_int16 {
    int32_t count;
    int32_t zero;
    float scale;
};

void dequantize_int16_portable(const struct dequantize_int16 *p, const int16_t *x, float *y);

#endif
