/* What the Winograd kernels share in C: the walk over the tiles of a layer, told by winograd.h. */
#include "winograd.h"

enum {
    TILES = 4, /* in a block */
    MOST_PATCH = 6,
};

static inline int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Pixels of a patch in each direction, and of all of it. */
static inline int32_t patch_of(const struct winograd_algorithm *f)
{
    return f->tile + 2;
}

static inline int32_t positions_of(const struct winograd_algorithm *f)
{
    return patch_of(f) * patch_of(f);
}

/* Words of U for a pair of channels. */
static inline int32_t pair_words(const struct winograd_algorithm *f, const struct winograd_layer *p)
{
    return positions_of(f) * (2 + p->input_channels);
}

/* Of 3 x 3 taps, the sum of channels 4n and 4n + 1, which go to low lanes. */
static RAMCODE void sum_low_lanes(const int8_t *w, int32_t channels, int32_t taps[9])
{
    for (int32_t tap = 0; tap < 9; tap++, w += 4)
        taps[tap] = w[0] + w[1];
    for (channels -= 4; channels > 0; channels -= 4)
        for (int32_t tap = 0; tap < 9; tap++, w += 4)
            taps[tap] += w[0] + w[1];
}

/* What the sums of a filter start from, position by position: the bias, and less what the input's transform adds to low
 * lanes. U is linear in the weights: of the sum over channels it is the sum of U. */
static RAMCODE void start_sums(const struct winograd_algorithm *f, const struct winograd_layer *p, int32_t filter,
                               const int8_t *w, uint32_t *start)
{
    int32_t taps[9], columns[3][MOST_PATCH], low[MOST_PATCH];
    int32_t patch = patch_of(f), step = 2 + p->input_channels;
    uint32_t offset = f->low_lane_offset, *next = start;

    if (offset == 0) {
        for (int32_t position = 0; position < patch * patch; position++, next += step)
            *next = 0;
    } else {
        sum_low_lanes(w, p->input_channels, taps);
        for (int32_t x = 0; x < 3; x++)
            f->filter(taps[x], taps[3 + x], taps[6 + x], columns[x]);
        for (int32_t row = 0; row < patch; row++) {
            f->filter(columns[0][row], columns[1][row], columns[2][row], low);
            for (int32_t column = 0; column < patch; column++, next += step)
                *next = 0u - offset * (uint32_t)low[column];
        }
    }
    start[(patch + 1) * step] += (uint32_t)p->bias[filter]; /* row and column 1 */
}

/* U of channels `channel` and the next (if there is none, of the same one again). */
static RAMCODE void transform_pair(const struct winograd_algorithm *f, const struct winograd_layer *p, int32_t channel,
                                   uint32_t *u)
{
    for (int32_t o = 0; o < 2; o++, u++) {
        int32_t filter = smaller(channel + o, p->output_channels - 1);
        const int8_t *w = p->weights + filter * 9 * p->input_channels;

        start_sums(f, p, filter, w, u);
        f->weights(w, u + 2, p->input_channels, 4 * (2 + p->input_channels));
    }
}

void winograd_prepare(const struct winograd_algorithm *f, const struct winograd_layer *p)
{
    uint32_t *u = (uint32_t *)p->transformed; /* in RAM here */

    for (int32_t channel = 0; channel < p->output_channels; channel += 2) {
        transform_pair(f, p, channel, u);
        u += pair_words(f, p);
    }
}

/* Pointers to the pixels of the patch whose first row and column are `top` and `left`. */
static RAMCODE void find_patch(const struct winograd_layer *p, const struct feature_map *x, int32_t patch, int32_t top,
                               int32_t left, const int8_t *padding, const int8_t **pixels)
{
    int32_t channels = p->input_channels;
    const int8_t *line = row_of(x, larger(top, 0)), *line_end = x->data + x->rows * x->row_bytes;

    for (int32_t row = top; row < top + patch; row++) {
        int32_t width = 0; /* of the row's inside */
        const int8_t *pixel = padding;

        if ((uint32_t)row < (uint32_t)p->input_height) {
            width = p->input_width;
            pixel = line + left * channels;
            line += x->row_bytes;
            if (line == line_end)
                line = x->data;
        }
        if (left >= 0 && left + patch <= width) {
            const int8_t **end = pixels + patch;

            for (; pixels != end; pixels += 2) {
                pixels[0] = pixel;
                pixel += channels;
                pixels[1] = pixel;
                pixel += channels;
            }
            continue;
        }
        for (int32_t column = left; column < left + patch; column++) {
            *pixels++ = (uint32_t)column < (uint32_t)width ? pixel : padding;
            pixel += channels;
        }
    }
}

