/* TANH of int16: y = tanh(x) = 2 sigmoid(2 x) - 1, in units of 2^-15 (TFLite, integer_ops/tanh.h) */
#include "tanh_int16.h"

#include "sigmoid_int16.h"

void tanh_int16_portable(const struct tanh_int16 *p, const int16_t *x, int16_t *y)
{
    for (int32_t i = 0; i < p->count; i++) {
        int32_t value = scaled(x[i], p->multiplier, p->shift);
        int32_t above = sigmoid_between(p->sigmoid, value < 0 ? -value : value, 8, 0xffff << 8) - (1 << 23);

        if (value < 0)
            above = -above - 1;
        y[i] = (int16_t)((above + (1 << 7)) >> 8);
    }
}
