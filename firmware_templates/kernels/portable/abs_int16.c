/* ABS of int16: y = clamp(rescale(|x|)) */
#include "abs_int16.h"

#include "fixed_point.h"

void abs_int16_portable(const struct abs_int16 *p, const int16_t *x, int16_t *y)
{
    for (int32_t i = 0; i < p->count; i++) {
        int32_t value = rescale(x[i] < 0 ? -x[i] : x[i], p->multiplier, p->shift);

        y[i] = (int16_t)clamp(value, INT16_MIN, INT16_MAX);
    }
}
