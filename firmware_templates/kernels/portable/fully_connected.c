/* FULLY_CONNECTED: y[o] = clamp(rescale(sum w[o] * x + bias[o]) + output_zero), rounded once */
#include "fully_connected.h"

#include "fixed_point.h"

/* Four outputs at a time, so that each input is loaded once for them. */
static void add_products_4(const int8_t *x, const int8_t *w, int32_t count, int32_t sum[4])
{
    const int8_t *w0 = w, *w1 = w0 + count, *w2 = w1 + count, *w3 = w2 + count;
    const int8_t *end = x + count;
    int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;

    while (x < end) {
        int32_t value = *x++;

        sum0 += *w0++ * value;
        sum1 += *w1++ * value;
        sum2 += *w2++ * value;
        sum3 += *w3++ * value;
    }
    sum[0] = sum0;
    sum[1] = sum1;
    sum[2] = sum2;
    sum[3] = sum3;
}

static void add_products_1(const int8_t *x, const int8_t *w, int32_t count, int32_t sum[1])
{
    int32_t total = 0;

    for (int32_t i = 0; i < count; i++)
        total += w[i] * x[i];
    sum[0] = total;
}

void fully_connected_portable(const struct fully_connected *p, const int8_t *x, const int8_t *w, int8_t *y)
{
    for (int32_t row = 0; row < p->rows; row++, x += p->inputs) {
        for (int32_t output = 0; output < p->outputs;) {
            int32_t width = p->outputs - output >= 4 ? 4 : 1;
            int32_t sum[4];

            if (width == 4)
                add_products_4(x, w + output * p->inputs, p->inputs, sum);
            else
                add_products_1(x, w + output * p->inputs, p->inputs, sum);
            for (int32_t k = 0; k < width; k++, output++) {
                int32_t s = output * p->scale_step;
                int32_t residue = p->residue ? p->residue[s] : 0;
                int32_t total = rescale_once(sum[k] + p->bias[output], p->multiplier[s], residue, p->shift[s]);

                *y++ = (int8_t)clamp(total + p->output_zero, p->minimum, p->maximum);
            }
        }
    }
}