/* Pointers to where the rows of a tile are stored, and a null; returns what is behind them. */
static RAMCODE int8_t **find_rows(const struct winograd_layer *p, const struct feature_map *y, int32_t first,
                                  int32_t count, int32_t column, int8_t **rows)
{
    for (int32_t row = first; row < first + count; row++)
        *rows++ = row_of(y, row) + column * p->output_channels;
    *rows++ = 0;
    return rows;
}

static inline void fill_padding(const struct winograd_layer *p, int32_t *padding)
{
    int32_t four = (p->input_zero & 0xFF) * 0x01010101;

    for (int32_t i = 0; i < p->input_channels / 4; i++)
        padding[i] = four;
}

/* Copies what is a multiple of eight words. */
static RAMCODE void copy_eights(int32_t *to, const int32_t *from, int32_t words)
{
    struct eight {
        int32_t word[8];
    };

    for (int32_t i = 0; i < words; i += 8)
        *(struct eight *)(to + i) = *(const struct eight *)(from + i);
}

/* U of a pair of channels, in `room` where it is not used where it lies. */
static RAMCODE const int32_t *find_weights(const struct winograd_algorithm *f, const struct winograd_layer *p,
                                           int32_t channel, int32_t *room)
{
    const int32_t *u;

    if (p->transformed == 0) {
        transform_pair(f, p, channel, (uint32_t *)room);
        return room;
    }
    u = p->transformed + channel / 2 * pair_words(f, p);
    if (p->blocks == 1)
        return u;
    copy_eights(room, u, pair_words(f, p));
    return room;
}

/* The tiles of one call. */
struct walk {
    int32_t first, height, width; /* outputs before pooling: the first row, and how many rows and columns */
    int32_t top, left;            /* of the next tile, from the first row on */
};

/* V of the next block, and where its rows go. */
static RAMCODE void transform_block(const struct winograd_algorithm *f, const struct winograd_layer *p,
                                    const struct feature_map *x, const struct feature_map *y, struct walk *walk,
                                    int32_t *room, int32_t *v, int8_t **rows)
{
    const int8_t **pixels = (const int8_t **)room;
    int32_t side = f->tile, patch = patch_of(f);
    int32_t *padding = room + 3 * patch * patch;
    int32_t halved = p->pool - 1; /* by pooling: 1, else 0 */

    fill_padding(p, padding);
    for (int32_t tile = 0; tile < TILES && walk->top < walk->height; tile++) {
        int32_t row = walk->first + larger(smaller(walk->top, walk->height - side), 0);
        int32_t column = smaller(walk->left, walk->width - side);

        find_patch(p, x, patch, row - p->pad_top, column - p->pad_left, (const int8_t *)padding, pixels);
        f->input(pixels, v + tile, p->input_channels);
        rows = find_rows(p, y, row >> halved, smaller(walk->height, side) >> halved, column >> halved, rows);
        walk->left += side;
        if (walk->left >= walk->width) {
            walk->left = 0;
            walk->top += side;
        }
    }
    *rows = 0;
}

RAMCODE void winograd_rows(const struct winograd_algorithm *algorithm, const struct winograd_layer *layer,
                           const struct feature_map *x, const struct feature_map *y, void *scratch, int32_t first,
                           int32_t count)
{
    /* The sums, or before there are any: pixels, room for the transform (two words for each), a pixel of padding. Then
     * V and rows of each block, rows with a null behind each tile and one in the end, then U of a pair of channels where
     * it is made or copied. */
    /* Of what is read again and again copies in RAM: flash is slow. (Of up to 64 bytes they take no memcpy.) */
    const struct winograd_algorithm own_algorithm = *algorithm, *f = &own_algorithm;
    const struct winograd_layer own_layer = *layer, *p = &own_layer;
    int32_t positions = positions_of(f), rows_words = TILES * (f->tile + 1) + 1;
    int32_t *sums = scratch;
    int32_t *v = sums + larger(positions * TILES * 2, 3 * positions + p->input_channels / 4);
    int32_t v_words = positions * TILES * (p->input_channels / 2);
    int8_t **rows = (int8_t **)(v + p->blocks * v_words);
    int32_t *room = (int32_t *)(rows + p->blocks * rows_words);
    struct walk walk = {first * p->pool, count * p->pool, p->output_width * p->pool, 0, 0};

    while (walk.top < walk.height) {
        int32_t blocks = 0;

        do {
            transform_block(f, p, x, y, &walk, sums, v + blocks * v_words, rows + blocks * rows_words);
            blocks++;
        } while (blocks < p->blocks && walk.top < walk.height);
        for (int32_t channel = 0; channel < p->output_channels; channel += 2) {
            const int32_t *u = find_weights(f, p, channel, room);

            for (int32_t block = 0; block < blocks; block++) {
                f->multiply(v + block * v_words, u, sums, p->input_channels / 2);
                p->output(sums, p->rescaling + 2 * channel, rows + block * rows_words, p->output_channels,
                          smaller(p->output_channels - channel, 2), p->offset);
            }
        }
    }
}
