/* REDUCE_MAX and REDUCE_MIN: y = the largest or smallest x, as BETTER of two is. */
#include "fixed_point.h"

void FUNCTION(const PARAMETERS *p, const ELEMENT *x, ELEMENT *y)
{
    for (int32_t i = 0; i < p->outer; i++, x += p->count * p->inner) {
        for (int32_t k = 0; k < p->inner; k++) {
            const ELEMENT *value = x + k;
            int32_t best = FIRST;

            for (int32_t j = 0; j < p->count; j++, value += p->inner)
                best = BETTER(best, *value);
            *y++ = (ELEMENT)best;
        }
    }
}
