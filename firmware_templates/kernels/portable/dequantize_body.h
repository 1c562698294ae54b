/* DEQUANTIZE: y = scale * (x - zero) */

void FUNCTION(const PARAMETERS *p, const ELEMENT *x, float *y)
{
    for (int32_t i = 0; i < p->count; i++)
        y[i] = p->scale * (float)(x[i] - p->zero);
}
