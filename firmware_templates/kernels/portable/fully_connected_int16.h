#ifndef KERNELS_FULLY_CONNECTED_INT16_H
#define KERNELS_FULLY_CONNECTED_INT16_H

#include <stdint.h>

struct fully_connected_int16 {
    int32_t rows, inputs, outputs;
    int32_t minimum, maximum;
    int32_t factor_step; /* 1 where each output has a factor, 0 where all have one */
    const int64_t *bias;
    const double *factor;
};

/* x (row, input), w (output, input), y (row, output) */
void fully_connected_int16_portable(const struct fully_connected_int16 *p, const int16_t *x, const int8_t *w,
                                    int16_t *y);

#endif
