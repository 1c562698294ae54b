/* CONV_2D as a product of matrices: what lies beneath the windows of four outputs (im2col), times all weights.
 *
 * Blocks of four outputs go along the rows, and from a row to the next; where the rows that are asked for end in the
 * middle of a block, its last output is made more than once. With fused pooling, the outputs of a block are those of
 * one pooling window (the last of them repeated, larger windows in several blocks), whose maximum is kept.
 *
 * Beneath a window lie runs of contiguous bytes, `kernel_width * channels` long, or `channels` where columns are
 * dilated. Of each, whole words are widened; the bytes left over of all runs follow, collected first. The generator
 * orders the weights likewise. A window that hangs over the border is put together in `bytes`, with the zero point as
 * padding, and widened from there.
 */
#include "conv_2d_gemm.h"

#include <stdbool.h>

#include "dsp.h"

#define PIXELS 4

/* What conv_2d_gemm.S copies to its stack, in its order. */
struct conv_2d_gemm_block {
    const uint32_t *x, *x_end;
    int32_t channel, channel_end;
    int32_t start;           /* 2 * (output zero point + 128) + 1 */
    uint32_t above, ceiling; /* 127 - ceiling, ceiling + 1; a byte for each channel of the pair, twice */
    int8_t *y[PIXELS];
    void (*store)(void);
};

void conv_2d_gemm_int8(const struct conv_2d_gemm_block *block, const void *weights);
void conv_2d_gemm_int16(const struct conv_2d_gemm_block *block, const void *weights);
void conv_2d_gemm_store(void);
void conv_2d_gemm_store_half_up(void);
void conv_2d_gemm_store_largest(void);

/* How the runs of a window lie in memory. */
struct window {
    const int8_t *first;
    int32_t row_step, run_step; /* from a row of taps to the next, from a run to the next */
    const int8_t *ring_end;     /* where rows begin again from the ring's start */
    int32_t ring_bytes;
};

RAMCODE static void copy_bytes(uint8_t *to, const int8_t *from, int32_t count)
{
    for (; count >= 4; count -= 4, to += 4, from += 4)
        store_word(to, load_word(from));
    for (; count > 0; count--)
        *to++ = (uint8_t)*from++;
}

/* Two steps of one pixel from four bytes: doubled, 128 added before, lanes (0, 2) and (1, 3). */
static inline uint32_t *widen(uint32_t *to, const int8_t *from, int32_t words)
{
    for (; words > 0; words--, from += 4, to += 2 * PIXELS) {
        uint32_t four = load_word(from) ^ 0x80808080u;

        to[0] = (four << 1) & 0x01FE01FEu;
        to[PIXELS] = (four >> 7) & 0x01FE01FEu;
    }
    return to;
}

RAMCODE static void widen_window(const struct conv_2d_gemm *p, struct window window, uint32_t *to, uint8_t *bytes)
{
    int32_t runs = p->dilation_x > 1 ? p->kernel_width : 1;
    int32_t run_bytes = (p->dilation_x > 1 ? 1 : p->kernel_width) * p->input_channels;
    int32_t left = run_bytes % 4;
    uint8_t *collected = bytes;

    for (int32_t row = 0; row < p->kernel_height; row++) {
        const int8_t *from = window.first;

        for (int32_t run = 0; run < runs; run++, from += window.run_step) {
            to = widen(to, from, run_bytes / 4);
            for (int32_t i = run_bytes - left; i < run_bytes; i++)
                *collected++ = (uint8_t)from[i];
        }
        window.first += window.row_step;
        if (window.first >= window.ring_end)
            window.first -= window.ring_bytes;
    }
    widen(to, (const int8_t *)bytes, (int32_t)(collected - bytes + 3) / 4);
}

/* The taps first <= k < end with 0 <= origin + k * dilation < size. */
static inline int32_t first_inside(int32_t origin, int32_t dilation)
{
    return origin < 0 ? (dilation - 1 - origin) / dilation : 0;
}

static inline int32_t end_inside(int32_t origin, int32_t taps, int32_t dilation, int32_t size)
{
    return origin + (taps - 1) * dilation < size ? taps : (size - origin + dilation - 1) / dilation;
}

/* A window that hangs over the border. */
RAMCODE static void gather(const struct conv_2d_gemm *p, const struct feature_map *x, int32_t top, int32_t left,
                           uint8_t *bytes)
{
    int32_t channels = p->input_channels, width = p->kernel_width * channels;
    uint32_t padding = (uint8_t)p->input_zero * 0x01010101u;
    int32_t row = first_inside(top, p->dilation_y);
    int32_t row_end = end_inside(top, p->kernel_height, p->dilation_y, p->input_height);
    int32_t first = first_inside(left, p->dilation_x);
    int32_t end = end_inside(left, p->kernel_width, p->dilation_x, p->input_width);
    bool whole = p->dilation_x == 1;

    for (int32_t i = 0; i < p->kernel_height * width; i += 4)
        store_word(bytes + i, padding);
    for (; row < row_end; row++) {
        const int8_t *from = row_of(x, top + row * p->dilation_y) + left * channels;
        uint8_t *to = bytes + row * width;

        for (int32_t tap = first; tap < end; tap += whole ? end - first : 1)
            copy_bytes(to + tap * channels, from + tap * p->dilation_x * channels,
                       (whole ? end - first : 1) * channels);
    }
}

