/* TRANSPOSE_CONV as convolutions of the input, one for each phase of the output, by the product of conv_2d_gemm.
 *
 * Counted from the corner of the full result, output row q * stride_y + phase meets the taps phase, phase + stride_y,
 * phase + 2 * stride_y ..., which lie over the input rows q, q - 1, q - 2 ...; columns likewise. All outputs of one
 * phase are so a plain convolution with stride 1 and some of the taps, and none of these is multiplied in vain. Its
 * outputs lie a stride apart.
 *
 * Input rows are widened once for all phases, with their padding around them, into a ring of those beneath one row of
 * outputs. Blocks of four outputs are of one phase and one row.
 */
#include "transpose_conv_gemm.h"

#include "conv_2d_gemm_parts.h"

/* The outputs of one phase in one row. `from` is what lies beneath the first of them. */
RAMCODE static void make_outputs(const struct conv_2d_gemm *conv, struct conv_2d_gemm_block *block,
                                 const struct widened_rows *rows, uint32_t *words, const uint8_t *from,
                                 int32_t from_step, int8_t *to, int32_t to_step, int32_t left)
{
    while (left > 0) {
        const uint8_t *windows[PIXELS];

        choose_products(conv, block, left);
        for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
            windows[pixel] = from;
            block->y[pixel] = to;
            if (--left > 0) {
                from += from_step;
                to += to_step;
            }
        }
        conv_2d_gemm_collect(rows, windows, words);
        conv_2d_gemm_multiply_all(conv, block);
    }
}

RAMCODE void transpose_conv_gemm_cortex_m4(const struct transpose_conv_gemm *p, const struct feature_map *x,
                                           const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    int32_t channels = p->output_channels, most_taps = (p->kernel_height + p->stride_y - 1) / p->stride_y;
    uint32_t *words = scratch;
    uint8_t *ring = (uint8_t *)(words + p->steps * PIXELS);
    struct conv_2d_gemm conv = {
        .input_height = p->input_height,
        .input_width = p->input_width,
        .input_channels = p->input_channels,
        .output_channels = channels,
        .pad_top = most_taps - 1,
        .pad_left = p->pad_left,
        .input_zero = p->input_zero,
        .floor = p->floor,
        .multiply = p->multiply,
        .multiply_two = p->multiply_two,
    };
    struct conv_2d_gemm_windows w = {.p = &conv, .x = x};
    struct widened_rows rows = {
        .ring_bytes = most_taps * p->slot_bytes,
        .ring_end = ring + most_taps * p->slot_bytes,
        .slot_bytes = p->slot_bytes,
        .slots = most_taps,
    };
    struct conv_2d_gemm_block block = {
        .x = words,
        .start = 2 * (p->output_zero - p->floor) + 1,
        .store = p->store,
        .behind = p->scales,
    };

    set_ceiling(&conv, &block, (uint32_t)(127 - p->ceiling) * 0x01010101u);
    for (int32_t row = first; row < first + count; row++) {
        int32_t full = row + p->pad_top, last = full / p->stride_y, phase = full % p->stride_y;
        int32_t taps = (p->kernel_height - phase + p->stride_y - 1) / p->stride_y;
        int32_t top = last - taps + most_taps; /* in rows of padding and input */
        const struct transpose_conv_gemm_columns *columns = p->columns;
        const int32_t *begin = p->phases + phase * p->stride_x;

        if (row == first)
            rows.next = top;
        conv_2d_gemm_widen_rows(&w, &rows, top + taps);
        rows.taps_rows = taps;
        for (int32_t i = 0; i < p->stride_x; i++, columns++, begin++) {
            int32_t steps = taps * columns->words + (taps * columns->left_over + 1) / 2;

            rows.words = columns->words;
            rows.left_over = columns->left_over;
            rows.to_next = p->slot_bytes - columns->words * 4;
            conv.pair_bytes = p->pair_bytes + steps * p->step_bytes;
            conv.weights = (const uint8_t *)p->weights + *begin;
            block.x_end = words + steps * PIXELS;
            make_outputs(&conv, &block, &rows, words, slot_of(&rows, top) + columns->start, 2 * p->input_channels,
                         row_of(y, row) + columns->first * channels, p->stride_x * channels, columns->count);
        }
    }
}
