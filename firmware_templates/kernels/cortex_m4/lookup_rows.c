/* Operators on single elements, y = table[x], row by row, four elements at a time.
 *
 * A table is in the order of unsigned bytes, so that UXTAB, which takes a byte out of a word and adds it to an address,
 * finds an entry. Where each channel has a table, the next one begins 256 bytes behind: that stands in the load.
 */
#include "lookup_rows.h"

#include "dsp.h"

#define ENTRIES 256
#define INLINE static inline __attribute__((always_inline))

/* What four elements become. In one piece, so that the four loads stand side by side: one cycle each but for the first. */
INLINE uint32_t four(const uint8_t *table, uint32_t x, int32_t step)
{
    uint32_t y0, y1, y2, y3;

    __asm__("uxtab %0, %4, %5\n\t"
            "uxtab %1, %4, %5, ror #8\n\t"
            "uxtab %2, %4, %5, ror #16\n\t"
            "uxtab %3, %4, %5, ror #24\n\t"
            "ldrb %0, [%0]\n\t"
            "ldrb %1, [%1, %6]\n\t"
            "ldrb %2, [%2, %7]\n\t"
            "ldrb %3, [%3, %8]"
            : "=&r"(y0), "=&r"(y1), "=&r"(y2), "=&r"(y3)
            : "r"(table), "r"(x), "n"(step), "n"(2 * step), "n"(3 * step)
            : "memory");
    return y0 | y1 << 8 | y2 << 16 | y3 << 24;
}

/* x and y may be the same row. `step` is a constant: from one channel's table to the next. */
INLINE void pixel(const uint8_t *table, const int8_t *x, int8_t *y, int32_t channels, int32_t step)
{
    const int8_t *end = x + channels;

    for (; end - x >= 4; x += 4, y += 4, table += 4 * step)
        store_word(y, four(table, load_word(x), step));
    for (; x < end; table += step)
        *y++ = (int8_t)table[(uint8_t)*x++];
}

RAMCODE void lookup_rows_cortex_m4(const struct lookup_rows *p, const struct feature_map *x, const struct feature_map *y,
                                   void *scratch, int32_t first, int32_t count)
{
    const uint8_t *table = (const uint8_t *)p->table;

    (void)scratch;
    for (int32_t row = first; row < first + count; row++) {
        const int8_t *from = row_of(x, row);
        int8_t *to = row_of(y, row);

        for (int32_t left = p->pixels; left > 0; left--, from += p->channels, to += p->channels) {
            if (p->tables == 1)
                pixel(table, from, to, p->channels, 0);
            else
                pixel(table, from, to, p->channels, ENTRIES);
        }
    }
}
