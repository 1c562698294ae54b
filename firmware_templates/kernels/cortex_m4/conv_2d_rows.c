/* CONV_2D, 3 x 3, stride 1, in pieces: some rows of some strips of six or four columns.
 *
 * What lies beneath a strip is written out as int16, once for all channels:
 *
 *     words[input row][pair of input channels][column]
 *
 * so that what lies beneath one row of outputs is one run of words, and beneath the next row one that begins a row of
 * words later. Then, channel by channel, the filter is widened, and used on all rows of all strips of the piece: so it is
 * read from flash once for all of them. With few rows there is less to do, and less memory wanted, where each row takes
 * the filter's bytes as they lie. The last strip of a row begins as far before the end as it is wide: what it has
 * in common with its neighbour is made twice.
 */
#include "conv_2d_rows.h"

#include <stdbool.h>

#include "dsp.h"

/* A strip and a piece, as conv_2d_rows.S reads them. */
struct conv_2d_rows_strip {
    const uint32_t *words;
    int8_t *const *outputs; /* each row of the output, after pooling, at the strip's first column */
    int8_t *const *outputs_end;
};

struct conv_2d_rows_piece {
    const struct conv_2d_rows_strip *strips, *strips_end;
    int32_t row_bytes;             /* of words */
    const void *filter, *filter_end; /* room for one, widened; or the bytes of the first */
    const int8_t *weights;
    const int32_t *records;
    int32_t channels;
    int32_t offset; /* 2 * (output zero point + 128) + 1 */
    int32_t pool;
};

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

/* So many rows of outputs before pooling, from `row` on, and so many strips of `columns` from `left` on. */
RAMCODE static void make_piece(const struct conv_2d_rows *p, const struct feature_map *x, const struct feature_map *y,
                               uint32_t *scratch, int32_t row, int32_t rows, int32_t left, int32_t strips,
                               int32_t columns)
{
    int32_t beneath = columns + 2, pairs = p->input_channels / 2, last = p->output_width * p->pool - columns;
    uint32_t *words = scratch + p->widened * 9 * pairs;
    struct conv_2d_rows_strip *strip = (struct conv_2d_rows_strip *)(words + strips * (rows + 2) * pairs * beneath);
    int8_t **outputs = (int8_t **)(strip + strips);
    struct conv_2d_rows_piece piece = {
        .strips = strip,
        .strips_end = strip + strips,
        .row_bytes = 4 * pairs * beneath,
        .filter = p->widened ? (const void *)scratch : p->weights,
        .filter_end = p->widened ? (const void *)words : p->weights + 18 * pairs,
        .weights = p->weights,
        .records = p->records,
        .channels = p->output_channels,
        .offset = 2 * (p->output_zero + 128) + 1,
        .pool = p->pool,
    };

    for (; strip < piece.strips_end; strip++, left += columns, words += (rows + 2) * pairs * beneath) {
        int32_t first = left < last ? left : last;

        strip->words = words;
        strip->outputs = outputs;
        lay(p, x, row - p->pad_top, first - p->pad_left, rows + 2, beneath, words);
        for (int32_t i = 0; i < rows / p->pool; i++)
            *outputs++ = row_of(y, row / p->pool + i) + first / p->pool * p->output_channels;
        strip->outputs_end = outputs;
    }
    (columns == 6 ? p->six : p->four)(&piece);
}

RAMCODE void conv_2d_rows_cortex_m4(const struct conv_2d_rows *p, const struct feature_map *x,
                                    const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    int32_t end = (first + count) * p->pool, all = p->sixes + p->fours;

    for (int32_t row = first * p->pool; row < end; row += p->rows) {
        int32_t rows = end - row < p->rows ? end - row : p->rows, left = 0;

        for (int32_t strip = 0, strips; strip < all; strip += strips) {
            bool six = strip < p->sixes;
            int32_t alike = (six ? p->sixes : all) - strip;

            strips = alike < p->strips ? alike : p->strips;
            make_piece(p, x, y, scratch, row, rows, left, strips, six ? 6 : 4);
            left += strips * (six ? 6 : 4);
        }
    }
}
