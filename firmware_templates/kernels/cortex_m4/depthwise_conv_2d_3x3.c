/* DEPTHWISE_CONV_2D with 3 x 3 windows and stride 1 or 2, four channels of some output rows at a time.
 *
 * Outputs are made line by line; a line is a row, or a column where that leaves less over. For four channels: what
 * lies beneath all lines is widened to pairs of neighbouring input lines, those of the padding too; channel after
 * channel is multiplied, a byte of a word each; the words are carried to the output (depthwise_conv_2d_3x3.S). Here
 * is reckoned where all that lies in scratch: pairs of input lines, widened pairs, words of the even lines and of the
 * odd ones, a row of padding.
 */
#include "depthwise_conv_2d_3x3.h"

#include "../portable/fixed_point.h"
#include "dsp.h"

#define CHANNELS 4

/* Two neighbouring input lines, and what leads from one of their positions to the next. */
struct pair {
    const int8_t *first, *second;
    int32_t first_step, second_step;
};

/* What depthwise_conv_2d_3x3.S is told, in its order. */
struct lines {
    const struct pair *pairs;
    uint32_t *to;       /* their first position inside the input */
    int32_t positions;  /* of a line, inside the input */
    int32_t line_bytes; /* from the positions of one pair to those of the next one */
    int32_t more;       /* pairs behind the first one, but for the last one with stride 1, */
    int32_t last;       /* which is laid if this is not 0 */
    const uint32_t *laid;
    uint32_t *even;
    int32_t even_count; /* pairs of outputs; with stride 2, outputs */
    uint32_t *odd;
    int32_t odd_count;
    const int32_t *filters;
    int32_t channels;
    const int8_t *clamps;
    int32_t output_zero;
    struct {
        const uint32_t *line, *other_line;
        int8_t *to;
        int32_t step, line_step;
        const int8_t *end;
        int32_t ring_bytes;
        int32_t length, lines;
        int32_t gap; /* bytes behind a line */
    } stored;
};

void depthwise_conv_2d_3x3_lines_1(const struct lines *lines);
void depthwise_conv_2d_3x3_lines_2(const struct lines *lines);

/* How windows lie along one axis of the input. */
struct axis {
    int32_t first;   /* position of the first window, maybe in the padding */
    int32_t reach;   /* positions beneath all windows */
    int32_t before;  /* of these, in the padding in front */
    int32_t inside;
};

static struct axis axis_beneath(int32_t first, int32_t windows, int32_t stride, int32_t size)
{
    struct axis axis = {first, (windows - 1) * stride + 3, larger(-first, 0), 0};

    axis.inside = larger(smaller(size - larger(first, 0), axis.reach - axis.before), 0);
    return axis;
}

/* `count` words, `step` words apart */
RAMCODE static void fill(uint32_t *to, int32_t step, int32_t count, uint32_t word)
{
    for (; count > 0; count--, to += step)
        *to = word;
}

static inline const int8_t *line_beneath(const struct depthwise_conv_2d_3x3 *p, const struct feature_map *x, int32_t line,
                                         int32_t position)
{
    return p->down ? x->data + position * x->row_bytes + line * p->channels
                   : row_of(x, line) + position * p->channels;
}

/* Pairs of the lines beneath, from the first one on; `padding` where there is none, or none that is needed. */
RAMCODE static void find_pairs(const struct depthwise_conv_2d_3x3 *p, const struct feature_map *x,
                               const struct axis *across, int32_t position, const int8_t *padding, struct pair *pairs,
                               int32_t count)
{
    int32_t end = across->first + across->before + across->inside, step = p->down ? x->row_bytes : p->channels;

    for (int32_t i = 0, line = across->first; i < count; i++, pairs++) {
        *pairs = (struct pair){padding, padding, 0, 0};
        if (line >= 0 && line < end) {
            pairs->first = line_beneath(p, x, line, position);
            pairs->first_step = step;
        }
        line++;
        if (line >= 0 && line < end) {
            pairs->second = line_beneath(p, x, line, position);
            pairs->second_step = step;
        }
        line++;
    }
}

