#ifndef KERNELS_TRANSPOSE_CONV_GEMM_H
#define KERNELS_TRANSPOSE_CONV_GEMM_H

#include "conv_2d_gemm.h"

/* Of the outputs in a row, every stride_x-th: those that the same taps meet. */
struct transpose_conv_gemm_columns {
    int32_t first, count;
    int32_t start;            /* bytes from the begin of a widened row to what lies beneath the first of them */
    int32_t words, left_over; /* in a row of taps: words of two values, and whether there is a value more */
};

struct transpose_conv_gemm {
    int32_t input_height, input_width, input_channels;
    int32_t output_channels;
    int32_t kernel_height; /* no less than the stride: taps that are not there are zeros */
    int32_t stride_y, stride_x;
    int32_t pad_top;  /* rows of the full result that are left out */
    int32_t pad_left; /* columns of padding before a widened row */
    int32_t slot_bytes; /* of a widened row */
    int32_t input_zero, output_zero;
    int32_t floor, ceiling; /* the floor is -128 where it is in the records */
    int32_t steps;          /* of the phase with the most taps */
    int32_t pair_bytes, step_bytes; /* of the weights of two channels: besides their steps, and of each step */
    conv_2d_gemm_products *multiply;
    conv_2d_gemm_products *multiply_two;
    conv_2d_gemm_rescaling *store;
    const void *columns;   /* struct transpose_conv_gemm_columns[stride_x] */
    const int32_t *phases; /* [stride_y][stride_x]: where each phase's weights begin, in bytes */
    const void *weights;   /* records as in conv_2d_gemm.S, phase by phase */
    const void *scales;    /* of all phases; null where they are in the records */
};

/* scratch: 16 bytes for each step, and behind them as many widened rows as a phase has taps in a column at most */
void transpose_conv_gemm_cortex_m4(const struct transpose_conv_gemm *p, const struct feature_map *x,
                                   const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
