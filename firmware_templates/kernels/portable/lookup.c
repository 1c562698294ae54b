/* LOGISTIC, TANH, HARD_SWISH and whatever else depends on one int8: y = table[x] */
#include "lookup.h"

void lookup_portable(const struct lookup *p, const int8_t *x, int8_t *y)
{
    const int8_t *of_zero = p->table + 128;

    if (p->tables == 1) {
        for (int32_t i = 0; i < p->count; i++)
            y[i] = of_zero[x[i]];
        return;
    }
    for (int32_t i = 0; i < p->count; i += p->tables) {
        for (int32_t c = 0; c < p->tables; c++)
            y[i + c] = of_zero[256 * c + x[i + c]];
    }
}
