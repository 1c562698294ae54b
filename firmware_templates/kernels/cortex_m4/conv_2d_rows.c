/* CONV_2D, 3 x 3, stride 1, six or four columns of outputs at a time, several rows of them.
 *
 * What lies beneath such a piece of the output is written out as int16, once for all channels:
 *
 *     words[input row][pair of input channels][column]
 *
 * so that what lies beneath one row of outputs is one run of words, and beneath the next row one that begins a row of
 * words later. Then, channel by channel, the filter is widened, and used on all rows of the piece: so it is read from
 * flash once for all of them. The last strip of columns begins as far before the end as it is wide: what it has in
 * common with its neighbour is made twice.
 */
#include "conv_2d_rows.h"

#include <stdbool.h>

#include "dsp.h"

/* A piece, as conv_2d_rows.S reads it. */
struct conv_2d_rows_piece {
    const uint32_t *words;
    int8_t *const *outputs; /* each row of the output, after pooling, at the strip's first column */
    int8_t *const *outputs_end;
    int32_t row_bytes;            /* of words */
    uint32_t *filter, *filter_end; /* room for one, widened */
    const int8_t *weights;
    const int32_t *records;
    int32_t channels;
    int32_t offset; /* 2 * (output zero point + 128) + 1 */
    int32_t pool;
};

void conv_2d_rows_six(const struct conv_2d_rows_piece *piece);
void conv_2d_rows_four(const struct conv_2d_rows_piece *piece);

/* A pixel as 2 * (x + 128) in int16, bytes 0 and 2 of four channels in one word, 1 and 3 in the next one. */
RAMCODE static void lay_pixel(const int8_t *from, uint32_t *to, int32_t channels, int32_t columns)
{
    uint32_t *other = to + columns;

#pragma GCC unroll 2
    for (const int8_t *end = from + channels; from < end; from += 4, to += 2 * columns, other += 2 * columns) {
        uint32_t four = load_word(from) ^ 0x80808080u;

        *to = four << 1 & 0x01FE01FEu;
        *other = four >> 7 & 0x01FE01FEu;
    }
}

RAMCODE static void lay_padding(const struct conv_2d_rows *p, uint32_t *to, int32_t columns)
{
    uint32_t two = (uint32_t)(p->input_zero + 128) * 0x00020002u;

    for (int32_t pair = 0; pair < p->input_channels / 2; pair++, to += columns)
        *to = two;
}

/* The words of so many rows and columns of the input, from (top, left) on. */
RAMCODE static void lay(const struct conv_2d_rows *p, const struct feature_map *x, int32_t top, int32_t left,
                        int32_t rows, int32_t columns, uint32_t *words)
{
    for (int32_t row = top; row < top + rows; row++, words += (p->input_channels / 2 - 1) * columns) {
        bool inside = row >= 0 && row < p->input_height;
        const int8_t *from = inside ? row_of(x, row) + left * p->input_channels : x->data;

        for (int32_t column = left; column < left + columns; column++, from += p->input_channels, words++) {
            if (inside && column >= 0 && column < p->input_width)
                lay_pixel(from, words, p->input_channels, columns);
            else
                lay_padding(p, words, columns);
        }
    }
}

/* So many rows of outputs before pooling, from `row` on, and `columns` of them from `left` on. */
RAMCODE static void make_piece(const struct conv_2d_rows *p, const struct feature_map *x, const struct feature_map *y,
                               uint32_t *scratch, int32_t row, int32_t rows, int32_t left, int32_t columns)
{
    int32_t beneath = columns + 2, pairs = p->input_channels / 2;
    uint32_t *filter = scratch + (p->rows + 2) * pairs * beneath;
    int8_t **outputs = (int8_t **)(filter + 9 * pairs);
    struct conv_2d_rows_piece piece = {
        .words = scratch,
        .outputs = outputs,
        .outputs_end = outputs + rows / p->pool,
        .row_bytes = 4 * pairs * beneath,
        .filter = filter,
        .filter_end = filter + 9 * pairs,
        .weights = p->weights,
        .records = p->records,
        .channels = p->output_channels,
        .offset = 2 * (p->output_zero + 128) + 1,
        .pool = p->pool,
    };

    lay(p, x, row - p->pad_top, left - p->pad_left, rows + 2, beneath, scratch);
    for (int32_t i = 0; i < rows / p->pool; i++)
        outputs[i] = row_of(y, row / p->pool + i) + left / p->pool * p->output_channels;
    if (columns == 6)
        conv_2d_rows_six(&piece);
    else
        conv_2d_rows_four(&piece);
}

RAMCODE void conv_2d_rows_cortex_m4(const struct conv_2d_rows *p, const struct feature_map *x,
                                    const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    int32_t width = p->output_width * p->pool, end = (first + count) * p->pool;

    for (int32_t row = first * p->pool; row < end; row += p->rows) {
        int32_t rows = end - row < p->rows ? end - row : p->rows;

        for (int32_t left = 0, strip = 0; left < width; strip++) {
            int32_t columns = strip < p->sixes ? 6 : 4;

            make_piece(p, x, y, scratch, row, rows, left + columns > width ? width - columns : left, columns);
            left += columns;
        }
    }
}
