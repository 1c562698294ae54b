/* CONV_2D: y[o] = clamp(rescale(sum w[o] * (x - input_zero) + bias[o]) + output_zero)
 *
 * Padding is left out of the sum, as in TFLite (integer_ops/conv.h). Pooling takes the maximum of the sums:
 * rescaling and clamping never reverse an order, so the maximum of the results is the result of the maximum.
 */
#include "conv_2d.h"

#include "fixed_point.h"
#include "window.h"

/* What lies beneath one window: `rows` x `runs` stretches of `length` bytes, contiguous in x and in w. */
struct patch {
    const int8_t *x;
    int32_t w; /* offset of the first weight within one filter */
    int32_t rows, x_row, w_row;
    int32_t runs, x_run, length;
};

static struct patch patch_below(const struct conv_2d *p, const int8_t *x, int32_t row, int32_t column)
{
    int32_t top = row * p->stride_y - p->pad_top, left = column * p->stride_x - p->pad_left;
    int32_t x_width = p->input_width * p->input_channels, w_width = p->kernel_width * p->input_channels;
    struct span rows = taps_inside(top, p->kernel_height, p->dilation_y, p->input_height);
    struct span columns = taps_inside(left, p->kernel_width, p->dilation_x, p->input_width);
    struct patch patch = {
        .x = x,
        .w = rows.first * w_width + columns.first * p->input_channels,
        .rows = rows.end - rows.first,
        .x_row = p->dilation_y * x_width,
        .w_row = w_width,
        .runs = columns.end - columns.first,
        .x_run = p->dilation_x * p->input_channels,
        .length = p->input_channels,
    };

    if (patch.rows <= 0 || patch.runs <= 0)
        patch.rows = 0;
    else
        patch.x += (top + rows.first * p->dilation_y) * x_width +
                   (left + columns.first * p->dilation_x) * p->input_channels;
    if (p->dilation_x == 1) {
        patch.length *= patch.runs;
        patch.runs = 1;
    }
    return patch;
}

/* Adds the products of one patch with four filters, `filter` bytes apart. Each input byte is loaded once. */
static void add_products_4(const struct patch *patch, const int8_t *w, int32_t filter, int32_t zero, int32_t sum[4])
{
    int32_t sum0 = sum[0], sum1 = sum[1], sum2 = sum[2], sum3 = sum[3];

    for (int32_t row = 0; row < patch->rows; row++) {
        const int8_t *w0 = w + patch->w + row * patch->w_row;
        const int8_t *w1 = w0 + filter, *w2 = w1 + filter, *w3 = w2 + filter;

        for (int32_t run = 0; run < patch->runs; run++) {
            const int8_t *x = patch->x + row * patch->x_row + run * patch->x_run;
            const int8_t *end = x + patch->length;

            while (x < end) {
                int32_t value = *x++ - zero;

                sum0 += *w0++ * value;
                sum1 += *w1++ * value;
                sum2 += *w2++ * value;
                sum3 += *w3++ * value;
            }
        }
    }
    sum[0] = sum0;
    sum[1] = sum1;
    sum[2] = sum2;
    sum[3] = sum3;
}

static void add_products_1(const struct patch *patch, const int8_t *w, int32_t zero, int32_t sum[1])
{
    int32_t total = sum[0];

    for (int32_t row = 0; row < patch->rows; row++) {
        const int8_t *w0 = w + patch->w + row * patch->w_row;

        for (int32_t run = 0; run < patch->runs; run++) {
            const int8_t *x = patch->x + row * patch->x_row + run * patch->x_run;

            for (int32_t i = 0; i < patch->length; i++)
                total += *w0++ * (x[i] - zero);
        }
    }
    sum[0] = total;
}

void conv_2d_portable(const struct conv_2d *p, const int8_t *x, const int8_t *w, int8_t *y)
{
    int32_t filter = p->kernel_height * p->kernel_width * p->input_channels;
    int32_t pooled = p->pool_height * p->pool_width;

    for (int32_t row = 0; row < p->output_height; row++) {
        for (int32_t column = 0; column < p->output_width; column++) {
            struct patch patch = patch_below(p, x, row, column);

            for (int32_t channel = 0; channel < p->output_channels;) {
                int32_t width = p->output_channels - channel >= 4 ? 4 : 1;
                int32_t best[4] = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};

                for (int32_t i = 0; i < pooled; i++) {
                    int32_t sum[4] = {0, 0, 0, 0};

                    if (pooled > 1)
                        patch = patch_below(p, x, row * p->pool_height + i / p->pool_width,
                                            column * p->pool_width + i % p->pool_width);
                    if (width == 4)
                        add_products_4(&patch, w + channel * filter, filter, p->input_zero, sum);
                    else
                        add_products_1(&patch, w + channel * filter, p->input_zero, sum);
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
