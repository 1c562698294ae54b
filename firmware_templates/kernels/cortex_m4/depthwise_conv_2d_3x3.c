/* DEPTHWISE_CONV_2D with 3 x 3 windows and stride 1 or 2, four channels of some output rows at a time.
 *
 * Outputs are made line by line; a line is a row, or a column where that leaves less over. For four channels: what
 * lies beneath all lines is widened to pairs of neighbouring input lines, those of the padding too; channel after
 * channel is multiplied, a byte of a word each; the words are carried to the output (depthwise_conv_2d_3x3.S).
 *
 * Scratch: pairs of input lines, a row of padding, widened pairs, words of the even lines and of the odd ones, filters.
 */
#include "depthwise_conv_2d_3x3.h"

#include <stddef.h>

#include "../portable/fixed_point.h"
#include "dsp.h"

#define CHANNELS 4
#define FRACTION 10 /* as in depthwise_conv_2d_3x3.S */
#define ANY_SHIFT 0x80

/* Bytes of four channels at one position along a line: P and Q, or with stride 2 one of them. */
#define POSITION_BYTES(stride) (2 * CHANNELS * 4 / (stride))

/* Two neighbouring input lines, and what leads from one of their positions to the next. */
struct pair {
    const int8_t *first, *second;
    int32_t first_step, second_step;
};

/* A filter as the loops read it: for each column of the window the weights of the first two lines as two int16, and
 * one of the third line; then the same from the other end, weights of the last two lines and of the first one. */
struct wide_filter {
    uint32_t first_two[3], third[2];
    int32_t start, multiplier, addend;
    uint32_t last_two[3], first[2]; /* for stride 1 only */
};

struct layout {
    void *to;
    int32_t count;      /* positions of a line inside the input */
    int32_t line_bytes; /* from the positions of one pair to those of the next one */
    int32_t more;       /* pairs behind the first, but for the last one with stride 1, */
    int32_t last;       /* which is laid if this is not 0 */
};

struct lines {
    const void *pairs;
    uint32_t *even;
    int32_t even_count; /* pairs of outputs; with stride 2, outputs */
    uint32_t *odd;
    int32_t odd_count;
    int32_t q_bytes; /* with stride 2, from P to Q */
};

struct made {
    const uint32_t *line, *other_line;
    int8_t *to;
    int32_t step, line_step;
    const int8_t *end;
    int32_t ring_bytes;
    int32_t length, lines;
    int32_t gap; /* bytes behind a line */
    uint32_t down, up;
};

void depthwise_conv_2d_3x3_lay_1(const struct pair *pairs, const struct layout *layout, int32_t channel);
void depthwise_conv_2d_3x3_lay_2(const struct pair *pairs, const struct layout *layout, int32_t channel);
void depthwise_conv_2d_3x3_multiply_1(const struct lines *lines, const void *filters);
void depthwise_conv_2d_3x3_multiply_2(const struct lines *lines, const void *filters);
void depthwise_conv_2d_3x3_store(const struct made *made);
void depthwise_conv_2d_3x3_store_clamped(const struct made *made);

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

static inline uint32_t two(int32_t low, int32_t high)
{
    return pkhbt_low((uint32_t)low, (uint32_t)high);
}

