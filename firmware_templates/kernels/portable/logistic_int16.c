/* LOGISTIC of int16: y = 1 / (1 + exp(-x)), in units of 2^-15 (TFLite, integer_ops/logistic.h) */
#include "logistic_int16.h"

#include "sigmoid_int16.h"

void logistic_int16_portable(const struct logistic_int16 *p, const int16_t *x, int16_t *y)
{
    for (int32_t i = 0; i < p->count; i++) {
        int32_t value = scaled(x[i], p->multiplier, p->shift);
        int32_t result = sigmoid_between(p->sigmoid, value < 0 ? -value : value, 9, 0x7fff << 10);

        /* sigmoid(-x) = 1 - sigmoid(x) */
        if (value < 0)
            result = (1 << 25) - result - 1;
        y[i] = (int16_t)((result + (1 << 9)) >> 10);
    }
}
