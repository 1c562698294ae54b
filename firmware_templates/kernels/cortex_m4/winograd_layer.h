/* The C half of a Winograd kernel, told by winograd.h. It is included once by each kernel, which defines TILE,
 * LOW_LANE_OFFSET (see its assembly), `transform_filter` and, as WINOGRAD(part), its name with something behind it. */

enum {
    PATCH = TILE + 2,
    POSITIONS = PATCH * PATCH,
    TILES = 4, /* in a block */
    SUM_WORDS = POSITIONS * TILES * 2,
    ROOM = 2 * POSITIONS, /* words that the transform of a patch needs */
    ROWS = TILES * (TILE + 1) + 1, /* pointers to the rows of a block's tiles, with nulls */
};

/* The assembly half. */
void WINOGRAD(_weights)(const int8_t *w, uint32_t *u, int32_t channels, int32_t step);
void WINOGRAD(_input)(const int8_t *const *pixels, int32_t *v, int32_t channels);
void WINOGRAD(_multiply)(const int32_t *v, const int32_t *u, int32_t *m, int32_t steps);
winograd_output WINOGRAD(_plain), WINOGRAD(_signed), WINOGRAD(_clamped), WINOGRAD(_pooled);

static inline int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Words of U for a pair of channels. */
static inline int32_t pair_words(const struct WINOGRAD() *p)
{
    return POSITIONS * (2 + p->input_channels);
}

/* Of 3 x 3 taps, the sum of channels 4n and 4n + 1, which go to low lanes. */
static RAMCODE void sum_low_lanes(const int8_t *w, int32_t channels, int32_t taps[9])
{
    for (int32_t tap = 0; tap < 9; tap++)
        taps[tap] = 0;
    for (; channels > 0; channels -= 4)
        for (int32_t tap = 0; tap < 9; tap++, w += 4)
            taps[tap] += w[0] + w[1];
}

/* What the sums of a filter start from, position by position: the bias, and less what the input's transform adds to low
 * lanes. U is linear in the weights: of the sum over channels it is the sum of U. */
static RAMCODE void start_sums(const struct WINOGRAD() *p, int32_t filter, const int8_t *w, uint32_t *start)
{
    int32_t taps[9], columns[3][PATCH], low[PATCH] = {0};

    if (LOW_LANE_OFFSET != 0) {
        sum_low_lanes(w, p->input_channels, taps);
        for (int32_t x = 0; x < 3; x++)
            transform_filter(taps[x], taps[3 + x], taps[6 + x], columns[x]);
    }
    for (int32_t row = 0; row < PATCH; row++) {
        if (LOW_LANE_OFFSET != 0)
            transform_filter(columns[0][row], columns[1][row], columns[2][row], low);
        for (int32_t column = 0; column < PATCH; column++, start += 2 + p->input_channels)
            *start = (row == 1 && column == 1 ? (uint32_t)p->bias[filter] : 0) - LOW_LANE_OFFSET * (uint32_t)low[column];
    }
}

/* U of channels `channel` and the next (if there is none, of the same one again). */
static RAMCODE void transform_pair(const struct WINOGRAD() *p, int32_t channel, uint32_t *u)
{
    for (int32_t o = 0; o < 2; o++, u++) {
        int32_t filter = smaller(channel + o, p->output_channels - 1);
        const int8_t *w = p->weights + filter * 9 * p->input_channels;

        start_sums(p, filter, w, u);
        WINOGRAD(_weights)(w, u + 2, p->input_channels, 4 * (2 + p->input_channels));
    }
}

void WINOGRAD(_prepare_cortex_m4)(const struct WINOGRAD() *p)
{
    uint32_t *u = (uint32_t *)p->transformed; /* in RAM here */

    for (int32_t channel = 0; channel < p->output_channels; channel += 2) {
        transform_pair(p, channel, u);
        u += pair_words(p);
    }
}

/* Pointers to the pixels of the patch whose first row and column are `top` and `left`. */
static RAMCODE void find_patch(const struct WINOGRAD() *p, const struct feature_map *x, int32_t top, int32_t left,
                               const int8_t *padding, const int8_t **pixels)
{
    for (int32_t row = top; row < top + PATCH; row++) {
        int32_t width = row >= 0 && row < p->input_height ? p->input_width : 0; /* of the row's inside */
        const int8_t *pixel = width > 0 ? row_of(x, row) + left * p->input_channels : padding;

        if (left >= 0 && left + PATCH <= width) {
            for (int32_t i = 0; i < PATCH; i++, pixel += p->input_channels)
                pixels[i] = pixel;
            pixels += PATCH;
            continue;
        }
        for (int32_t column = left; column < left + PATCH; column++) {
            *pixels++ = (uint32_t)column < (uint32_t)width ? pixel : padding;
            pixel += p->input_channels;
        }
    }
}

