/* BATCH_MATMUL: y = clamp(rescale(sum_k (a[i, k] - a_zero) * (b[k, j] - b_zero)) + output_zero) */
#include "batch_matmul.h"

#include "fixed_point.h"

static int8_t *multiply(const struct batch_matmul *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    for (int32_t i = 0; i < p->rows; i++) {
        for (int32_t j = 0; j < p->columns; j++) {
            const int8_t *left = a + i * p->a_row, *right = b + j * p->b_column;
            int32_t sum = 0;

            for (int32_t k = 0; k < p->depth; k++, left += p->a_depth, right += p->b_depth)
                sum += (*left - p->a_zero) * (*right - p->b_zero);
            sum = rescale(sum, p->multiplier, p->shift) + p->output_zero;
            *y++ = (int8_t)clamp(sum, INT8_MIN, INT8_MAX);
        }
    }
    return y;
}

void batch_matmul_portable(const struct batch_matmul *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    for (int32_t i = 0; i < p->outer; i++)
        for (int32_t j = 0; j < p->inner; j++)
            y = multiply(p, a + i * p->a_outer + j * p->a_inner, b + i * p->b_outer + j * p->b_inner, y);
}
