/* The C half of a Winograd kernel, told by winograd.h. It is included once by each kernel, which defines TILE and,
 * as WINOGRAD(part), its name with something behind it. */

enum {
    PATCH = TILE + 2,
    TILES = 4, /* in a block */
    ROOM = 2 * PATCH * PATCH, /* words that the transform of a patch needs */
    SUM_WORDS = PATCH * PATCH * TILES * 2,
};

/* The assembly half. */
void WINOGRAD(_input)(const int8_t *const *pixels, int32_t *v, int32_t channels);
const int32_t *WINOGRAD(_multiply)(const int32_t *v, const int32_t *u, int32_t *m, int32_t steps);
winograd_output WINOGRAD(_plain), WINOGRAD(_clamped), WINOGRAD(_pooled);

static inline int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Pointers to the pixels of the patch whose first row and column are `top` and `left`. */
static RAMCODE void find_patch(const struct WINOGRAD() *p, const struct feature_map *x, int32_t top, int32_t left,
                               const int8_t *padding, const int8_t **pixels)
{
    for (int32_t row = top; row < top + PATCH; row++) {
        int32_t width = row >= 0 && row < p->input_height ? p->input_width : 0; /* of the row's inside */
        const int8_t *pixel = width > 0 ? row_of(x, row) + left * p->input_channels : padding;

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

RAMCODE void WINOGRAD(_cortex_m4)(const struct WINOGRAD() *p, const struct feature_map *x,
                                  const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    /* The sums, or before there are any: pixels, room for the transform, a pixel of padding; then V. */
    int32_t *sums = scratch;
    const int8_t **pixels = scratch;
    int32_t *padding = sums + PATCH * PATCH + ROOM;
    int32_t *v = sums + larger(SUM_WORDS, PATCH * PATCH + ROOM + p->input_channels / 4);
    int8_t *rows[TILES * (TILE + 1) + 1];
    winograd_output *output = p->pool == 2 ? WINOGRAD(_pooled) : p->clamped ? WINOGRAD(_clamped) : WINOGRAD(_plain);
    int32_t halved = p->pool - 1; /* by pooling: 1, else 0 */
    int32_t height = count << halved, width = p->output_width << halved;
    int32_t top = 0, left = 0; /* of the next tile, from the first row asked for */

    while (top < height) {
        const int32_t *u = p->transformed, *rescaling = p->rescaling;
        int8_t **end = rows;

        fill_padding(p, padding);
        for (int32_t tile = 0; tile < TILES && top < height; tile++) {
            int32_t row = (first << halved) + larger(smaller(top, height - TILE), 0);
            int32_t column = smaller(left, width - TILE);

            find_patch(p, x, row - p->pad_top, column - p->pad_left, (const int8_t *)padding, pixels);
            WINOGRAD(_input)(pixels, v + tile, p->input_channels);
            end = find_rows(p, y, row >> halved, smaller(height, TILE) >> halved, column >> halved, end);
            left += TILE;
            if (left >= width) {
                left = 0;
                top += TILE;
            }
        }
        *end = 0;
        for (int32_t channel = 0; channel < p->output_channels; channel += 2) {
            u = WINOGRAD(_multiply)(v, u, sums, p->input_channels / 2);
            output(sums, rescaling, rows, p->output_channels, smaller(p->output_channels - channel, 2));
            rescaling += 6;
        }
    }
}
