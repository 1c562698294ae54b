/* PRELU: y = rescale(a - a_zero) where that is positive, else rescale((a - a_zero) * (b - b_zero)) */
#include "prelu.h"

#include "fixed_point.h"

void prelu_portable(const struct prelu *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->middle; j++) {
            const int8_t *left = a + i * p->a_outer + j * p->a_middle;
            const int8_t *right = b + i * p->b_outer + j * p->b_middle;

            for (int32_t k = 0; k < p->inner; k++) {
                int32_t value = *left - p->a_zero;

                if (value >= 0)
                    value = rescale(value, p->above_multiplier, p->above_shift);
                else
                    value = rescale(value * (*right - p->b_zero), p->below_multiplier, p->below_shift);
                *y++ = (int8_t)clamp(value + p->output_zero, INT8_MIN, INT8_MAX);
                left += p->a_inner;
                right += p->b_inner;
            }
        }
    }
}
