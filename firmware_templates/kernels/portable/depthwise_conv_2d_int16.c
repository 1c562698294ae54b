/* DEPTHWISE_CONV_2D of int16: y[o] = clamp(rescale(sum w[o] * x[o / multiplier] + bias[o]))
 *
 * Padding is left out of the sum. Pooling takes the maximum of the sums: rescaling and clamping never reverse an
 * order.
 */
#include "depthwise_conv_2d_int16.h"

#include "fixed_point.h"
#include "int16.h"

#define PARAMETERS struct depthwise_conv_2d_int16
#define ELEMENT int16_t
#include "depthwise_conv_2d_patch.h"

static int64_t products(const struct patch *patch, int32_t channel, const int8_t *w)
{
    const int16_t *x = patch->x + channel;
    int64_t sum = 0;

    w += patch->w;
    for (int32_t row = 0; row < patch->rows; row++) {
        for (int32_t column = 0; column < patch->columns; column++) {
            sum += (int64_t)*w * *x;
            x += patch->x_column;
            w += patch->w_column;
        }
        x += patch->x_row;
        w += patch->w_row;
    }
    return sum;
}

static int16_t stored(const struct depthwise_conv_2d_int16 *p, int64_t sum, int32_t channel)
{
    int32_t scale = channel * p->scale_step, bound = channel * p->clamp_step;
    int32_t total = rescale_sum(sum + p->bias[channel], p->multiplier[scale], p->shift[scale]);

    return (int16_t)clamp(total, p->minimum[bound], p->maximum[bound]);
}

void depthwise_conv_2d_int16_portable(const struct depthwise_conv_2d_int16 *p, const int16_t *x, const int8_t *w,
                                      int16_t *y)
{
    int32_t multiplier = p->output_channels / p->input_channels;
    int32_t pooled = p->pool_height * p->pool_width;

    for (int32_t row = 0; row < p->output_height; row++) {
        for (int32_t column = 0; column < p->output_width; column++) {
            struct patch patch = patch_below(p, x, row, column);

            for (int32_t channel = 0; channel < p->output_channels; channel++) {
                int64_t best = INT64_MIN;

                for (int32_t i = 0; i < pooled; i++) {
                    int64_t sum;

                    if (pooled > 1)
                        patch = patch_below(p, x, row * p->pool_height + i / p->pool_width,
                                            column * p->pool_width + i % p->pool_width);
                    sum = products(&patch, channel / multiplier, w + channel);
                    best = sum > best ? sum : best;
                }
                *y++ = stored(p, best, channel);
            }
        }
    }
}
