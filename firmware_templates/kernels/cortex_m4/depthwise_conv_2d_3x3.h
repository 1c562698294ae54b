#ifndef KERNELS_DEPTHWISE_CONV_2D_3X3_H
#define KERNELS_DEPTHWISE_CONV_2D_3X3_H

#include "rows.h"

/* Of one channel. */
struct depthwise_conv_2d_3x3_filter {
    int32_t start;               /* 2 * (bias - input zero point * sum of the weights) */
    int32_t multiplier;
    int8_t weights[9];           /* 0, 1, 3, 4, 2, 6, 5, 7, 8 of the window, row by row */
    uint8_t shift;               /* to the right, at least 1, less 1 */
    uint8_t floor, ceiling;      /* plus 128 */
};

struct depthwise_conv_2d_3x3 {
    int32_t input_height, input_width, channels;
    int32_t output_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t input_zero, output_zero;
    const int32_t *filters;      /* struct depthwise_conv_2d_3x3_filter of each channel */
};

void depthwise_conv_2d_3x3_cortex_m4(const struct depthwise_conv_2d_3x3 *p, const struct feature_map *x,
                                     const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
