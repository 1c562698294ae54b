/* ADD: y = clamp(rescale(rescale(a - a_zero) + rescale(b - b_zero)) + output_zero)
 *
 * Both operands are brought to twice the larger of their scales, with HEADROOM_BITS below: twenty for int8,
 * fifteen for int16 (TFLite, add.cc and integer_ops/add.h).
 */
#include "fixed_point.h"

void FUNCTION(const PARAMETERS *p, const ELEMENT *a, const ELEMENT *b, ELEMENT *y)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->middle; j++) {
            const ELEMENT *left = a + i * p->a_outer + j * p->a_middle;
            const ELEMENT *right = b + i * p->b_outer + j * p->b_middle;

            for (int32_t k = 0; k < p->inner; k++) {
                int32_t first = rescale((*left - p->a_zero) * (1 << HEADROOM_BITS), p->a_multiplier, p->a_shift);
                int32_t second = rescale((*right - p->b_zero) * (1 << HEADROOM_BITS), p->b_multiplier, p->b_shift);
                int32_t sum = rescale(first + second, p->output_multiplier, p->output_shift) + p->output_zero;

                *y++ = (ELEMENT)clamp(sum, p->minimum, p->maximum);
                left += p->a_inner;
                right += p->b_inner;
            }
        }
    }
}
