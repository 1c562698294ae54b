#ifndef KERNELS_QUANTIZE_INT16_H
#define KERNELS_QUANTIZE_INT16_H

#include <stdint.h>

struct quantize_int16 {
    int32_t count;
    int32_t zero;
    float scale;
};

void quantize_int16_portable(const struct quantize_int16 *p, const float *x, int16_t *y);

#endif
