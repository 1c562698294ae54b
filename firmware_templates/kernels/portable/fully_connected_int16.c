/* FULLY_CONNECTED of int16: y[o] = clamp(round((sum w[o] * x + bias[o]) * factor[o]))
 *
 * The product is one of float64, in software where the core has none: TFLite's reference kernel rounds that
 * product, once, ties away from zero, and a sum may have 47 bits.
 */
#include "fully_connected_int16.h"

#include "fixed_point.h"
#include "int16.h"

/* Far beyond int16, and within int32. */
#define REACH 262144.0

static int32_t rounded(double x)
{
    int32_t whole;
    double rest;

    if (x > REACH)
        x = REACH;
    if (x < -REACH)
        x = -REACH;
    whole = (int32_t)x;
    rest = x - whole;
    return whole + (rest >= 0.5) - (rest <= -0.5);
}

void fully_connected_int16_portable(const struct fully_connected_int16 *p, const int16_t *x, const int8_t *w,
                                    int16_t *y)
{
    for (int32_t row = 0; row < p->rows; row++, x += p->inputs) {
        for (int32_t output = 0; output < p->outputs;) {
            int32_t width = p->outputs - output >= 2 ? 2 : 1;
            const int8_t *weights = w + output * p->inputs;
            int64_t sum[2] = {0, 0};

            /* A last output without a neighbour is made twice, and stored once. */
            add_products_2(x, weights, weights + (width == 2 ? p->inputs : 0), p->inputs, sum);
            for (int32_t k = 0; k < width; k++, output++) {
                double product = (double)(sum[k] + p->bias[output]) * p->factor[output * p->factor_step];

                *y++ = (int16_t)clamp(rounded(product), p->minimum, p->maximum);
            }
        }
    }
}
