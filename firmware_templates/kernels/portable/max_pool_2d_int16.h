#ifndef KERNELS_MAX_POOL_2D_INT16_H
#define KERNELS_MAX_POOL_2D_INT16_H

#include <stdint.h>

struct max_pool_2d_int16 {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t window_height, window_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t minimum, maximum;
};

/* x (height, width, channels), y (height, width, channels) */
void max_pool_2d_int16_portable(const struct max_pool_2d_int16 *p, const int16_t *x, int16_t *y);

#endif
