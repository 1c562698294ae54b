#ifndef KERNELS_DEPTHWISE_CONV_2D_TAPS_H
#define KERNELS_DEPTHWISE_CONV_2D_TAPS_H

#include "rows.h"

struct depthwise_conv_2d_taps {
    int32_t input_height, input_width, input_channels;
    int32_t output_width, output_channels; /* after pooling; a multiple of input_channels */
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t pad_top, pad_left;
    int32_t pool_height, pool_width; /* maximum of so many outputs; 1 and 1: none */
    int32_t input_zero;
    const int32_t *filters; /* of each four channels; the last four overlap those before where some are missing */
    const int8_t *clamps;   /* of each such four, as uint8: 127 - ceiling + floor + 128, then floor + 128; null where
                             * no output is clamped but to [-128, 127] */
};

void depthwise_conv_2d_taps_cortex_m4(const struct depthwise_conv_2d_taps *p, const struct feature_map *x,
                                      const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
