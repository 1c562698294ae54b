/* DEPTHWISE_CONV_2D with windows of any size, four channels of some output rows at a time.
 *
 * Outputs are made line by line; a line is a row, or a column where that leaves less over. For four channels: what
 * lies beneath all lines is widened to pairs of neighbouring places, those of the padding too; channel after channel,
 * weights are widened, and all its outputs made (depthwise_conv_2d_pairs.S). Pairs lie across the lines, so that two
 * lines of the input are one of words; or along them, where windows are one line wide: outputs then go by two, each
 * second one of a line being a line of its own. Here is reckoned where all that lies in scratch: jobs of widening,
 * lines, places of weights, the two forms of weights, a row of padding, words of pixels.
 */
#include "depthwise_conv_2d_pairs.h"

#include "../portable/fixed_point.h"

#define CHANNELS 4
#define POSITION (CHANNELS * (int32_t)sizeof(uint32_t))

/* Positions to be laid, from two places of the input. */
struct job {
    uint32_t *to;
    const int8_t *first, *second;
    int32_t first_step, second_step;
    int32_t positions; /* at least one */
};

/* Outputs that follow each other. */
struct line {
    const uint32_t *weights; /* the word before */
    int8_t *y;
    int32_t count;
    const uint32_t *data;
};

/* Where taps go, in the form for windows at even places and in that for odd ones. */
struct place {
    int16_t *even, *odd;
};

/* What depthwise_conv_2d_pairs.S is told, in its order. */
struct call {
    const struct job *jobs, *jobs_end;
    const struct place *places, *places_end;
    const struct line *lines, *lines_end;
    const int32_t *filters;
    int32_t channels;
    int32_t taps; /* bytes of a filter */
    const int8_t *clamps;
    int32_t output_zero;
    int32_t step; /* from an output of a line to the next */
    depthwise_conv_2d_pairs_widening *widen;
    depthwise_conv_2d_pairs_runs *runs;
};

void depthwise_conv_2d_pairs_channels(const struct call *call);

/* How windows lie along one axis of the input. */
struct axis {
    int32_t taps, stride;
    int32_t first; /* position of the first window, maybe in the padding */
    int32_t windows;
    int32_t size;
};

/* A call for some rows, and how far its scratch is used up. */
struct state {
    const struct depthwise_conv_2d_pairs *p;
    const struct feature_map *x;
    struct axis along, across;
    int32_t pitch; /* words of one channel from a line of pixels to the next */
    int32_t parity; /* of the first window's place, where pairs lie along the lines */
    const int8_t *padding;
    uint32_t *laid;
    struct job *jobs;
    struct line *lines;
};

static inline int32_t half(int32_t n)
{
    return n >> 1;
}

RAMCODE static __attribute__((noinline)) void fill(uint32_t *to, const uint32_t *end, uint32_t word)
{
    while (to < end)
        *to++ = word;
}

/* The place in the input, or padding. Pixels of a line are `step_along` apart. */
static inline int32_t step_along(const struct state *s)
{
    return s->p->down ? s->x->row_bytes : s->p->channels;
}

RAMCODE static __attribute__((noinline)) const int8_t *input_at(const struct state *s, int32_t line, int32_t position)
{
    const struct depthwise_conv_2d_pairs *p = s->p;

    if (line < 0 || line >= s->across.size)
        return s->padding;
    return p->down ? s->x->data + position * s->x->row_bytes + line * p->channels
                   : row_of(s->x, line) + position * p->channels;
}

/* Positions [from, to) of the line of pixels, and padding around them. */
RAMCODE static __attribute__((noinline)) void lay(struct state *s, uint32_t *line, int32_t from, int32_t to, struct job job)
{
    uint32_t zeros = (uint16_t)s->p->input_zero * 0x00010001u;

    if (from >= to) {
        fill(line, line + s->pitch * CHANNELS, zeros);
        return;
    }
    fill(line, line + from * CHANNELS, zeros);
    fill(line + to * CHANNELS, line + s->pitch * CHANNELS, zeros);
    job.to = line + from * CHANNELS;
    job.positions = to - from;
    *s->jobs++ = job;
}

