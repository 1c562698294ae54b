/* DEPTHWISE_CONV_2D of any kind, one output pixel at a time, from a list of pointers to its taps.
 *
 * Taps in the padding point to a pixel of zero points. Where an input channel has several outputs, or there are less
 * than four, the input rows beneath an output row are copied first, a byte for each output channel.
 *
 * Scratch: the list, a row of pointers, a pixel of padding, a pixel of outputs, the copied rows.
 */
#include "depthwise_conv_2d_taps.h"

#include <stdbool.h>

#include "../portable/fixed_point.h"

#define CHANNELS 4

/* What depthwise_conv_2d_taps.S copies to its stack, in its order. */
struct pixel {
    const int8_t **list, **list_end;
    const int32_t *filters;
    int8_t *y;
    int32_t channels;
    const int8_t *clamps;
    int32_t largest; /* whether the larger of the result and of what is in y is kept */
};

void depthwise_conv_2d_taps_pixel(const struct pixel *pixel);

/* What the pixels of a row share. */
struct row {
    const struct depthwise_conv_2d_taps *p;
    const int8_t **lines; /* input rows beneath, from column 0 on; null where they are padding */
    bool inside;          /* whether none is */
    int32_t pixel_bytes;
    const int8_t *padding;
};

/* The byte of each channel as often as it has outputs, and on to four. */
RAMCODE static void copy_line(const struct depthwise_conv_2d_taps *p, const int8_t *from, int32_t pixel_bytes, int8_t *to)
{
    int32_t outputs = p->output_channels / p->input_channels;

    for (int32_t column = 0; column < p->input_width; column++, to += pixel_bytes) {
        int8_t *at = to;

        for (int32_t channel = 0; channel < p->input_channels; channel++, from++)
            for (int32_t k = 0; k < outputs; k++)
                *at++ = *from;
        while (at < to + pixel_bytes)
            *at++ = 0;
    }
}

RAMCODE static void find_lines(struct row *row, const struct feature_map *x, int32_t top, int8_t *copies)
{
    const struct depthwise_conv_2d_taps *p = row->p;

    row->inside = true;
    for (int32_t i = 0; i < p->kernel_height; i++) {
        int32_t at = top + i * p->dilation_y;

        row->lines[i] = 0;
        if (at < 0 || at >= p->input_height) {
            row->inside = false;
        } else if (copies == 0) {
            row->lines[i] = row_of(x, at);
        } else {
            int8_t *copy = copies + i * p->input_width * row->pixel_bytes;

            copy_line(p, row_of(x, at), row->pixel_bytes, copy);
            row->lines[i] = copy;
        }
    }
}

/* The taps of the window that begins in column `left`. */
RAMCODE static void find_taps(const struct row *row, int32_t left, const int8_t **list)
{
    const struct depthwise_conv_2d_taps *p = row->p;

    for (int32_t i = 0; i < p->kernel_height; i++) {
        const int8_t *line = row->lines[i];

        for (int32_t k = 0, at = left; k < p->kernel_width; k++, at += p->dilation_x)
            *list++ = line != 0 && at >= 0 && at < p->input_width ? line + at * row->pixel_bytes : row->padding;
    }
}

static inline void copy_few(int8_t *to, const int8_t *from, int32_t count)
{
    to[0] = from[0];
    if (count > 1)
        to[1] = from[1];
    if (count > 2)
        to[2] = from[2];
}

/* All outputs of one row of the convolution proper; those of less than four channels by way of `few`. */
RAMCODE static void make_row(const struct row *row, struct pixel *pixel, int8_t *to, int8_t *few, bool pooled)
{
    const struct depthwise_conv_2d_taps *p = row->p;
    int32_t reach = (p->kernel_width - 1) * p->dilation_x, step = p->stride_x * row->pixel_bytes;
    const int8_t **end = pixel->list + p->kernel_height * p->kernel_width;
    bool advance = false; /* whether the list's taps, and those of the next pixel, are all inside */

    for (int32_t column = 0; column < p->output_width * p->pool_width; column++) {
        int32_t left = column * p->stride_x - p->pad_left;
        bool inside = row->inside && left >= 0 && left + reach < p->input_width;

        if (advance && inside)
            for (const int8_t **tap = pixel->list; tap != end; tap++)
                *tap += step;
        else
            find_taps(row, left, pixel->list);
        advance = inside;
        pixel->largest = pooled || column % p->pool_width > 0;
        pixel->y = few != 0 ? few : to;
        if (few != 0 && pixel->largest)
            copy_few(few, to, p->output_channels);
        depthwise_conv_2d_taps_pixel(pixel);
        if (few != 0)
            copy_few(to, few, p->output_channels);
        if (column % p->pool_width == p->pool_width - 1)
            to += p->output_channels;
    }
}

RAMCODE void depthwise_conv_2d_taps_cortex_m4(const struct depthwise_conv_2d_taps *p, const struct feature_map *x,
                                              const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    int32_t taps = p->kernel_height * p->kernel_width, even = (taps + 1) / 2 * 2;
    int32_t channels = larger(p->output_channels, CHANNELS);
    const int8_t **list = scratch, **lines = list + even;
    int8_t *padding = (int8_t *)(lines + p->kernel_height), *few = padding + channels;
    struct row row = {p, lines, false, channels, padding};
    struct pixel pixel = {list, list + even, p->filters, 0, channels, p->clamps, 0};

    for (int32_t channel = 0; channel < channels; channel++)
        padding[channel] = (int8_t)p->input_zero;
    list[even - 1] = padding;
    for (int32_t i = 0; i < count; i++)
        for (int32_t k = 0; k < p->pool_height; k++) {
            int32_t top = ((first + i) * p->pool_height + k) * p->stride_y - p->pad_top;

            find_lines(&row, x, top, channels > p->input_channels ? few + CHANNELS : 0);
            make_row(&row, &pixel, row_of(y, first + i), channels > p->output_channels ? few : 0, k > 0);
        }
}
