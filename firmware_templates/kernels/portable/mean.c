/* MEAN: y = clamp(rescale(sum (x - input_zero)) + output_zero) */
#include "mean.h"

#include "fixed_point.h"

void mean_portable(const struct mean *p, const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < p->outer; i++, x += p->count * p->inner) {
        for (int32_t k = 0; k < p->inner; k++) {
            const int8_t *value = x + k;
            int32_t sum = -p->input_zero * p->count;

            for (int32_t j = 0; j < p->count; j++, value += p->inner)
                sum += *value;
            sum = rescale(sum, p->multiplier, p->shift) + p->output_zero;
            *y++ = (int8_t)clamp(sum, INT8_MIN, INT8_MAX);
        }
    }
}
