#ifndef KERNELS_BATCH_MATMUL_INT16_H
#define KERNELS_BATCH_MATMUL_INT16_H

#include <stdint.h>

/* Two loops over matrices; steps are in elements, one of 0 repeats a matrix. */
struct batch_matmul_int16 {
    int32_t outer, inner;
    int32_t a_outer, a_inner;
    int32_t b_outer, b_inner;
    int32_t rows, depth, columns;
    int32_t a_row, a_depth;
    int32_t b_depth, b_column;
    int32_t a_zero, b_zero, output_zero;
    int32_t multiplier, shift;
};

void batch_matmul_int16_portable(const struct batch_matmul_int16 *p, const int16_t *a, const int16_t *b, int16_t *y);

#endif
