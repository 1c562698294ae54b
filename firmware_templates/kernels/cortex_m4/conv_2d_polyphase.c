/* CONV_2D 3x3 with stride 2, by its phases and Winograd's F(2, 2).
 *
 * Along one axis two outputs lie over five pixels e0 o0 e1 o1 e2; with the taps w0 w1 w2,
 *
 *   y0 = [(e0 - e1) w0 + o0 w1] + e1 (w0 + w2)
 *   y1 = [(e2 - e1) w2 + o1 w1] + e1 (w0 + w2)
 *
 * five products in place of six: L = (e0 - e1, o0) and R = (e2 - e1, o1), each a sum of two, and C = e1, which both
 * outputs share. Along both axes 25 products take the place of 36, in nine sums: see conv_2d_polyphase.S. There is
 * no division, and nothing grows by more than a factor of four, so that int16 holds it all.
 */
#include "conv_2d_polyphase.h"

#include <stdbool.h>

#include "dsp.h"

enum {
    TILES = 4, /* in a block */
    PATCH = 5, /* pixels beneath a tile, in each direction */
    PLACES = 25, /* vectors of pixels of a tile */
};

/* What conv_2d_polyphase.S copies to its stack, in its order. */
struct conv_2d_polyphase_block {
    const uint32_t *x;
    int32_t run_bytes;
    int32_t channel, channel_end;
    int32_t start;           /* 2 * (output zero point + 128) + 1 */
    uint32_t above, ceiling; /* 127 - ceiling, ceiling + 1; a byte for each channel of the pair, twice */
    conv_2d_polyphase_rescaling *store;
    int32_t rows;
    int8_t *const *y;
};

void conv_2d_polyphase_multiply(const struct conv_2d_polyphase_block *block, const void *weights);

void conv_2d_polyphase_transform(const int8_t *const *pixels, uint32_t *const *streams, int32_t channels);

/* Where the words of each product begin, behind those of so many vectors: CC CL CR, LC LL LR, RC RL RR. */
static const uint8_t places_before[9] = {0, 1, 3, 5, 11, 7, 15, 21, 17};

/* Where the pixels of the patch are whose first row and column are `top` and `left`; of `rows` rows. */
RAMCODE static void find_patch(const struct conv_2d_polyphase *p, const struct feature_map *x, int32_t top,
                               int32_t left, int32_t rows, const int8_t *padding, const int8_t **pixels)
{
    int32_t channels = p->input_channels;
    bool inside = left >= 0 && left + PATCH <= p->input_width; /* all columns */

    for (int32_t row = top; row < top + PATCH; row++) {
        bool is_row = row >= 0 && row < p->input_height && row < top + rows;
        const int8_t *from = is_row ? row_of(x, row) + left * channels : padding;
        int32_t step = is_row ? channels : 0;

        for (int32_t column = 0; column < PATCH; column++, from += step)
            pixels[column] = from;
        for (int32_t column = 0; !inside && column < PATCH; column++)
            if ((uint32_t)(left + column) >= (uint32_t)p->input_width)
                pixels[column] = padding;
        pixels += PATCH;
    }
}

/* All channels of a block. Of an odd number, the last is made with the one before it, which is made twice. */
RAMCODE static void multiply_all(const struct conv_2d_polyphase *p, struct conv_2d_polyphase_block *block)
{
    int32_t channels = p->output_channels, even = channels & ~1;
    const int8_t *weights = p->weights;

    block->channel = 0;
    block->channel_end = even;
    conv_2d_polyphase_multiply(block, weights);
    if (channels > even) {
        block->channel = channels - 2;
        block->channel_end = channels;
        conv_2d_polyphase_multiply(block, weights + even / 2 * p->pair_bytes);
    }
}

RAMCODE void conv_2d_polyphase_cortex_m4(const struct conv_2d_polyphase *p, const struct feature_map *x,
                                         const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    int32_t channels = p->input_channels, rows = count < 2 ? 1 : 2;
    int32_t across = (p->output_width + 1) / 2, tiles = (count + 1) / 2 * across;
    uint32_t above = (uint32_t)(127 - p->ceiling) * 0x01010101u, *words = scratch;
    const int8_t **pixels = (const int8_t **)(words + PLACES * TILES * (channels / 2));
    uint32_t *padding = (uint32_t *)(pixels + PLACES);
    uint32_t *streams[9];
    int8_t *to[4][TILES]; /* outputs 01, 00, 11, 10 */
    struct conv_2d_polyphase_block block = {
        .x = words,
        .run_bytes = channels / 2 * TILES * 4,
        .start = 2 * (p->output_zero + 128) + 1,
        .above = above,
        .ceiling = usub8(0x80808080u, above),
        .store = p->store,
        .rows = rows,
        .y = to[0],
    };

    for (int32_t i = 0; i < channels / 4; i++)
        padding[i] = (uint8_t)p->input_zero * 0x01010101u;
    /* Tiles that would hang over the end begin earlier; the last one fills up the last block. */
    for (int32_t start = 0; start < tiles; start += TILES) {
        for (int32_t tile = 0; tile < TILES; tile++) {
            int32_t k = start + tile < tiles ? start + tile : tiles - 1, row = k / across * 2, column = k % across * 2;

            row = first + (row + rows > count ? count - rows : row);
            column = column + 2 > p->output_width ? p->output_width - 2 : column;
            find_patch(p, x, row * 2 - p->pad_top, column * 2 - p->pad_left, 2 * rows + 1, (int8_t *)padding, pixels);
            for (int32_t i = 0; i < 9; i++)
                streams[i] = words + tile + places_before[i] * (channels / 2 * TILES);
            conv_2d_polyphase_transform(pixels, streams, channels);
            for (int32_t i = 0; i < rows; i++) {
                to[2 * i + 1][tile] = row_of(y, row + i) + column * p->output_channels;
                to[2 * i][tile] = to[2 * i + 1][tile] + p->output_channels;
            }
        }
        multiply_all(p, &block);
    }
}
