#ifndef KERNELS_CONV_2D_GEMM_H
#define KERNELS_CONV_2D_GEMM_H

#include "rows.h"

struct conv_2d_gemm {
    int32_t input_height, input_width, input_channels;
    int32_t output_width, output_channels; /* after pooling */
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t pad_top, pad_left;
    int32_t pool_height, pool_width; /* maximum of so many outputs; 1 and 1: none */
    int32_t input_zero, output_zero;
    int32_t ceiling; /* of all channels, where `ceilings` is null */
    int32_t half_up; /* whether no floor lies below the output's zero point: see conv_2d_gemm.S */
    int32_t wide;    /* whether weights are int16 */
    int32_t scaled;  /* whether they and the starts of sums are scaled, so that all shifts are the same */
    int32_t widened; /* whether rows are widened before windows are laid from them */
    int32_t pair_bytes; /* of the weights of two channels */
    const void *weights; /* records as in conv_2d_gemm.S */
    const int8_t *ceilings;
};

/* scratch: 36 bytes for every 4 values beneath a window; or 32, and the widened rows beneath two rows of windows */
void conv_2d_gemm_cortex_m4(const struct conv_2d_gemm *p, const struct feature_map *x, const struct feature_map *y,
                            void *scratch, int32_t first, int32_t count);

#endif
