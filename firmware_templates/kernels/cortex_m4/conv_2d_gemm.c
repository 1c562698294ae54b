/* CONV_2D as a product of matrices: what lies beneath the windows of four outputs (im2col), times all weights.
 *
 * Blocks of four outputs go along the rows, and from a row to the next; where the rows that are asked for end in the
 * middle of a block, its last output is made more than once; where no more than two are left, only two are. With fused pooling, the outputs of a block are those of
 * one pooling window (the last of them repeated, larger windows in several blocks), whose maximum is kept.
 *
 * Beneath a window lie runs of contiguous bytes, `kernel_width * channels` long, or `channels` where columns are
 * dilated. Of each, whole words are widened; the bytes left over of all runs follow, collected first. The generator
 * orders the weights likewise. A window that hangs over the border is put together in `bytes`, with the zero point as
 * padding, and widened from there.
 *
 * Where windows overlap, each row can be widened once instead, with its padding around it, into a ring of the rows
 * beneath two rows of windows; words are then only collected from there.
 */
#include "conv_2d_gemm_parts.h"

#include "../portable/fixed_point.h"

/* Where the steps of one pixel go, and the bytes that no whole word is left for; and how many of a run there are.
 * conv_2d_gemm_widen advances the first two. */
struct runs {
    uint32_t *to;
    uint8_t *bytes;
    int32_t words, left;
};

/* Widen `count` runs, `step` bytes apart: of one pixel, or of four that are `distance` bytes apart in memory. */
void conv_2d_gemm_widen(struct runs *runs, const void *from, int32_t count, int32_t step);
void conv_2d_gemm_widen_four(struct runs *runs, const void *from, int32_t count, int32_t step, int32_t distance,
                             int32_t bytes_each);
void conv_2d_gemm_widen_row(const int8_t *from, uint8_t *to, int32_t bytes);

