/* What conv_2d_gemm shares with kernels that come down to its product: blocks, rows that are widened, matrices. */
#ifndef KERNELS_CONV_2D_GEMM_PARTS_H
#define KERNELS_CONV_2D_GEMM_PARTS_H

#include <stdbool.h>

#include "conv_2d_gemm.h"
#include "dsp.h"

#define PIXELS 4

/* What conv_2d_gemm.S copies to its stack, in its order. */
struct conv_2d_gemm_block {
    const uint32_t *x, *x_end;
    int32_t channel, channel_end;
    int32_t start;           /* 2 * (output zero point - floor) + 1 */
    uint32_t above, ceiling; /* 127 - ceiling + floor + 128, ceiling + 1; a byte for each channel of the pair, twice */
    int8_t *y[PIXELS];
    conv_2d_gemm_rescaling *store;
    const uint8_t *behind;   /* all records: shifts, or multiplier and shift; or a table apart */
    conv_2d_gemm_products *multiply; /* not copied */
};

/* Rows of the input with its padding, as 2 * (x + 128), in a ring. conv_2d_gemm.S knows the first fields. */
struct widened_rows {
    int32_t words, left_over; /* of a row of taps: whole words, and whether there is a value more */
    int32_t taps_rows;
    int32_t to_next; /* bytes from the end of these words to the next row of taps */
    int32_t ring_bytes;
    uint8_t *ring_end;
    int32_t slot_bytes, slots;
    int32_t next; /* row that is to be widened next; 0 is the first one of padding */
};

void conv_2d_gemm_collect(const struct widened_rows *rows, const uint8_t *const *from, uint32_t *to);

/* What all windows of a call have in common. */
struct conv_2d_gemm_windows {
    const struct conv_2d_gemm *p;
    const struct feature_map *x;
    int32_t last_top, last_left; /* beyond, and before 0, a window hangs over the border */
    int32_t rows, columns;       /* from a window's first to its last */
    int32_t runs, run_bytes;     /* of each row of taps */
    uint8_t *bytes;
};

/* `above` is 127 less the ceiling, in each byte. */
static inline void set_ceiling(const struct conv_2d_gemm *p, struct conv_2d_gemm_block *block, uint32_t above)
{
    block->above = above + (uint32_t)(p->floor + 128) * 0x01010101u;
    block->ceiling = usub8(0x80808080u, above);
}

/* How many outputs of a block are made, of those that are left: the others are the last one again. */
static inline int32_t choose_products(const struct conv_2d_gemm *p, struct conv_2d_gemm_block *block, int32_t left)
{
    bool two = left <= 2 && p->multiply_two;

    block->multiply = two ? p->multiply_two : p->multiply;
    return two ? 2 : PIXELS;
}

/* All channels of a block. Of an odd number, the last is made with the one before it, which is made twice. */
void conv_2d_gemm_multiply_all(const struct conv_2d_gemm *p, struct conv_2d_gemm_block *block);

/* Values of padding to the left of a widened row, an even number: the input's values begin with a word. */
static inline int32_t values_before(const struct conv_2d_gemm *p)
{
    return (p->pad_left * p->input_channels + 1) & ~1;
}

static inline uint8_t *slot_of(const struct widened_rows *rows, int32_t row)
{
    return rows->ring_end - rows->ring_bytes + row % rows->slots * rows->slot_bytes;
}

/* Has the rows before `end` in the ring. Of `w`, `p` and `x` are read; of `p`, what the input and its padding are. */
void conv_2d_gemm_widen_rows(const struct conv_2d_gemm_windows *w, struct widened_rows *rows, int32_t end);

/* A matrix (rows, depth) times one (depth, columns): a convolution with windows of one pixel, over a map of one row. */
static inline struct conv_2d_gemm product_of_matrices(int32_t rows, int32_t depth, int32_t columns)
{
    return (struct conv_2d_gemm){
        .input_height = 1,
        .input_width = rows,
        .input_channels = depth,
        .output_width = rows,
        .output_channels = columns,
        .kernel_height = 1,
        .kernel_width = 1,
        .stride_y = 1,
        .stride_x = 1,
        .dilation_y = 1,
        .dilation_x = 1,
        .way = conv_2d_gemm_pixels,
    };
}

#endif
