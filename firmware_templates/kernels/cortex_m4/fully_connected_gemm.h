#ifndef KERNELS_FULLY_CONNECTED_GEMM_H
#define KERNELS_FULLY_CONNECTED_GEMM_H

#include "conv_2d_gemm.h"

struct fully_connected_gemm {
    int32_t rows, inputs, outputs;
    int32_t output_zero;
    int32_t floor, ceiling; /* the floor is -128 where it is in the records */
    int32_t steps, pair_bytes; /* as in struct conv_2d_gemm, and what follows */
    conv_2d_gemm_products *multiply;
    conv_2d_gemm_products *multiply_two;
    conv_2d_gemm_rescaling *store;
    const void *weights;
};

/* x (rows, inputs), y (rows, outputs), whole, in any shape: all rows are made at once.
 * scratch: 36 bytes for every 4 inputs */
void fully_connected_gemm_cortex_m4(const struct fully_connected_gemm *p, const struct feature_map *x,
                                    const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
