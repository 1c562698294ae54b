/* MUL: y = clamp(rescale((a - a_zero) * (b - b_zero)) + output_zero) */
#include "fixed_point.h"

void FUNCTION(const PARAMETERS *p, const ELEMENT *a, const ELEMENT *b, ELEMENT *y)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->middle; j++) {
            const ELEMENT *left = a + i * p->a_outer + j * p->a_middle;
            const ELEMENT *right = b + i * p->b_outer + j * p->b_middle;

            for (int32_t k = 0; k < p->inner; k++) {
                int32_t product = (*left - p->a_zero) * (*right - p->b_zero);

                product = rescale(product, p->multiplier, p->shift) + p->output_zero;
                *y++ = (ELEMENT)clamp(product, p->minimum, p->maximum);
                left += p->a_inner;
                right += p->b_inner;
            }
        }
    }
}
