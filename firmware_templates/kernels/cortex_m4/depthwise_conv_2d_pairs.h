#ifndef KERNELS_DEPTHWISE_CONV_2D_PAIRS_H
#define KERNELS_DEPTHWISE_CONV_2D_PAIRS_H

#include "rows.h"

/* Weights of a channel become pairs, so many taps side by side at a time. */
typedef void depthwise_conv_2d_pairs_widening(void);
depthwise_conv_2d_pairs_widening depthwise_conv_2d_pairs_widen_1, depthwise_conv_2d_pairs_widen_2,
    depthwise_conv_2d_pairs_widen_3, depthwise_conv_2d_pairs_widen_4, depthwise_conv_2d_pairs_widen_5;

/* The outputs of a channel, by the words in a segment of the window and the words from an output to the next. */
typedef void depthwise_conv_2d_pairs_runs(void);
depthwise_conv_2d_pairs_runs depthwise_conv_2d_pairs_runs_1_1, depthwise_conv_2d_pairs_runs_2_1,
    depthwise_conv_2d_pairs_runs_3_1, depthwise_conv_2d_pairs_runs_4_1, depthwise_conv_2d_pairs_runs_5_1,
    depthwise_conv_2d_pairs_runs_1_2, depthwise_conv_2d_pairs_runs_2_2, depthwise_conv_2d_pairs_runs_3_2,
    depthwise_conv_2d_pairs_runs_4_2, depthwise_conv_2d_pairs_runs_5_2;

/* Of one channel. Behind those of all channels lie the weights of each, a byte a tap: those that a pair is made of are
 * in different rows; rows are filled up with zeros to whole segments. Then of each channel a byte, the exponent e, or
 * 128 + shift to the right, with e = 1. */
struct depthwise_conv_2d_pairs_filter {
    int32_t start;               /* (bias - input zero point * sum of the weights), times 2^e */
    int32_t multiplier;
};

struct depthwise_conv_2d_pairs {
    int32_t input_height, input_width, channels;
    int32_t output_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t input_zero, output_zero;
    int32_t rows_at_once;        /* scratch is there for so many output rows */
    int32_t down;                /* 1: lines are columns of the whole map, not rows */
    int32_t pairs_along;         /* 1: pairs lie along the lines, and windows are one line wide; 0: across */
    int32_t segment;             /* words */
    depthwise_conv_2d_pairs_widening *widen;
    depthwise_conv_2d_pairs_runs *runs;
    const int32_t *filters;      /* struct depthwise_conv_2d_pairs_filter of each channel, then the bytes */
    const int8_t *clamps;        /* by channel, as uint8: 127 - ceiling + floor + 128, then floor + 128 of each
                                  * channel; null where no output is clamped but to [-128, 127] */
};

void depthwise_conv_2d_pairs_cortex_m4(const struct depthwise_conv_2d_pairs *p, const struct feature_map *x,
                                       const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
