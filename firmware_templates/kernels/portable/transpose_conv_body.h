/* TRANSPOSE_CONV: each pixel of x spreads, times w, over a window of y; windows are stride pixels apart
 *
 * Seen from y: a pixel collects from those pixels of x whose windows cover it, at every stride-th tap.
 */
#include "fixed_point.h"

static SUM dot(const ELEMENT *x, int32_t zero, const int8_t *w, int32_t count)
{
    SUM sum = 0;

    for (int32_t i = 0; i < count; i++)
        sum += (x[i] - zero) * w[i];
    return sum;
}

/* The sum for one element of y; row and column count from the corner of the full result. */
static SUM collect(const PARAMETERS *p, const ELEMENT *x, const int8_t *w, int32_t row, int32_t column)
{
    int32_t depth = p->input_channels;
    SUM sum = 0;

    for (int32_t i = row % p->stride_y; i < p->kernel_height && i <= row; i += p->stride_y) {
        int32_t from_row = (row - i) / p->stride_y;

        if (from_row >= p->input_height)
            continue;
        for (int32_t j = column % p->stride_x; j < p->kernel_width && j <= column; j += p->stride_x) {
            int32_t from_column = (column - j) / p->stride_x;

            if (from_column < p->input_width)
                sum += dot(x + (from_row * p->input_width + from_column) * depth, p->input_zero,
                           w + (i * p->kernel_width + j) * depth, depth);
        }
    }
    return sum;
}

void FUNCTION(const PARAMETERS *p, const ELEMENT *x, const int8_t *w, ELEMENT *y)
{
    int32_t taps = p->kernel_height * p->kernel_width * p->input_channels;

    for (int32_t i = 0; i < p->output_height; i++) {
        for (int32_t j = 0; j < p->output_width; j++) {
            for (int32_t o = 0; o < p->output_channels; o++) {
                SUM sum = collect(p, x, w + o * taps, i + p->pad_top, j + p->pad_left) + p->bias[o];
                int32_t scaled = RESCALE(sum, p->multiplier[o * p->scale_step], p->shift[o * p->scale_step]);

                *y++ = (ELEMENT)clamp(scaled + p->output_zero, p->minimum, p->maximum);
            }
        }
    }
}
