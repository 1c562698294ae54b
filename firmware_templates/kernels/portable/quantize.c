/* QUANTIZE of float: y = clamp(round(x / scale) + zero), ties away from zero */
#include "quantize.h"

#include "fixed_point.h"

/* Far beyond int8, and within what a float holds exactly. */
#define REACH 1024.0f

void quantize_portable(const struct quantize *p, const float *x, int8_t *y)
{
    for (int32_t i = 0; i < p->count; i++) {
        float quotient = x[i] / p->scale, rest;
        int32_t whole;

        if (!(quotient > -REACH)) /* also where it is not a number */
            quotient = -REACH;
        if (quotient > REACH)
            quotient = REACH;
        whole = (int32_t)quotient;
        rest = quotient - (float)whole;
        whole += (rest >= 0.5f) - (rest <= -0.5f);
        y[i] = (int8_t)clamp(whole + p->zero, INT8_MIN, INT8_MAX);
    }
}