RAMCODE static void copy_bytes(uint8_t *to, const int8_t *from, int32_t count)
{
    for (; count >= 4; count -= 4, to += 4, from += 4)
        store_word(to, load_word(from));
    for (; count > 0; count--)
        *to++ = (uint8_t)*from++;
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

/* Puts a window that hangs over the border together in `bytes`. */
RAMCODE static __attribute__((noinline)) void gather(const struct conv_2d_gemm_windows *w, int32_t top, int32_t left)
{
    const struct conv_2d_gemm *p = w->p;
    const struct feature_map *x = w->x;
    int32_t row = first_inside(top, p->dilation_y);
    int32_t row_end = end_inside(top, p->kernel_height, p->dilation_y, p->input_height);
    int32_t first = first_inside(left, p->dilation_x);
    int32_t end = end_inside(left, p->kernel_width, p->dilation_x, p->input_width);
    int32_t channels = p->input_channels, width = p->kernel_width * channels;
    int32_t pieces = w->runs > 1 ? end - first : end > first, piece = w->runs > 1 ? channels : (end - first) * channels;
    int32_t from_step = p->dilation_x * channels, row_step = p->dilation_y * x->row_bytes;
    const int8_t *from = row_of(x, top + row * p->dilation_y), *ring_end = x->data + x->rows * x->row_bytes;
    uint8_t *to = w->bytes, *end_of_bytes = to + p->kernel_height * width;

    for (uint32_t padding = (uint8_t)p->input_zero * 0x01010101u; to < end_of_bytes; to += 4)
        store_word(to, padding);
    to = w->bytes + row * width + first * channels;
    left = left * channels + first * from_step;
    for (; row < row_end; row++, from += row_step, to += width) {
        if (from >= ring_end)
            from -= ring_end - x->data;
        for (int32_t i = 0; i < pieces; i++)
            copy_bytes(to + i * channels, from + left + i * from_step, piece);
    }
}

/* Whether all runs of the windows in this row are as far apart: columns are not dilated, rows do not begin again from
 * the ring's start. */
static inline bool has_equal_steps(const struct conv_2d_gemm_windows *w, int32_t top)
{
    return w->runs == 1 && top % w->x->rows + w->rows <= w->x->rows;
}

RAMCODE static __attribute__((noinline)) void widen_one_by_one(const struct conv_2d_gemm_windows *w, struct runs *runs,
                                                               int32_t top, int32_t left)
{
    const struct conv_2d_gemm *p = w->p;

    for (int32_t row = 0; row < p->kernel_height; row++)
        conv_2d_gemm_widen(runs, row_of(w->x, top + row * p->dilation_y) + left * p->input_channels, w->runs,
                           p->dilation_x * p->input_channels);
}

/* The bytes that no whole word was left for. */
static inline void widen_rest(const struct conv_2d_gemm_windows *w, struct runs *runs)
{
    if (runs->left > 0) {
        runs->words = (int32_t)(runs->bytes - w->bytes + 3) / 4;
        runs->left = 0;
        conv_2d_gemm_widen(runs, w->bytes, 1, 0);
    }
}

/* One pixel of a block: what lies beneath the convolution's output (row, column). */
RAMCODE static __attribute__((noinline)) void lay(const struct conv_2d_gemm_windows *w, int32_t row, int32_t column,
                                                  uint32_t *to)
{
    const struct conv_2d_gemm *p = w->p;
    const struct feature_map *x = w->x;
    int32_t top = row * p->stride_y - p->pad_top, left = column * p->stride_x - p->pad_left;
    struct runs runs = {to, w->bytes, w->run_bytes / 4, w->run_bytes % 4};

    if (top < 0 || left < 0 || top > w->last_top || left > w->last_left) {
        gather(w, top, left);
        conv_2d_gemm_widen(&runs, w->bytes, p->kernel_height * w->runs, w->run_bytes);
    } else if (!has_equal_steps(w, top)) {
        widen_one_by_one(w, &runs, top, left);
    } else {
        conv_2d_gemm_widen(&runs, row_of(x, top) + left * p->input_channels, p->kernel_height,
                           p->dilation_y * x->row_bytes);
    }
    widen_rest(w, &runs);
}

/* Likewise of four pixels, each of which has `bytes_each`. */
static inline void widen_rest_of_four(const struct conv_2d_gemm_windows *w, struct runs *runs, int32_t bytes_each)
{
    if (runs->left > 0) {
        runs->words = bytes_each / 4;
        runs->left = 0;
        conv_2d_gemm_widen_four(runs, w->bytes, 1, 0, bytes_each, 0);
    }
}

/* Four neighbours in a row, from the convolution's output (row, column) on; false where one by one is the way. */
RAMCODE static __attribute__((noinline)) bool lay_four(const struct conv_2d_gemm_windows *w, int32_t row,
                                                       int32_t column, uint32_t *to)
{
    const struct conv_2d_gemm *p = w->p;
    int32_t top = row * p->stride_y - p->pad_top, left = column * p->stride_x - p->pad_left;
    int32_t distance = p->stride_x * p->input_channels;
    struct runs runs = {to, w->bytes, w->run_bytes / 4, w->run_bytes % 4};
    int32_t bytes_each = (runs.left * p->kernel_height + 3) & ~3;

    if (top < 0 || left < 0 || top > w->last_top || left + (PIXELS - 1) * p->stride_x > w->last_left
        || !has_equal_steps(w, top))
        return false;
    conv_2d_gemm_widen_four(&runs, row_of(w->x, top) + left * p->input_channels, p->kernel_height,
                            p->dilation_y * w->x->row_bytes, distance, bytes_each);
    widen_rest_of_four(w, &runs, bytes_each);
    return true;
}

/* Channels [first, end) of a block, from the weights of the first on. */
RAMCODE static void multiply(struct conv_2d_gemm_block *block, int32_t first, int32_t end, const int8_t *weights)
{
    block->channel = first;
    block->channel_end = end;
    block->multiply(block, weights);
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
    multiply(block, 0, 2, p->weights);
    for (int32_t pixel = PIXELS; pixel-- > 0;) /* the first last: pooling makes no other, and all go there */
        *y[pixel] = pairs[pixel][0];
}

RAMCODE void conv_2d_gemm_multiply_all(const struct conv_2d_gemm *p, struct conv_2d_gemm_block *block)
{
    int32_t channels = p->output_channels, even = channels & ~1, step = p->ceilings ? 2 : even;
    const int8_t *weights = p->weights;

    if (channels == 1) {
        multiply_single(p, block);
        return;
    }
    for (int32_t done = 0; done < channels; done += step, weights += step / 2 * p->pair_bytes) {
        int32_t first = done < even ? done : channels - 2;

        if (p->ceilings)
            set_ceiling(p, block, (uint32_t)(127 - p->ceilings[first]) * 0x00010001u
                                      + (uint32_t)(127 - p->ceilings[first + 1]) * 0x01000100u);
        multiply(block, first, done < even ? done + step : channels, weights);
    }
}

/* The same, without a detour where all channels are alike. */
static inline void multiply_block(const struct conv_2d_gemm *p, struct conv_2d_gemm_block *block)
{
    if (p->ceilings == 0 && p->output_channels % 2 == 0)
        block->multiply(block, p->weights);
    else
        conv_2d_gemm_multiply_all(p, block);
}

RAMCODE void conv_2d_gemm_pooled_rows(const struct conv_2d_gemm_windows *w, const struct feature_map *y,
                                      struct conv_2d_gemm_block *block, uint32_t *words, int32_t first, int32_t count)
{
    const struct conv_2d_gemm *p = w->p;
    int32_t outputs = p->pool_height * p->pool_width;

    for (int32_t i = 0; i < count * p->output_width; i++) {
        int32_t row = first + i / p->output_width, column = i % p->output_width;
        int8_t *to = row_of(y, row) + column * p->output_channels;

        for (int32_t channel = 0; channel < p->output_channels; channel++)
            to[channel] = INT8_MIN;
        for (int32_t pixel = 0; pixel < PIXELS; pixel++)
            block->y[pixel] = to;
        for (int32_t done = 0; done < outputs; done += PIXELS) {
            int32_t made = choose_products(p, block, outputs - done);

            for (int32_t pixel = 0; pixel < made; pixel++) {
                int32_t k = done + pixel < outputs ? done + pixel : outputs - 1;

                lay(w, row * p->pool_height + k / p->pool_width, column * p->pool_width + k % p->pool_width,
                    words + pixel);
            }
            conv_2d_gemm_multiply_all(p, block);
        }
    }
}

RAMCODE void conv_2d_gemm_rows(const struct conv_2d_gemm_windows *w, const struct feature_map *y,
                               struct conv_2d_gemm_block *block, uint32_t *words, int32_t first, int32_t count)
{
    const struct conv_2d_gemm *p = w->p;
    int32_t row = first, column = 0, left = count * p->output_width;
    int8_t *to = row_of(y, row);

    while (left > 0) {
        int32_t made = choose_products(p, block, left);
        bool laid = column + PIXELS <= p->output_width && lay_four(w, row, column, words);

        for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
            if (!laid && pixel < made)
                lay(w, row, column, words + pixel);
            block->y[pixel] = to;
            if (--left > 0 && ++column < p->output_width) {
                to += p->output_channels;
            } else if (left > 0) {
                column = 0;
                to = row_of(y, ++row);
            }
        }
        multiply_block(p, block);
    }
}

