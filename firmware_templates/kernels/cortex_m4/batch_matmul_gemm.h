#ifndef KERNELS_BATCH_MATMUL_GEMM_H
#define KERNELS_BATCH_MATMUL_GEMM_H

#include "conv_2d_gemm.h"

struct batch_matmul_gemm {
    int32_t outer, inner; /* loops around the product, and the operands' steps in them, in bytes */
    int32_t a_outer, a_inner, b_outer, b_inner;
    int32_t rows, depth, columns; /* of one product */
    int32_t a_turned;             /* whether a is (depth, rows), not (rows, depth) */
    int32_t b_turned;             /* whether b is (columns, depth), not (depth, columns) */
    int32_t a_zero, b_zero, output_zero;
    int32_t multiplier, shift; /* to the right, less one */
    int32_t steps;             /* of two values, in a row */
    conv_2d_gemm_products *multiply;
    conv_2d_gemm_products *multiply_two; /* null where rows fill blocks of four */
    conv_2d_gemm_rescaling *store;
};

/* a, b and y are whole, in any shape: all products are made at once.
 * scratch: records as in conv_2d_gemm.S for b, with int16 and the scale behind them; a copy of a, where it is turned;
 * 36 bytes for every 4 values of a row */
void batch_matmul_gemm_cortex_m4(const struct batch_matmul_gemm *p, const struct feature_map *a,
                                 const struct feature_map *b, const struct feature_map *y, void *scratch,
                                 int32_t first, int32_t count);

#endif
