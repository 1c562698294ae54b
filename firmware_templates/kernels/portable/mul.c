/* MUL: y = clamp(rescale((a - a_zero) * (b - b_zero)) + output_zero) */
#include "mul.h"

#include "fixed_point.h"

void mul_portable(const struct mul *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->middle; j++) {
            const int8_t *left = a + i * p->a_outer + j * p->a_middle;
            const int8_t *right = b + i * p->b_outer + j * p->b_middle;

            for (int32_t k = 0; k < p->inner; k++) {
                int32_t product = (*left - p->a_zero) * (*right - p->b_zero);

                product = rescale(product, p->multiplier, p->shift) + p->output_zero;
                *y++ = (int8_t)clamp(product, p->minimum, p->maximum);
                left += p->a_inner;
                right += p->b_inner;
            }
        }
    }
}
