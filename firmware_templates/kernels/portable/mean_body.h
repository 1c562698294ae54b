/* MEAN: y = clamp(rescale(sum (x - input_zero)) + output_zero) */
#include "fixed_point.h"

void FUNCTION(const PARAMETERS *p, const ELEMENT *x, ELEMENT *y)
{
    for (int32_t i = 0; i < p->outer; i++, x += p->count * p->inner) {
        for (int32_t k = 0; k < p->inner; k++) {
            const ELEMENT *value = x + k;
            int32_t sum = -p->input_zero * p->count;

            for (int32_t j = 0; j < p->count; j++, value += p->inner)
                sum += *value;
            sum = rescale(sum, p->multiplier, p->shift) + p->output_zero;
            *y++ = (ELEMENT)clamp(sum, LOWEST, HIGHEST);
        }
    }
}
