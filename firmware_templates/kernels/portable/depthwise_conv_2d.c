/* DEPTHWISE_CONV_2D: y[o] = clamp(rescale(sum w[o] * (x[o / multiplier] - input_zero) + bias[o]) + output_zero)
 *
 * Padding is left out of the sum, as in TFLite (integer_ops/depthwise_conv.h). Pooling takes the maximum of
 * the sums: rescaling and clamping never reverse an order.
 */
#include "depthwise_conv_2d.h"

#include "fixed_point.h"

#define PARAMETERS struct depthwise_conv_2d
#define ELEMENT int8_t
#include "depthwise_conv_2d_patch.h"

/* The larger of best[k] and the products of one patch, for four neighbouring channels of a depth multiplier of
 * one. Kept out of line: its loop needs every register there is. */
static __attribute__((noinline)) void largest_products_4(const struct patch *patch, int32_t channel, const int8_t *w,
                                                         int32_t zero, int32_t best[4])
{
    int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
    const int8_t *x = patch->x + channel;

    w += patch->w;
    for (int32_t left = patch->rows * patch->columns, column = patch->columns; left > 0; left--) {
        sum0 += w[0] * (x[0] - zero);
        sum1 += w[1] * (x[1] - zero);
        sum2 += w[2] * (x[2] - zero);
        sum3 += w[3] * (x[3] - zero);
        x += patch->x_column;
        w += patch->w_column;
        if (--column == 0) {
            column = patch->columns;
            x += patch->x_row;
            w += patch->w_row;
        }
    }
    best[0] = larger(best[0], sum0);
    best[1] = larger(best[1], sum1);
    best[2] = larger(best[2], sum2);
    best[3] = larger(best[3], sum3);
}

static __attribute__((noinline)) void largest_products_1(const struct patch *patch, int32_t channel, const int8_t *w,
                                                         int32_t zero, int32_t best[1])
{
    int32_t sum = 0;
    const int8_t *x = patch->x + channel;

    w += patch->w;
    for (int32_t row = 0; row < patch->rows; row++) {
        for (int32_t column = 0; column < patch->columns; column++) {
            sum += *w * (*x - zero);
            x += patch->x_column;
            w += patch->w_column;
        }
        x += patch->x_row;
        w += patch->w_row;
    }
    best[0] = larger(best[0], sum);
}

/* Rescales, clamps and writes `count` sums from `channel` on. */
static __attribute__((noinline)) void store(const struct depthwise_conv_2d *p, const int32_t *sum, int32_t channel,
                                            int32_t count, int8_t *restrict y)
{
    const int32_t *multiplier = p->multiplier + channel * p->scale_step;
    const int8_t *shift = p->shift + channel * p->scale_step;
    const int8_t *minimum = p->minimum + channel * p->clamp_step, *maximum = p->maximum + channel * p->clamp_step;

    for (int32_t k = 0; k < count; k++) {
        int32_t total = rescale(sum[k] + p->bias[channel + k], *multiplier, *shift) + p->output_zero;

        y[k] = (int8_t)clamp(total, *minimum, *maximum);
        multiplier += p->scale_step;
        shift += p->scale_step;
        minimum += p->clamp_step;
        maximum += p->clamp_step;
    }
}

void depthwise_conv_2d_portable(const struct depthwise_conv_2d *p, const int8_t *x, const int8_t *w, int8_t *y)
{
    int32_t multiplier = p->output_channels / p->input_channels;
    int32_t pooled = p->pool_height * p->pool_width;

    for (int32_t row = 0; row < p->output_height; row++) {
        for (int32_t column = 0; column < p->output_width; column++) {
            struct patch patch = patch_below(p, x, row, column);

            for (int32_t channel = 0, count; channel < p->output_channels; channel += count) {
                int32_t best[4] = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};

                count = multiplier == 1 && p->output_channels - channel >= 4 ? 4 : 1;
                for (int32_t i = 0; i < pooled; i++) {
                    if (pooled > 1)
                        patch = patch_below(p, x, row * p->pool_height + i / p->pool_width,
                                            column * p->pool_width + i % p->pool_width);
                    if (count == 4)
                        largest_products_4(&patch, channel, w + channel, p->input_zero, best);
                    else
                        largest_products_1(&patch, channel / multiplier, w + channel, p->input_zero, best);
                }
                store(p, best, channel, count, y);
                y += count;
            }
        }
    }
}
