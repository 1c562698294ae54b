/* MAXIMUM: y = max(a, b), all of one scale and zero point */
#include "maximum.h"

#include "fixed_point.h"

void maximum_portable(const struct maximum *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->middle; j++) {
            const int8_t *left = a + i * p->a_outer + j * p->a_middle;
            const int8_t *right = b + i * p->b_outer + j * p->b_middle;

            for (int32_t k = 0; k < p->inner; k++) {
                *y++ = (int8_t)larger(*left, *right);
                left += p->a_inner;
                right += p->b_inner;
            }
        }
    }
}