/* Pointers to where the rows of a tile are stored, and a null; returns what is behind them. */
static RAMCODE int8_t **find_rows(const struct WINOGRAD() *p, const struct feature_map *y, int32_t first,
                                  int32_t count, int32_t column, int8_t **rows)
{
    for (int32_t row = first; row < first + count; row++)
        *rows++ = row_of(y, row) + column * p->output_channels;
    *rows++ = 0;
    return rows;
}

static inline void fill_padding(const struct WINOGRAD() *p, int32_t *padding)
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
static RAMCODE const int32_t *find_weights(const struct WINOGRAD() *p, int32_t channel, int32_t *room)
{
    const int32_t *u;

    if (p->transformed == 0) {
        transform_pair(p, channel, (uint32_t *)room);
        return room;
    }
    u = p->transformed + channel / 2 * pair_words(p);
    if (p->blocks == 1)
        return u;
    copy_eights(room, u, pair_words(p));
    return room;
}

/* The tiles of one call. */
struct walk {
    int32_t first, height, width; /* outputs before pooling: the first row, and how many rows and columns */
    int32_t top, left;            /* of the next tile, from the first row on */
};

/* V of the next block, and where its rows go. */
static RAMCODE void transform_block(const struct WINOGRAD() *p, const struct feature_map *x, const struct feature_map *y,
                                    struct walk *walk, int32_t *room, int32_t *v, int8_t **rows)
{
    const int8_t **pixels = (const int8_t **)room;
    int32_t *padding = room + POSITIONS + ROOM;
    int32_t halved = p->pool - 1; /* by pooling: 1, else 0 */

    fill_padding(p, padding);
    for (int32_t tile = 0; tile < TILES && walk->top < walk->height; tile++) {
        int32_t row = walk->first + larger(smaller(walk->top, walk->height - TILE), 0);
        int32_t column = smaller(walk->left, walk->width - TILE);

        find_patch(p, x, row - p->pad_top, column - p->pad_left, (const int8_t *)padding, pixels);
        WINOGRAD(_input)(pixels, v + tile, p->input_channels);
        rows = find_rows(p, y, row >> halved, smaller(walk->height, TILE) >> halved, column >> halved, rows);
        walk->left += TILE;
        if (walk->left >= walk->width) {
            walk->left = 0;
            walk->top += TILE;
        }
    }
    *rows = 0;
}

RAMCODE void WINOGRAD(_cortex_m4)(const struct WINOGRAD() *p, const struct feature_map *x,
                                  const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    /* The sums, or before there are any: pixels, room for the transform, a pixel of padding. Then V and rows of each
     * block, then U of a pair of channels where it is made or copied. */
    int32_t *sums = scratch;
    int32_t *v = sums + larger(SUM_WORDS, POSITIONS + ROOM + p->input_channels / 4);
    int32_t v_words = POSITIONS * TILES * (p->input_channels / 2);
    int8_t **rows = (int8_t **)(v + p->blocks * v_words);
    int32_t *room = (int32_t *)(rows + p->blocks * ROWS);
    winograd_output *const outputs[] = {WINOGRAD(_plain), WINOGRAD(_signed), WINOGRAD(_clamped), WINOGRAD(_pooled)};
    winograd_output *output = outputs[p->form];
    struct walk walk = {first * p->pool, count * p->pool, p->output_width * p->pool, 0, 0};

    while (walk.top < walk.height) {
        int32_t blocks = 0;

        do {
            transform_block(p, x, y, &walk, sums, v + blocks * v_words, rows + blocks * ROWS);
            blocks++;
        } while (blocks < p->blocks && walk.top < walk.height);
        for (int32_t channel = 0; channel < p->output_channels; channel += 2) {
            const int32_t *u = find_weights(p, channel, room);

            for (int32_t block = 0; block < blocks; block++) {
                WINOGRAD(_multiply)(v + block * v_words, u, sums, p->input_channels / 2);
                output(sums, p->rescaling + 2 * channel, rows + block * ROWS, p->output_channels,
                       smaller(p->output_channels - channel, 2), p->offset);
            }
        }
    }
}
