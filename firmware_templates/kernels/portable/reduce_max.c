/* REDUCE_MAX: y = the largest x */
#include "reduce_max.h"

#include "fixed_point.h"

void reduce_max_portable(const struct reduce_max *p, const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < p->outer; i++, x += p->count * p->inner) {
        for (int32_t k = 0; k < p->inner; k++) {
            const int8_t *value = x + k;
            int32_t best = INT8_MIN;

            for (int32_t j = 0; j < p->count; j++, value += p->inner)
                best = larger(best, *value);
            *y++ = (int8_t)best;
        }
    }
}
