/* MAX_POOL_2D and AVERAGE_POOL_2D, row by row, eight channels at a time where there are so many, else four or one.
 *
 * The last channels are made twice where no full eight (or four) are left. Means are those of the portable kernel: of
 * the integers themselves, ties away from zero, padding not counted. Sums of 256 bytes fit the halves of a word.
 */
#include "pool_rows.h"

#include "../portable/fixed_point.h"
#include "../portable/window.h"
#include "dsp.h"

#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t bytes(int32_t value)
{
    return (uint32_t)(value & 0xFF) * 0x01010101u;
}

/* `size` bytes, 1 or 4 */
INLINE uint32_t load(const int8_t *from, int32_t size)
{
    return size == 1 ? (uint8_t)*from : load_word(from);
}

INLINE void store(int8_t *to, uint32_t word, int32_t size)
{
    if (size == 1)
        *to = (int8_t)word;
    else
        store_word((uint8_t *)to, word);
}

/* `words` words of `size` bytes each, from a channel on. */
INLINE void largest(const struct pool_rows *p, const struct pool_rows_window *w, int32_t channel, int8_t *to,
                    int32_t words, int32_t size)
{
    uint32_t best[2] = {bytes(p->minimum), bytes(p->minimum)}, maximum = bytes(p->maximum);

    for (int32_t i = 0; i < w->line_count; i++) {
        const int8_t *x = w->lines[i] + w->offset + channel;

        for (int32_t left = w->columns; left > 0; left--, x += w->step)
            for (int32_t k = 0; k < words; k++)
                best[k] = max_s8(load(x + 4 * k, size), best[k]);
    }
    for (int32_t k = 0; k < words; k++)
        store(to + 4 * k, min_s8(best[k], maximum), size);
}

INLINE uint32_t quotient(const struct pool_rows *p, int32_t sum, int32_t count)
{
    return (uint32_t)clamp((sum > 0 ? sum + count / 2 : sum - count / 2) / count, p->minimum, p->maximum) & 0xFF;
}

INLINE void mean(const struct pool_rows *p, const struct pool_rows_window *w, int32_t channel, int8_t *to, int32_t words,
                 int32_t size)
{
    uint32_t even[2] = {0, 0}, odd[2] = {0, 0};
    int32_t count = w->line_count * w->columns;

    for (int32_t i = 0; i < w->line_count; i++) {
        const int8_t *x = w->lines[i] + w->offset + channel;

        for (int32_t left = w->columns; left > 0; left--, x += w->step)
            for (int32_t k = 0; k < words; k++) {
                uint32_t word = load(x + 4 * k, size);

                even[k] = sxtab16(even[k], word);
                odd[k] = sxtab16_high(odd[k], word);
            }
    }
    for (int32_t k = 0; k < words; k++) {
        uint32_t word = quotient(p, (int16_t)even[k], count);

        if (size > 1) {
            word |= quotient(p, (int16_t)odd[k], count) << 8;
            word |= quotient(p, (int32_t)even[k] >> 16, count) << 16;
            word |= quotient(p, (int32_t)odd[k] >> 16, count) << 24;
        }
        store(to + 4 * k, word, size);
    }
}

/* One of these for each size, so that sums stay in registers; the linker leaves out what no layer names. */
#define POOLED(how, channels, words, size)                                                                           \
    RAMCODE void pool_rows_##how##_##channels(const struct pool_rows *p, const struct pool_rows_window *w,           \
                                              int32_t channel, int8_t *to)                                           \
    {                                                                                                                \
        how(p, w, channel, to, words, size);                                                                         \
    }

POOLED(largest, 8, 2, 4)
POOLED(largest, 4, 1, 4)
POOLED(largest, 1, 1, 1)
POOLED(mean, 8, 2, 4)
POOLED(mean, 4, 1, 4)
POOLED(mean, 1, 1, 1)

RAMCODE void pool_rows_cortex_m4(const struct pool_rows *p, const struct feature_map *x, const struct feature_map *y,
                                 void *scratch, int32_t first, int32_t count)
{
    const int8_t **lines = scratch;

    for (int32_t row = first; row < first + count; row++) {
        int32_t top = row * p->stride_y - p->pad_top;
        struct span rows = taps_inside(top, p->window_height, 1, p->input_height);
        struct pool_rows_window w = {.lines = lines, .line_count = rows.end - rows.first, .step = p->channels};
        int8_t *to = row_of(y, row);

        for (int32_t i = 0; i < w.line_count; i++)
            lines[i] = row_of(x, top + rows.first + i);
        for (int32_t column = 0; column < p->output_width; column++, to += p->channels) {
            int32_t left = column * p->stride_x - p->pad_left;
            struct span columns = taps_inside(left, p->window_width, 1, p->input_width);

            w.columns = columns.end - columns.first;
            w.offset = (left + columns.first) * p->channels;
            for (int32_t done = 0; done < p->channels; done += p->at_once) {
                int32_t channel = smaller(done, p->channels - p->at_once);

                p->pool(p, &w, channel, to + channel);
            }
        }
    }
}