/* Output rows [first, first + rows), as many as there is scratch for. */
RAMCODE static void make_rows(const struct depthwise_conv_2d_3x3 *p, const struct feature_map *x,
                              const struct feature_map *y, void *scratch, int32_t first, int32_t rows)
{
    int32_t stride = p->stride, width = p->channels;
    struct axis vertical = axis_beneath(first * stride - p->pad_top, rows, stride, p->input_height);
    struct axis horizontal = axis_beneath(-p->pad_left, p->output_width, stride, p->input_width);
    struct axis along = p->down ? vertical : horizontal, across = p->down ? horizontal : vertical;
    int32_t length = p->down ? rows : p->output_width, lines = p->down ? p->output_width : rows;
    int32_t even_lines = stride == 1 ? (lines + 1) / 2 : lines, odd_lines = stride == 1 ? lines / 2 : 0;
    int32_t behind = along.before + along.inside;
    /* Padding behind a line is that in front of the next one. */
    int32_t pitch = (along.reach - smaller(along.before, along.reach - behind) + stride - 1) / stride;
    int32_t even = (even_lines - 1) * pitch + length, odd = odd_lines > 0 ? (odd_lines - 1) * pitch + length : 0;

    int32_t position_words = (stride == 1 ? 2 : 1) * CHANNELS, line_words = pitch * stride * position_words;
    int32_t laid_lines = stride == 1 ? even_lines : even_lines + 1;
    struct pair *pairs = scratch;
    uint32_t *laid = (void *)(pairs + even_lines + 1);
    uint32_t *even_words = laid + (laid_lines - 1) * line_words + (along.reach + 1) * position_words;
    uint32_t *odd_words = even_words + even + 1;
    int8_t *padding = (int8_t *)(odd_words + odd + 1); /* whole words */
    uint32_t two_zeros = pkhbt_low((uint32_t)p->input_zero, (uint32_t)p->input_zero);
    struct lines call = {
        .pairs = pairs,
        .to = laid + along.before * position_words,
        .positions = along.inside,
        .line_bytes = line_words * 4,
        .more = stride == 1 ? even_lines - 1 : even_lines,
        .last = 1,
        .laid = laid,
        .even = even_words,
        .even_count = stride == 1 ? (even + 1) / 2 : even,
        .odd = odd_words,
        .odd_count = (odd + 1) / 2,
        .filters = p->filters,
        .channels = width,
        .clamps = p->clamps,
        .output_zero = p->output_zero,
        .stored = {
            .line = even_words,
            .other_line = stride == 1 ? odd_words : even_words + pitch,
            .to = row_of(y, first),
            .step = p->down ? y->row_bytes : width,
            .line_step = p->down ? width : y->row_bytes,
            .end = y->data + y->rows * y->row_bytes,
            .ring_bytes = y->rows * y->row_bytes,
            .length = length,
            .lines = lines,
            .gap = ((stride == 1 ? pitch : 2 * pitch) - length) * (int32_t)sizeof(uint32_t),
        },
    };

    fill((uint32_t *)padding, 1, (width + 3) / 4, (uint8_t)p->input_zero * 0x01010101u);
    for (int32_t i = 0; i < laid_lines; i++) {
        uint32_t *line = laid + i * line_words;

        fill(line, 1, along.before * position_words, two_zeros);
        fill(line + behind * position_words, 1, (along.reach - behind) * position_words, two_zeros);
    }
    find_pairs(p, x, &across, larger(along.first, 0), padding, pairs, even_lines + 1);
    if (stride == 2) {
        depthwise_conv_2d_3x3_lines_2(&call);
        return;
    }
    if (pairs[even_lines].first == padding && pairs[even_lines].second == padding) {
        call.last = 0;
        fill(laid + (even_lines - 1) * line_words + 1, 2, along.reach * CHANNELS, two_zeros);
    }
    depthwise_conv_2d_3x3_lines_1(&call);
}

RAMCODE void depthwise_conv_2d_3x3_cortex_m4(const struct depthwise_conv_2d_3x3 *p, const struct feature_map *x,
                                             const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    for (int32_t rows; count > 0; first += rows, count -= rows) {
        rows = smaller(count, p->rows_at_once);
        make_rows(p, x, y, scratch, first, rows);
    }
}
