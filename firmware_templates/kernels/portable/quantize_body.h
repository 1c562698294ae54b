/* QUANTIZE of float: y = clamp(round(x / scale) + zero), ties away from zero
 *
 * REACH is far beyond ELEMENT, and within what a float holds with a half. */
#include "fixed_point.h"

void FUNCTION(const PARAMETERS *p, const float *x, ELEMENT *y)
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
        y[i] = (ELEMENT)clamp(whole + p->zero, LOWEST, HIGHEST);
    }
}
