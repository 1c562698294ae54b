/* ADD: y = clamp(rescale(rescale(a - a_zero) + rescale(b - b_zero)) + output_zero)
 *
 * Both operands are brought to twice the larger of their scales, with twenty bits of headroom below
 * (TFLite, add.cc and integer_ops/add.h).
 */
#include "add.h"

#include "fixed_point.h"

#define HEADROOM (1 << 20)

void add_portable(const struct add *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->middle; j++) {
            const int8_t *left = a + i * p->a_outer + j * p->a_middle;
            const int8_t *right = b + i * p->b_outer + j * p->b_middle;

            for (int32_t k = 0; k < p->inner; k++) {
                int32_t first = rescale((*left - p->a_zero) * HEADROOM, p->a_multiplier, p->a_shift);
                int32_t second = rescale((*right - p->b_zero) * HEADROOM, p->b_multiplier, p->b_shift);
                int32_t sum = rescale(first + second, p->output_multiplier, p->output_shift) + p->output_zero;

                *y++ = (int8_t)clamp(sum, p->minimum, p->maximum);
                left += p->a_inner;
                right += p->b_inner;
            }
        }
    }
}