RAMCODE static void fill_padding(const struct conv_2d_gemm *p, uint8_t *from, const uint8_t *end)
{
    for (uint32_t padding = (uint32_t)(p->input_zero + 128) * 0x00020002u; from < end; from += 4)
        store_word(from, padding);
}

RAMCODE static struct widened_rows no_rows_yet(const struct conv_2d_gemm *p, uint8_t *ring, int32_t first)
{
    int32_t channels = p->input_channels, run = p->kernel_width * channels, before = values_before(p);
    int32_t read = before + ((p->output_width - 1) * p->stride_x + p->kernel_width - p->pad_left) * channels;
    int32_t values = before + p->input_width * channels, slots = p->kernel_height + p->stride_y;
    int32_t slot_bytes = ((values > read ? values : read) + 1) / 2 * 4;
    struct widened_rows rows = {
        .words = run / 2,
        .left_over = run % 2,
        .taps_rows = p->kernel_height,
        .to_next = slot_bytes - run / 2 * 4,
        .ring_bytes = slots * slot_bytes,
        .ring_end = ring + slots * slot_bytes,
        .slot_bytes = slot_bytes,
        .slots = slots,
        .next = first * p->stride_y,
    };

    return rows;
}

RAMCODE void conv_2d_gemm_widen_rows(const struct conv_2d_gemm_windows *w, struct widened_rows *rows, int32_t end)
{
    const struct conv_2d_gemm *p = w->p;

    for (; rows->next < end; rows->next++) {
        int32_t row = rows->next - p->pad_top;
        uint8_t *slot = slot_of(rows, rows->next);

        if (row >= 0 && row < p->input_height) {
            uint8_t *inside = slot + 2 * values_before(p);
            int32_t bytes = p->input_width * p->input_channels;

            fill_padding(p, slot, inside);
            fill_padding(p, inside + bytes / 2 * 4, slot + rows->slot_bytes);
            conv_2d_gemm_widen_row(row_of(w->x, row), inside, bytes);
        } else {
            fill_padding(p, slot, slot + rows->slot_bytes);
        }
    }
}

/* The same from widened rows. */
RAMCODE void conv_2d_gemm_widened_rows(const struct conv_2d_gemm_windows *w, const struct feature_map *y,
                                       struct conv_2d_gemm_block *block, uint32_t *words, int32_t first, int32_t count)
{
    const struct conv_2d_gemm *p = w->p;
    struct widened_rows rows = no_rows_yet(p, w->bytes, first);
    int32_t row = first, column = 0, left = count * p->output_width;
    int32_t start = 2 * (values_before(p) - p->pad_left * p->input_channels);
    int32_t step = 2 * p->stride_x * p->input_channels;
    const uint8_t *line = slot_of(&rows, row * p->stride_y) + start;
    int8_t *to = row_of(y, row);

