/* DEPTHWISE_CONV_2D with 3 x 3 windows, one output row and four channels at a time.
 *
 * What lies beneath the row is laid out channel by channel in scratch: for each column (those of the padding too) a
 * word with the values of the first two rows as int16, and one with that of the third. A window is then three SMLAD
 * and three SMLABB (depthwise_conv_2d_3x3.S).
 */
#include "depthwise_conv_2d_3x3.h"

#include "../portable/fixed_point.h"
#include "dsp.h"

struct column {
    struct {
        uint32_t first_two, third;
    } channels[4];
};

static inline void lay_column(struct column *to, uint32_t first, uint32_t second, uint32_t third)
{
    uint32_t low = pkhbt_low(first, second), high = pkhtb_high(first, second);

    to->channels[0].first_two = sxtb16(low);
    to->channels[0].third = (uint32_t)(int8_t)third;
    to->channels[1].first_two = sxtb16_high(low);
    to->channels[1].third = (uint32_t)(int8_t)(third >> 8);
    to->channels[2].first_two = sxtb16(high);
    to->channels[2].third = (uint32_t)(int8_t)(third >> 16);
    to->channels[3].first_two = sxtb16_high(high);
    to->channels[3].third = (uint32_t)(int8_t)(third >> 24);
}

/* Columns [first, end) of four channels; a row that is null is padding. */
RAMCODE static __attribute__((noinline)) void lay(struct column *to, struct column *end, const int8_t *const rows[3],
                                                  int32_t channel, int32_t step, uint32_t padding)
{
    if (rows[0] != 0 && rows[1] != 0 && rows[2] != 0) {
        const int8_t *a = rows[0] + channel, *b = rows[1] + channel, *c = rows[2] + channel;

        for (; to != end; to++, a += step, b += step, c += step)
            lay_column(to, load_word(a), load_word(b), load_word(c));
        return;
    }
    for (int32_t at = channel; to != end; to++, at += step)
        lay_column(to, rows[0] ? load_word(rows[0] + at) : padding, rows[1] ? load_word(rows[1] + at) : padding,
                   rows[2] ? load_word(rows[2] + at) : padding);
}

/* What depthwise_conv_2d_3x3.S is told of a row, in its order. */
struct depthwise_conv_2d_3x3_row {
    int32_t y_step;     /* bytes from an output to the next */
    int32_t x_step;     /* bytes of columns */
    int32_t output_zero; /* plus 128 */
    int32_t y_bytes;    /* of all outputs */
};

/* One channel of an output row. */
void depthwise_conv_2d_3x3_channel(const void *column, const struct depthwise_conv_2d_3x3_filter *filter, int8_t *y,
                                   const struct depthwise_conv_2d_3x3_row *row);

/* Null where the row is padding. */
static inline const int8_t *row_beneath(const struct depthwise_conv_2d_3x3 *p, const struct feature_map *x, int32_t row)
{
    return row >= 0 && row < p->input_height ? row_of(x, row) : 0;
}

RAMCODE void depthwise_conv_2d_3x3_cortex_m4(const struct depthwise_conv_2d_3x3 *p, const struct feature_map *x,
                                             const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    int32_t width = p->channels, columns = (p->output_width - 1) * p->stride_x + 3;
    uint32_t padding = (uint32_t)(p->input_zero & 0xFF) * 0x01010101u;
    const struct depthwise_conv_2d_3x3_filter *filters = (const void *)p->filters;
    struct column *line = scratch, *inside = line + p->pad_left;
    struct column *behind = inside + smaller(p->input_width, columns - p->pad_left);
    struct depthwise_conv_2d_3x3_row steps = {
        width, p->stride_x * (int32_t)sizeof(struct column), p->output_zero + 128, p->output_width * width,
    };

    for (struct column *at = line; at != line + columns; at++)
        if (at < inside || at >= behind)
            lay_column(at, padding, padding, padding);
    for (int32_t row = first; row < first + count; row++) {
        int32_t top = row * p->stride_y - p->pad_top;
        const int8_t *const rows[3] = {row_beneath(p, x, top), row_beneath(p, x, top + 1), row_beneath(p, x, top + 2)};
        int8_t *to = row_of(y, row);

        for (int32_t channel = 0; channel < width; channel += 4) {
            lay(inside, behind, rows, channel, width, padding);
            for (int32_t i = 0; i < 4; i++)
                depthwise_conv_2d_3x3_channel(&line->channels[i], filters + channel + i, to + channel + i, &steps);
        }
    }
}
