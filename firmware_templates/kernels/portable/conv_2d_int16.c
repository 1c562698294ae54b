/* CONV_2D of int16: y[o] = clamp(rescale(sum w[o] * x + bias[o]))
 *
 * Padding is left out of the sum. Pooling takes the maximum of the sums: rescaling and clamping never reverse an
 * order.
 */
#include "conv_2d_int16.h"

#include "fixed_point.h"
#include "int16.h"

#define PARAMETERS struct conv_2d_int16
#define ELEMENT int16_t
#include "conv_2d_patch.h"

/* The larger of best[k] and the products of one patch with filter k of two, `filter` bytes apart. */
static void largest_products_2(const struct patch *patch, const int8_t *w, int32_t filter, int64_t best[2])
{
    const int16_t *x = patch->x;
    int64_t sum[2] = {0, 0};

    w += patch->w;
    for (int32_t row = 0; row < patch->rows; row++) {
        for (int32_t run = 0; run < patch->runs; run++) {
            add_products_2(x, w, w + filter, patch->length, sum);
            x += patch->length + patch->x_run;
            w += patch->length;
        }
        x += patch->x_row;
        w += patch->w_row;
    }
    for (int32_t k = 0; k < 2; k++)
        best[k] = sum[k] > best[k] ? sum[k] : best[k];
}

/* Rescales, clamps and writes `count` sums from `channel` on. */
static void store(const struct conv_2d_int16 *p, const int64_t *sum, int32_t channel, int32_t count, int16_t *restrict y)
{
    for (int32_t k = 0; k < count; k++, channel++) {
        int32_t scale = channel * p->scale_step, bound = channel * p->clamp_step;
        int32_t total = rescale_sum(sum[k] + p->bias[channel], p->multiplier[scale], p->shift[scale]);

        y[k] = (int16_t)clamp(total, p->minimum[bound], p->maximum[bound]);
    }
}

void conv_2d_int16_portable(const struct conv_2d_int16 *p, const int16_t *x, const int8_t *w, int16_t *y)
{
    int32_t filter = p->kernel_height * p->kernel_width * p->input_channels;
    int32_t pooled = p->pool_height * p->pool_width;

    for (int32_t row = 0; row < p->output_height; row++) {
        for (int32_t column = 0; column < p->output_width; column++) {
            struct patch patch = patch_below(p, x, row, column);

            for (int32_t channel = 0, count; channel < p->output_channels; channel += count) {
                int64_t best[2] = {INT64_MIN, INT64_MIN};

                /* A last filter without a neighbour is taken twice, and stored once. */
                count = p->output_channels - channel >= 2 ? 2 : 1;
                for (int32_t i = 0; i < pooled; i++) {
                    if (pooled > 1)
                        patch = patch_below(p, x, row * p->pool_height + i / p->pool_width,
                                            column * p->pool_width + i % p->pool_width);
                    largest_products_2(&patch, w + channel * filter, count == 2 ? filter : 0, best);
                }
                store(p, best, channel, count, y);
                y += count;
            }
        }
    }
}
