/* REDUCE_MIN: y = the smallest x */
#include "reduce_min.h"

#include "fixed_point.h"

void reduce_min_portable(const struct reduce_min *p, const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < p->outer; i++, x += p->count * p->inner) {
        for (int32_t k = 0; k < p->inner; k++) {
            const int8_t *value = x + k;
            int32_t best = INT8_MAX;

            for (int32_t j = 0; j < p->count; j++, value += p->inner)
                best = smaller(best, *value);
            *y++ = (int8_t)best;
        }
    }
}
