/* LEAKY_RELU of int16: y = clamp(rescale(x)) where x >= 0, else clamp(rescale(alpha * x)) */
#include "leaky_relu_int16.h"

#include "fixed_point.h"

void leaky_relu_int16_portable(const struct leaky_relu_int16 *p, const int16_t *x, int16_t *y)
{
    for (int32_t i = 0; i < p->count; i++) {
        int32_t value = x[i] >= 0 ? rescale(x[i], p->above_multiplier, p->above_shift)
                                  : rescale(x[i], p->below_multiplier, p->below_shift);

        y[i] = (int16_t)clamp(value, INT16_MIN, INT16_MAX);
    }
}
