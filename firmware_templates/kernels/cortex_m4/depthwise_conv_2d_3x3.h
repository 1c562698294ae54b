#ifndef KERNELS_DEPTHWISE_CONV_2D_3X3_H
#define KERNELS_DEPTHWISE_CONV_2D_3X3_H

#include "rows.h"

/* Of one channel. Behind those of all channels lie, a byte for each, what does not fill a word: weight number 8, line
 * by line; then of all channels the exponent e, or 128 + shift to the right, with e = 1. */
struct depthwise_conv_2d_3x3_filter {
    int32_t start;               /* (bias - input zero point * sum of the weights), times 2^e */
    int32_t multiplier;
    int8_t weights[8];           /* numbers 0 1 3 4, 6 2 7 5 */
};

struct depthwise_conv_2d_3x3 {
    int32_t input_height, input_width, channels;
    int32_t output_width;
    int32_t stride;              /* in both directions: 1 or 2 */
    int32_t pad_top, pad_left;
    int32_t input_zero, output_zero;
    int32_t rows_at_once;        /* scratch is there for so many output rows */
    int32_t down;                /* 1: lines are columns of the whole map, and the windows in `filters` transposed */
    const int32_t *filters;      /* struct depthwise_conv_2d_3x3_filter of each channel, then the bytes */
    const int8_t *clamps;        /* by channel, as uint8: 127 - ceiling + floor + 128, then floor + 128 of each
                                  * channel; null where no output is clamped but to [-128, 127] */
};

void depthwise_conv_2d_3x3_cortex_m4(const struct depthwise_conv_2d_3x3 *p, const struct feature_map *x,
                                     const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
