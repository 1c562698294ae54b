/* CONV_2D: y[o] = clamp(rescale(sum w[o] * (x - input_zero) + bias[o]) + output_zero)
 *
 * Padding is left out of the sum, as in TFLite (integer_ops/conv.h). Pooling takes the maximum of the sums:
 * rescaling and clamping never reverse an order, so the maximum of the results is the result of the maximum.
 */
#include "conv_2d.h"

#include "fixed_point.h"

#define PARAMETERS struct conv_2d
#define ELEMENT int8_t
#include "conv_2d_patch.h"

/* The larger of best[k] and the products of one patch with filter k of four, `filter` bytes apart. Each input
 * byte is loaded once for the four. Kept out of line: its loop needs every register there is. */
static __attribute__((noinline)) void largest_products_4(const struct patch *patch, const int8_t *w, int32_t filter,
                                                         int32_t zero, int32_t best[4])
{
    const int8_t *w0 = w + patch->w, *w1 = w0 + filter, *w2 = w1 + filter, *w3 = w2 + filter;
    const int8_t *x = patch->x;
    int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;

    for (int32_t left = patch->rows * patch->runs, run = patch->runs; left > 0; left--) {
        const int8_t *end = x + patch->length;

        do {
            int32_t value = *x++ - zero;

            sum0 += *w0++ * value;
            sum1 += *w1++ * value;
            sum2 += *w2++ * value;
            sum3 += *w3++ * value;
        } while (x != end);
        x += patch->x_run;
        if (--run == 0) {
            run = patch->runs;
            x += patch->x_row;
            w0 += patch->w_row;
            w1 += patch->w_row;
            w2 += patch->w_row;
            w3 += patch->w_row;
        }
    }
    best[0] = larger(best[0], sum0);
    best[1] = larger(best[1], sum1);
    best[2] = larger(best[2], sum2);
    best[3] = larger(best[3], sum3);
}

static __attribute__((noinline)) void largest_products_1(const struct patch *patch, const int8_t *w, int32_t zero,
                                                         int32_t best[1])
{
    const int8_t *x = patch->x;
    int32_t sum = 0;

    w += patch->w;
    for (int32_t row = 0; row < patch->rows; row++) {
        for (int32_t run = 0; run < patch->runs; run++) {
            for (int32_t i = 0; i < patch->length; i++)
                sum += *w++ * (*x++ - zero);
            x += patch->x_run;
        }
        x += patch->x_row;
        w += patch->w_row;
    }
    best[0] = larger(best[0], sum);
}

/* Rescales, clamps and writes `count` sums from `channel` on. */
static __attribute__((noinline)) void store(const struct conv_2d *p, const int32_t *sum, int32_t channel,
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

void conv_2d_portable(const struct conv_2d *p, const int8_t *x, const int8_t *w, int8_t *y)
{
    int32_t filter = p->kernel_height * p->kernel_width * p->input_channels;
    int32_t pooled = p->pool_height * p->pool_width;

    for (int32_t row = 0; row < p->output_height; row++) {
        for (int32_t column = 0; column < p->output_width; column++) {
            struct patch patch = patch_below(p, x, row, column);

            for (int32_t channel = 0, count; channel < p->output_channels; channel += count) {
                int32_t best[4] = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};

                count = p->output_channels - channel >= 4 ? 4 : 1;
                for (int32_t i = 0; i < pooled; i++) {
                    if (pooled > 1)
                        patch = patch_below(p, x, row * p->pool_height + i / p->pool_width,
                                            column * p->pool_width + i % p->pool_width);
                    if (count == 4)
                        largest_products_4(&patch, w + channel * filter, filter, p->input_zero, best);
                    else
                        largest_products_1(&patch, w + channel * filter, p->input_zero, best);
                }
                store(p, best, channel, count, y);
                y += count;
            }
        }
    }
}