/* All lines of pixels, each made of two lines of the input. */
RAMCODE static void lay_across(struct state *s)
{
    int32_t from = larger(-s->along.first, 0), to = smaller(s->along.size - s->along.first, s->pitch);
    int32_t line = s->across.first, step = step_along(s), inside = larger(s->along.first, 0);
    int32_t pairs = half((s->across.windows - 1) * s->across.stride + s->across.taps + 1);
    uint32_t *at = s->laid;

    for (; pairs > 0; pairs--, line += 2, at += s->pitch * CHANNELS) {
        struct job job = {0, input_at(s, line, inside), input_at(s, line + 1, inside), step, step, 0};

        if (job.first == s->padding)
            job.first_step = 0;
        if (job.second == s->padding)
            job.second_step = 0;
        lay(s, at, from, to, job);
    }
}

/* The same where pairs lie along the lines; the last one may hang over the border by half. */
RAMCODE static void lay_along(struct state *s)
{
    int32_t first = s->along.first - s->parity, end = smaller(s->along.size, first + 2 * s->pitch);
    int32_t from = half(larger(-first, 0)), to = half(end - first), step = step_along(s);
    int32_t lines = (s->across.windows - 1) * s->across.stride + 1, inside = larger(first, 0);
    uint32_t *at = s->laid;

    for (int32_t line = s->across.first; lines > 0; lines--, line++, at += s->pitch * CHANNELS) {
        const int8_t *pixels = input_at(s, line, inside);

        if (pixels == s->padding) {
            lay(s, at, 0, 0, (struct job){0});
            continue;
        }
        lay(s, at, from, to, (struct job){0, pixels, pixels + step, 2 * step, 2 * step, 0});
        if (end % 2 != 0 && end > 0)
            *s->jobs++ = (struct job){at + to * CHANNELS, input_at(s, line, end - 1), s->padding, 0, 0, 1};
    }
}

/* `count` outputs from the given one on, `beneath` words behind the beginning of the line of pixels. */
static inline void add_line(struct state *s, const uint32_t *weights, int8_t *y, int32_t count, const uint32_t *pixels,
                            int32_t beneath)
{
    if (count > 0)
        *s->lines++ = (struct line){weights - 1, y, count, pixels + beneath * CHANNELS};
}

/* A form of the weights besides the weights: zeros, and after `per_line` segments the next line of pixels. */
RAMCODE static __attribute__((noinline)) uint32_t *begin_form(uint32_t *form, int32_t segments, int32_t per_line, int32_t words, int32_t pitch)
{
    int32_t back = (per_line - 1) * words;

    for (int32_t i = 1; i <= segments; i++) {
        fill(form, form + words, 0);
        form += words;
        *form++ = (uint32_t)((i == segments ? 0 : i % per_line != 0 ? words : pitch - back) * POSITION);
    }
    return form;
}

