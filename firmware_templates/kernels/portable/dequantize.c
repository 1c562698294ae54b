/* DEQUANTIZE: y = scale * (x - zero) */
#include "dequantize.h"

void dequantize_portable(const struct dequantize *p, const int8_t *x, float *y)
{
    for (int32_t i = 0; i < p->count; i++)
        y[i] = p->scale * (float)(x[i] - p->zero);
}