/* One pixel of a block: what lies beneath the convolution's output (row, column). */
RAMCODE static void lay(const struct conv_2d_gemm *p, const struct feature_map *x, int32_t row, int32_t column,
                        uint32_t *to, uint8_t *bytes)
{
    int32_t top = row * p->stride_y - p->pad_top, left = column * p->stride_x - p->pad_left;
    struct window window;

    if (top >= 0 && left >= 0 && top + (p->kernel_height - 1) * p->dilation_y < p->input_height
        && left + (p->kernel_width - 1) * p->dilation_x < p->input_width) {
        window.first = row_of(x, top) + left * p->input_channels;
        window.row_step = p->dilation_y * x->row_bytes;
        window.run_step = p->dilation_x * p->input_channels;
        window.ring_bytes = x->rows * x->row_bytes;
        window.ring_end = x->data + window.ring_bytes;
    } else {
        gather(p, x, top, left, bytes);
        window.first = (const int8_t *)bytes;
        window.row_step = p->kernel_width * p->input_channels;
        window.run_step = p->input_channels;
        window.ring_bytes = 0;
        window.ring_end = window.first;
    }
    widen_window(p, window, to, bytes);
}

/* Channels [first, end) of a block, from the weights of the first on. */
RAMCODE static void multiply(const struct conv_2d_gemm *p, struct conv_2d_gemm_block *block, int32_t first,
                             int32_t end, const int8_t *weights)
{
    uint32_t above = (uint32_t)(127 - p->ceiling) * 0x01010101u;

    if (p->ceilings)
        above = (uint32_t)(127 - p->ceilings[first]) * 0x00010001u
                + (uint32_t)(127 - p->ceilings[end - 1 < p->output_channels ? end - 1 : first]) * 0x01000100u;
    block->channel = first;
    block->channel_end = end;
    block->above = above;
    block->ceiling = usub8(0x80808080u, above);
    if (p->wide)
        conv_2d_gemm_int16(block, weights);
    else
        conv_2d_gemm_int8(block, weights);
}

/* The only channel there is: a second one goes with it, and is left out. */
RAMCODE static void multiply_single(const struct conv_2d_gemm *p, struct conv_2d_gemm_block *block)
{
    int8_t pairs[PIXELS][2], *y[PIXELS];

    for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
        y[pixel] = block->y[pixel];
        pairs[pixel][0] = *y[pixel];
        block->y[pixel] = pairs[pixel];
    }
    multiply(p, block, 0, 2, p->weights);
    for (int32_t pixel = 0; pixel < PIXELS; pixel++)
        *y[pixel] = pairs[pixel][0];
}

/* All channels of a block. Of an odd number, the last is made with the one before it, which is made twice. */
RAMCODE static void multiply_all(const struct conv_2d_gemm *p, struct conv_2d_gemm_block *block)
{
    int32_t channels = p->output_channels, even = channels & ~1, step = p->ceilings ? 2 : even;
    const int8_t *weights = p->weights;

    if (channels == 1) {
        multiply_single(p, block);
        return;
    }
    for (int32_t first = 0; first < even; first += step, weights += step / 2 * p->pair_bytes)
        multiply(p, block, first, first + step, weights);
    if (channels > even)
        multiply(p, block, channels - 2, channels, weights);
}

RAMCODE static void pooled_row(const struct conv_2d_gemm *p, const struct feature_map *x,
                               const struct feature_map *y, struct conv_2d_gemm_block *block, uint32_t *words,
                               int32_t row)
{
    int32_t outputs = p->pool_height * p->pool_width;
    uint8_t *bytes = (uint8_t *)block->x_end;

    for (int32_t column = 0; column < p->output_width; column++) {
        block->y[0] = row_of(y, row) + column * p->output_channels;
        for (int32_t i = 0; i < p->output_channels; i++)
            block->y[0][i] = INT8_MIN;
        for (int32_t done = 0; done < outputs; done += PIXELS) {
            for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
                int32_t i = done + pixel < outputs ? done + pixel : outputs - 1;

                lay(p, x, row * p->pool_height + i / p->pool_width, column * p->pool_width + i % p->pool_width,
                    words + pixel, bytes);
            }
            multiply_all(p, block);
        }
    }
}

RAMCODE static void rows(const struct conv_2d_gemm *p, const struct feature_map *x, const struct feature_map *y,
                         struct conv_2d_gemm_block *block, uint32_t *words, int32_t first, int32_t count)
{
    int32_t row = first, column = 0, left = count * p->output_width;
    uint8_t *bytes = (uint8_t *)block->x_end;

    while (left > 0) {
        for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
            lay(p, x, row, column, words + pixel, bytes);
            block->y[pixel] = row_of(y, row) + column * p->output_channels;
            if (--left > 0 && ++column == p->output_width) {
                column = 0;
                row++;
            }
        }
        multiply_all(p, block);
    }
}

RAMCODE void conv_2d_gemm_cortex_m4(const struct conv_2d_gemm *p, const struct feature_map *x,
                                    const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    int32_t taps = p->kernel_height * p->kernel_width * p->input_channels;
    uint32_t *words = scratch;
    struct conv_2d_gemm_block block = {
        .x = words,
        .x_end = words + (taps + 3) / 4 * 2 * PIXELS,
        .start = 2 * (p->output_zero + 128) + 1,
        .store = p->half_up ? conv_2d_gemm_store_half_up : conv_2d_gemm_store,
    };

    if (p->pool_height * p->pool_width == 1) {
        rows(p, x, y, &block, words, first, count);
    } else {
        block.store = conv_2d_gemm_store_largest;
        for (int32_t row = first; row < first + count; row++)
            pooled_row(p, x, y, &block, words, row);
    }
}
