/* DEPTHWISE_CONV_2D: y[o] = clamp(rescale(sum w[o] * (x[o / multiplier] - input_zero) + bias[o]) + output_zero)
 *
 * Padding is left out of the sum, as in TFLite (integer_ops/depthwise_conv.h). Pooling takes the maximum of
 * the sums: rescaling and clamping never reverse an order.
 */
#include "depthwise_conv_2d.h"

#include "fixed_point.h"
#include "window.h"

/* What lies beneath one window; steps in bytes. */
struct patch {
    const int8_t *x;
    int32_t w; /* offset of the first weight of channel 0 */
    int32_t rows, x_row, w_row;
    int32_t columns, x_column, w_column;
};

static struct patch patch_below(const struct depthwise_conv_2d *p, const int8_t *x, int32_t row, int32_t column)
{
    int32_t top = row * p->stride_y - p->pad_top, left = column * p->stride_x - p->pad_left;
    int32_t x_width = p->input_width * p->input_channels, w_width = p->kernel_width * p->output_channels;
    struct span rows = taps_inside(top, p->kernel_height, p->dilation_y, p->input_height);
    struct span columns = taps_inside(left, p->kernel_width, p->dilation_x, p->input_width);
    struct patch patch = {
        .x = x,
        .w = rows.first * w_width + columns.first * p->output_channels,
        .rows = rows.end - rows.first,
        .x_row = p->dilation_y * x_width,
        .w_row = w_width,
        .columns = columns.end - columns.first,
        .x_column = p->dilation_x * p->input_channels,
        .w_column = p->output_channels,
    };

    if (patch.rows <= 0 || patch.columns <= 0)
        patch.rows = 0;
    else
        patch.x += (top + rows.first * p->dilation_y) * x_width +
                   (left + columns.first * p->dilation_x) * p->input_channels;
    return patch;
}

/* Four neighbouring channels of a depth multiplier of one. */
static void add_products_4(const struct patch *patch, int32_t channel, const int8_t *w, int32_t zero, int32_t sum[4])
{
    int32_t sum0 = sum[0], sum1 = sum[1], sum2 = sum[2], sum3 = sum[3];

    for (int32_t row = 0; row < patch->rows; row++) {
        const int8_t *value = patch->x + row * patch->x_row + channel;
        const int8_t *weight = w + patch->w + row * patch->w_row;

        for (int32_t column = 0; column < patch->columns; column++) {
            sum0 += weight[0] * (value[0] - zero);
            sum1 += weight[1] * (value[1] - zero);
            sum2 += weight[2] * (value[2] - zero);
            sum3 += weight[3] * (value[3] - zero);
            value += patch->x_column;
            weight += patch->w_column;
        }
    }
    sum[0] = sum0;
    sum[1] = sum1;
    sum[2] = sum2;
    sum[3] = sum3;
}

static void add_products_1(const struct patch *patch, int32_t channel, const int8_t *w, int32_t zero, int32_t sum[1])
{
    for (int32_t row = 0; row < patch->rows; row++) {
        const int8_t *value = patch->x + row * patch->x_row + channel;
        const int8_t *weight = w + patch->w + row * patch->w_row;

        for (int32_t column = 0; column < patch->columns; column++) {
            sum[0] += *weight * (*value - zero);
            value += patch->x_column;
            weight += patch->w_column;
        }
    }
}

void depthwise_conv_2d_portable(const struct depthwise_conv_2d *p, const int8_t *x, const int8_t *w, int8_t *y)
{
    int32_t multiplier = p->output_channels / p->input_channels;
    int32_t pooled = p->pool_height * p->pool_width;

    for (int32_t row = 0; row < p->output_height; row++) {
        for (int32_t column = 0; column < p->output_width; column++) {
            struct patch patch = patch_below(p, x, row, column);

            for (int32_t channel = 0; channel < p->output_channels;) {
                int32_t width = multiplier == 1 && p->output_channels - channel >= 4 ? 4 : 1;
                int32_t best[4] = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};

                for (int32_t i = 0; i < pooled; i++) {
                    int32_t sum[4] = {0, 0, 0, 0};

                    if (pooled > 1)
                        patch = patch_below(p, x, row * p->pool_height + i / p->pool_width,
                                            column * p->pool_width + i % p->pool_width);
                    if (width == 4)
                        add_products_4(&patch, channel, w + channel, p->input_zero, sum);
                    else
                        add_products_1(&patch, channel / multiplier, w + channel, p->input_zero, sum);
                    for (int32_t k = 0; k < 4; k++)
                        best[k] = larger(best[k], sum[k]);
                }
                for (int32_t k = 0; k < width; k++, channel++) {
                    int32_t s = channel * p->scale_step, c = channel * p->clamp_step;
                    int32_t sum = best[k] + (p->bias ? p->bias[channel] : 0);

                    sum = rescale(sum, p->multiplier[s], p->shift[s]) + p->output_zero;
                    *y++ = (int8_t)clamp(sum, p->minimum[c], p->maximum[c]);
                }
            }
        }
    }
}