/* Output rows [first, first + rows), as many as there is scratch for. */
RAMCODE static void make_rows(const struct depthwise_conv_2d_pairs *p, const struct feature_map *x,
                              const struct feature_map *y, void *scratch, int32_t first, int32_t rows)
{
    struct axis vertical = {p->kernel_height, p->stride_y, first * p->stride_y - p->pad_top, rows, p->input_height};
    struct axis horizontal = {p->kernel_width, p->stride_x, -p->pad_left, p->output_width, p->input_width};
    struct state s = {.p = p, .x = x, .along = p->down ? vertical : horizontal,
                      .across = p->down ? horizontal : vertical};
    int32_t paired = p->pairs_along ? s.along.taps : s.across.taps, side = p->pairs_along ? 1 : s.along.taps;
    int32_t words = p->segment, even_pairs = half(paired + 1), odd_pairs = half(paired) + 1;
    int32_t per_line = ((p->pairs_along ? odd_pairs : side) + words - 1) / words;
    int32_t even_segments = p->pairs_along ? per_line : even_pairs * per_line;
    int32_t odd_segments = p->pairs_along ? per_line : odd_pairs * per_line;
    int32_t reach = (s.along.windows - 1) * s.along.stride + s.along.taps;
    int32_t phases = p->pairs_along && s.along.stride % 2 != 0 ? 2 : 1;
    int32_t output_step = p->down ? y->row_bytes : p->channels;
    struct job *jobs = scratch;
    struct line *lines;
    struct place *places, *place;
    uint32_t *even, *odd;

    s.parity = p->pairs_along ? s.along.first & 1 : 0;
    s.pitch = p->pairs_along ? half(s.parity + reach + 1) : reach;
    lines = (struct line *)(jobs + (p->pairs_along ? 2 * ((s.across.windows - 1) * s.across.stride + 1)
                                                   : half((s.across.windows - 1) * s.across.stride + paired + 1)));
    places = (struct place *)(lines + s.across.windows * phases);
    even = (uint32_t *)(places + (p->pairs_along ? paired : paired * per_line));
    odd = begin_form(even, even_segments, per_line, words, s.pitch);
    s.padding = (int8_t *)begin_form(odd, odd_segments, per_line, words, s.pitch);
    s.laid = (uint32_t *)(s.padding + (p->channels + 3) / 4 * 4);
    s.jobs = jobs;
    s.lines = lines;
    place = places;

    for (int32_t channel = 0; channel < p->channels; channel++)
        ((int8_t *)s.padding)[channel] = (int8_t)p->input_zero;
    if (p->pairs_along) {
        for (int32_t tap = 0; tap < paired; tap++) {
            int32_t at = half(tap), next = half(tap + 1);

            *place++ = (struct place){(int16_t *)(even + at + at / words) + tap % 2,
                                      (int16_t *)(odd + next + next / words) + (tap + 1) % 2};
        }
        lay_along(&s);
    } else {
        for (int32_t tap = 0; tap < paired; tap++)
            for (int32_t i = 0; i < per_line; i++)
                *place++ = (struct place){
                    (int16_t *)(even + (half(tap) * per_line + i) * (words + 1)) + tap % 2,
                    (int16_t *)(odd + (half(tap + 1) * per_line + i) * (words + 1)) + (tap + 1) % 2,
                };
        lay_across(&s);
    }
    for (int32_t i = 0; i < s.across.windows; i++) {
        int32_t line = i * s.across.stride;
        int8_t *to = p->down ? row_of(y, first) + i * p->channels : row_of(y, first + i);

        if (!p->pairs_along) {
            add_line(&s, line % 2 != 0 ? odd : even, to, s.along.windows,
                     s.laid + half(line) * s.pitch * CHANNELS, 0);
            continue;
        }
        for (int32_t phase = 0; phase < phases; phase++) {
            int32_t at = s.parity + phase * s.along.stride;

            add_line(&s, at % 2 != 0 ? odd : even, to + phase * output_step,
                     (s.along.windows - phase + phases - 1) / phases, s.laid + line * s.pitch * CHANNELS, half(at));
        }
    }

    struct call call = {
        .jobs = jobs,
        .jobs_end = s.jobs,
        .places = places,
        .places_end = place,
        .lines = lines,
        .lines_end = s.lines,
        .filters = p->filters,
        .channels = p->channels,
        .taps = p->pairs_along ? paired : paired * per_line * words,
        .clamps = p->clamps,
        .output_zero = p->output_zero,
        .step = output_step * phases,
        .widen = p->widen,
        .runs = p->runs,
    };
    depthwise_conv_2d_pairs_channels(&call);
}

RAMCODE void depthwise_conv_2d_pairs_cortex_m4(const struct depthwise_conv_2d_pairs *p, const struct feature_map *x,
                                               const struct feature_map *y, void *scratch, int32_t first,
                                               int32_t count)
{
    for (int32_t rows; count > 0; first += rows, count -= rows) {
        rows = smaller(count, p->rows_at_once);
        make_rows(p, x, y, scratch, first, rows);
    }
}