    while (left > 0) {
        const uint8_t *from[PIXELS];
        int32_t last = column + PIXELS > p->output_width && row + 1 < first + count ? row + 1 : row;

        choose_products(p, block, left);
        if (rows.next < last * p->stride_y + p->kernel_height)
            conv_2d_gemm_widen_rows(w, &rows, last * p->stride_y + p->kernel_height);
        for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
            from[pixel] = line + column * step;
            block->y[pixel] = to;
            if (--left > 0 && ++column < p->output_width) {
                to += p->output_channels;
            } else if (left > 0) {
                column = 0;
                to = row_of(y, ++row);
                line = slot_of(&rows, row * p->stride_y) + start;
            }
        }
        conv_2d_gemm_collect(&rows, from, words);
        multiply_block(p, block);
    }
}

/* A block of windows of one pixel that do not all lie one behind the other, or are less than four. */
RAMCODE static __attribute__((noinline)) void make_pixels(const struct conv_2d_gemm_windows *w,
                                                          const struct feature_map *y,
                                                          struct conv_2d_gemm_block *block, uint32_t *words,
                                                          int32_t row, int32_t column, int32_t left)
{
    const struct conv_2d_gemm *p = w->p;
    int32_t inputs = p->input_channels, made = choose_products(p, block, left);

    for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
        struct runs runs = {words + pixel, w->bytes, inputs / 4, inputs % 4};

        if (pixel < made) {
            conv_2d_gemm_widen(&runs, row_of(w->x, row) + column * inputs, 1, 0);
            widen_rest(w, &runs);
        }
        block->y[pixel] = row_of(y, row) + column * p->output_channels;
        if (--left > 0 && ++column == p->output_width) {
            column = 0;
            row++;
        }
    }
    multiply_block(p, block);
}

/* Windows of one pixel each, at its own place: rows are as one, up to where a ring of rows begins again. */
RAMCODE void conv_2d_gemm_pixels(const struct conv_2d_gemm_windows *w, const struct feature_map *y,
                                 struct conv_2d_gemm_block *block, uint32_t *words, int32_t first, int32_t count)
{
    const struct conv_2d_gemm *p = w->p;
    const struct feature_map *x = w->x;
    int32_t inputs = p->input_channels, outputs = p->output_channels, width = p->output_width;
    int32_t left = count * width, bytes_each = inputs % 4 != 0 ? 4 : 0;

    while (left > 0) {
        int32_t done = count * width - left, row = first + done / width, column = done % width;
        int32_t rows = smaller(x->rows - row % x->rows, y->rows - row % y->rows);
        int32_t one_behind_the_other = smaller(left, rows * width - column);
        const int8_t *from = row_of(x, row) + column * inputs;
        int8_t *to = row_of(y, row) + column * outputs;

        if (one_behind_the_other < PIXELS) {
            make_pixels(w, y, block, words, row, column, left);
            left -= PIXELS;
            continue;
        }
        block->multiply = p->multiply;
        left -= one_behind_the_other & ~(PIXELS - 1);
        for (; one_behind_the_other >= PIXELS; one_behind_the_other -= PIXELS) {
            struct runs runs = {words, w->bytes, inputs / 4, inputs % 4};

            conv_2d_gemm_widen_four(&runs, from, 1, 0, inputs, bytes_each);
            widen_rest_of_four(w, &runs, bytes_each);
            for (int32_t pixel = 0; pixel < PIXELS; pixel++, to += outputs)
                block->y[pixel] = to;
            multiply_block(p, block);
            from += PIXELS * inputs;
        }
    }
}

RAMCODE void conv_2d_gemm_cortex_m4(const struct conv_2d_gemm *p, const struct feature_map *x,
                                    const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    uint32_t *words = scratch, *words_end = words + p->steps * PIXELS;
    bool dilated = p->dilation_x > 1;
    struct conv_2d_gemm_windows w = {
        .p = p,
        .x = x,
        .rows = (p->kernel_height - 1) * p->dilation_y + 1,
        .columns = (p->kernel_width - 1) * p->dilation_x + 1,
        .runs = dilated ? p->kernel_width : 1,
        .run_bytes = (dilated ? 1 : p->kernel_width) * p->input_channels,
        .bytes = (uint8_t *)words_end,
    };
    struct conv_2d_gemm_block block;

    w.last_top = p->input_height - w.rows;
    w.last_left = p->input_width - w.columns;
    block.x = words;
    block.x_end = words_end;
    block.channel = 0;
    block.channel_end = p->output_channels;
    block.start = 2 * (p->output_zero - p->floor) + 1;
    block.behind = (const uint8_t *)p->weights + (p->output_channels + 1) / 2 * p->pair_bytes;
    set_ceiling(p, &block, (uint32_t)(127 - p->ceiling) * 0x01010101u);
    block.store = p->store;
    block.multiply = p->multiply;
    p->way(&w, y, &block, words, first, count);
}
