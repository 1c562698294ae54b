/* BATCH_MATMUL: y = clamp(rescale(sum_k (a[i, k] - a_zero) * (b[k, j] - b_zero)) + output_zero) */
#include "fixed_point.h"

static ELEMENT *multiply(const PARAMETERS *p, const ELEMENT *a, const ELEMENT *b, ELEMENT *y)
{
    for (int32_t i = 0; i < p->rows; i++) {
        for (int32_t j = 0; j < p->columns; j++) {
            const ELEMENT *left = a + i * p->a_row, *right = b + j * p->b_column;
            SUM sum = 0;

            for (int32_t k = 0; k < p->depth; k++, left += p->a_depth, right += p->b_depth)
                sum += (*left - p->a_zero) * (*right - p->b_zero);
            *y++ = (ELEMENT)clamp(RESCALE(sum, p->multiplier, p->shift) + p->output_zero, LOWEST, HIGHEST);
        }
    }
    return y;
}

void FUNCTION(const PARAMETERS *p, const ELEMENT *a, const ELEMENT *b, ELEMENT *y)
{
    for (int32_t i = 0; i < p->outer; i++)
        for (int32_t j = 0; j < p->inner; j++)
            y = multiply(p, a + i * p->a_outer + j * p->a_inner, b + i * p->b_outer + j * p->b_inner, y);
}
