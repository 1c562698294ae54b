/* MAXIMUM: y = max(a, b), all of one scale and zero point */
#include "fixed_point.h"

void FUNCTION(const PARAMETERS *p, const ELEMENT *a, const ELEMENT *b, ELEMENT *y)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->middle; j++) {
            const ELEMENT *left = a + i * p->a_outer + j * p->a_middle;
            const ELEMENT *right = b + i * p->b_outer + j * p->b_middle;

            for (int32_t k = 0; k < p->inner; k++) {
                *y++ = (ELEMENT)larger(*left, *right);
                left += p->a_inner;
                right += p->b_inner;
            }
        }
    }
}
