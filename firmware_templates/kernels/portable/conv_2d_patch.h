/* Where the windows of CONV_2D lie, for elements of any type; padding is left out. */
#include "window.h"

/* What lies beneath one window: `rows` times `runs` stretches of `length` elements, contiguous in x and in w. */
struct patch {
    const ELEMENT *x;
    int32_t w; /* offset of the first weight within one filter */
    int32_t rows, runs, length;
    int32_t x_run, x_row, w_row; /* from the end of a stretch to the next; at the end of a row, in addition */
};

static struct patch patch_below(const PARAMETERS *p, const ELEMENT *x, int32_t row, int32_t column)
{
    int32_t top = row * p->stride_y - p->pad_top, left = column * p->stride_x - p->pad_left;
    int32_t x_width = p->input_width * p->input_channels, w_width = p->kernel_width * p->input_channels;
    struct span rows = taps_inside(top, p->kernel_height, p->dilation_y, p->input_height);
    struct span columns = taps_inside(left, p->kernel_width, p->dilation_x, p->input_width);
    struct patch patch = {
        .x = x,
        .w = rows.first * w_width + columns.first * p->input_channels,
        .rows = rows.end - rows.first,
        .runs = columns.end - columns.first,
        .length = p->input_channels,
        .x_run = (p->dilation_x - 1) * p->input_channels,
    };

    if (patch.rows <= 0 || patch.runs <= 0) {
        patch.rows = 0;
        return patch;
    }
    patch.x += (top + rows.first * p->dilation_y) * x_width + (left + columns.first * p->dilation_x) * p->input_channels;
    patch.x_row = p->dilation_y * x_width - patch.runs * p->dilation_x * p->input_channels;
    patch.w_row = w_width - patch.runs * p->input_channels;
    if (patch.x_run == 0) { /* the whole row is contiguous */
        patch.length *= patch.runs;
        patch.runs = 1;
    }
    return patch;
}
