/* Where the windows of DEPTHWISE_CONV_2D lie, for elements of any type; padding is left out. */
#include "window.h"

/* What lies beneath one window. */
struct patch {
    const ELEMENT *x;
    int32_t w; /* offset of the first weight of channel 0 */
    int32_t rows, columns;
    int32_t x_column, w_column; /* from one tap to the next */
    int32_t x_row, w_row;       /* in addition, from one row to the next */
};

static struct patch patch_below(const PARAMETERS *p, const ELEMENT *x, int32_t row, int32_t column)
{
    int32_t top = row * p->stride_y - p->pad_top, left = column * p->stride_x - p->pad_left;
    int32_t x_width = p->input_width * p->input_channels, w_width = p->kernel_width * p->output_channels;
    struct span rows = taps_inside(top, p->kernel_height, p->dilation_y, p->input_height);
    struct span columns = taps_inside(left, p->kernel_width, p->dilation_x, p->input_width);
    struct patch patch = {
        .x = x,
        .w = rows.first * w_width + columns.first * p->output_channels,
        .rows = rows.end - rows.first,
        .columns = columns.end - columns.first,
        .x_column = p->dilation_x * p->input_channels,
        .w_column = p->output_channels,
    };

    if (patch.rows <= 0 || patch.columns <= 0) {
        patch.rows = 0;
        return patch;
    }
    patch.x += (top + rows.first * p->dilation_y) * x_width + (left + columns.first * p->dilation_x) * p->input_channels;
    patch.x_row = p->dilation_y * x_width - patch.columns * patch.x_column;
    patch.w_row = w_width - patch.columns * patch.w_column;
    return patch;
}
