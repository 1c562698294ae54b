#ifndef KERNELS_CONV_2D_ROWS_H
#define KERNELS_CONV_2D_ROWS_H

#include "rows.h"

struct conv_2d_rows_piece;

/* All channels of a piece, of strips of six or four columns: filters widened first, or their bytes read for each row. */
typedef void conv_2d_rows_loops(const struct conv_2d_rows_piece *piece);
conv_2d_rows_loops conv_2d_rows_six, conv_2d_rows_four, conv_2d_rows_six_bytes, conv_2d_rows_four_bytes;

struct conv_2d_rows {
    int32_t input_height, input_width, input_channels;
    int32_t output_width, output_channels; /* after pooling */
    int32_t pad_top, pad_left;
    int32_t pool;                 /* 2: the maximum of 2 x 2 outputs; 1: none */
    int32_t input_zero, output_zero;
    int32_t sixes, fours;         /* strips of six columns, and behind them of four */
    int32_t rows;                 /* of outputs before pooling, that share a pass over the weights */
    int32_t strips;               /* that do */
    int32_t widened;              /* filters, first: 1, else 0 */
    conv_2d_rows_loops *six, *four; /* null where there are no such strips */
    const int8_t *weights;        /* [channel][kernel row], in the order that conv_2d_rows.S widens */
    const int32_t *records;       /* [channel]{start, multiplier, bytes shift - 1, floor + 128, 127 - ceiling, 0} */
};

/* scratch: 18 * input_channels bytes where filters are widened, and for each of `strips` (rows + 2) * 16 * input_channels, three words and one for
 * each row after pooling; of four columns 12 in place of 16 */
void conv_2d_rows_cortex_m4(const struct conv_2d_rows *p, const struct feature_map *x, const struct feature_map *y,
                            void *scratch, int32_t first, int32_t count);

#endif