RAMCODE static __attribute__((noinline)) void widen_filters(const struct depthwise_conv_2d_3x3_filter *from, int32_t stride,
                                                            void *to)
{
    int32_t bytes = stride == 1 ? sizeof(struct wide_filter) : offsetof(struct wide_filter, last_two);

    for (int32_t channel = 0; channel < CHANNELS; channel++, from++, to = (char *)to + bytes) {
        struct wide_filter *wide = to;
        int32_t shift = from->shift & (ANY_SHIFT - 1), exponent = FRACTION + 1 - shift, w[9];

        wide->addend = ((2 * from->zero + 1) * (1 << (FRACTION - 1))) + (1 << (exponent - 2));
        if (from->shift & ANY_SHIFT) {
            exponent = 1;
            wide->addend = (2 * from->zero + 1) * (1 << (shift - 1));
        }
        for (int32_t i = 0; i < 9; i++)
            w[i] = from->weights[i] * (1 << exponent);
        for (int32_t i = 0; i < 3; i++)
            wide->first_two[i] = two(w[i], w[3 + i]);
        wide->third[0] = two(w[6], w[7]);
        wide->third[1] = two(w[8], from->shift & ANY_SHIFT ? shift : 0);
        wide->start = from->start;
        wide->multiplier = from->multiplier;
        if (stride > 1)
            continue;
        for (int32_t i = 0; i < 3; i++)
            wide->last_two[i] = two(w[3 + i], w[6 + i]);
        wide->first[0] = two(w[0], w[1]);
        wide->first[1] = two(w[2], 0);
    }
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
    int32_t length = p->down ? rows : p->output_width, count = p->down ? p->output_width : rows;
    int32_t even_lines = stride == 1 ? (count + 1) / 2 : count, odd_lines = stride == 1 ? count / 2 : 0;
    int32_t behind = along.before + along.inside;
    /* Padding behind a line is that in front of the next one. */
    int32_t pitch = (along.reach - smaller(along.before, along.reach - behind) + stride - 1) / stride;
    int32_t even = (even_lines - 1) * pitch + length, odd = odd_lines > 0 ? (odd_lines - 1) * pitch + length : 0;

    int32_t position_words = POSITION_BYTES(stride) / 4, line_words = pitch * stride * position_words;
    int32_t laid_lines = stride == 1 ? even_lines : even_lines + 1;
    struct pair *pairs = scratch;
    uint32_t *laid = (void *)(pairs + even_lines + 1);
    uint32_t *even_words = laid + (laid_lines - 1) * line_words + (along.reach + 1) * position_words;
    uint32_t *odd_words = even_words + even + 1;
    struct wide_filter *widened = (void *)(odd_words + odd + 1);
    int8_t *padding = (int8_t *)(p->wide ? widened : widened + CHANNELS);
    uint32_t two_zeros = two(p->input_zero, p->input_zero);

    struct layout layout = {laid + along.before * position_words, along.inside, line_words * 4, even_lines - (stride == 1),
                            1};
    struct lines lines = {laid,      even_words,    stride == 1 ? (even + 1) / 2 : even,
                          odd_words, (odd + 1) / 2, line_words * 4};
    struct made made = {
        .line = even_words,
        .other_line = stride == 1 ? odd_words : even_words + pitch,
        .step = p->down ? y->row_bytes : width,
        .line_step = p->down ? width : y->row_bytes,
        .end = y->data + y->rows * y->row_bytes,
        .ring_bytes = y->rows * y->row_bytes,
        .length = length,
        .lines = count,
        .gap = ((stride == 1 ? pitch : 2 * pitch) - length) * (int32_t)sizeof(uint32_t),
    };
    int32_t filter_bytes = !p->wide      ? sizeof(struct depthwise_conv_2d_3x3_filter)
                           : stride == 1 ? sizeof(struct wide_filter)
                                         : offsetof(struct wide_filter, last_two);

    for (int32_t channel = 0; channel < width; channel++)
        padding[channel] = (int8_t)p->input_zero;
    for (int32_t i = 0; i < laid_lines; i++) {
        uint32_t *line = laid + i * line_words;

        fill(line, 1, along.before * position_words, two_zeros);
        fill(line + behind * position_words, 1, (along.reach - behind) * position_words, two_zeros);
    }
    find_pairs(p, x, &across, larger(along.first, 0), padding, pairs, even_lines + 1);
    if (stride == 1 && pairs[even_lines].first == padding && pairs[even_lines].second == padding) {
        uint32_t *last = laid + (even_lines - 1) * line_words;

        layout.last = 0;
        fill(last + 1, 2, along.reach * CHANNELS, two_zeros);
    }
    for (int32_t done = 0; done < width; done += CHANNELS) {
        /* The last channels are made twice where their number is no multiple of four. */
        int32_t channel = smaller(done, width - CHANNELS);
        const void *filters = (const char *)p->filters + channel * filter_bytes;

        if (!p->wide) {
            widen_filters(filters, stride, widened);
            filters = widened;
        }
        if (stride == 1) {
            depthwise_conv_2d_3x3_lay_1(pairs, &layout, channel);
            depthwise_conv_2d_3x3_multiply_1(&lines, filters);
        } else {
            depthwise_conv_2d_3x3_lay_2(pairs, &layout, channel);
            depthwise_conv_2d_3x3_multiply_2(&lines, filters);
        }
        made.to = row_of(y, first) + channel;
        if (p->clamps == 0) {
            depthwise_conv_2d_3x3_store(&made);
        } else {
            made.down = load_word(p->clamps + channel);
            made.up = load_word(p->clamps + width + channel);
            depthwise_conv_2d_3x3_store_clamped(&made);
        }
    }
}

RAMCODE void depthwise_conv_2d_3x3_cortex_m4(const struct depthwise_conv_2d_3x3 *p, const struct feature_map *x,
                                             const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    for (int32_t rows; count > 0; first += rows, count -= rows) {
        rows = smaller(count, p->rows_at_once);
        make_rows(p, x, y, scratch, first, rows);
    }
}
