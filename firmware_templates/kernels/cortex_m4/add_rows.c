/* ADD of two maps of one shape, row by row, four elements at a time.
 *
 * The reference brings both operands to twice the larger scale with twenty bits below (add.cc). For the operand of
 * the larger scale that is the factor 1/2 exactly, so x * 2^19. For the other, and for their sum,
 *
 *   SMMLAR(2 * v, m, c) = floor((v * m + 2^30) / 2^31) + c
 *
 * is the first rounding, and a shift to the right with c = 2^(s - 1) the second, half up; half away from zero takes
 * one off where v is negative (for a v that is rounded to zero that changes nothing). The zero point of the output
 * and its floor stand in c: USAT cuts at the floor, UQADD8 adds it back and saturates at 127.
 *
 * There are only 65,536 pairs of operands. For most layers the generator finds two factors and a constant with which one
 * shift of one sum of products is the reference's result for all of them: two multiplications in place of three, and no
 * roundings in between.
 */
#include "add_rows.h"

#include "dsp.h"

/* v is doubled already. Where nothing is shifted out there is nothing to round a second time. */
static inline int32_t scaled(int32_t v, int32_t multiplier, int32_t start, int32_t shift, int32_t sign)
{
    return smmlar(v, multiplier, start + (v >> 31 & sign)) >> shift;
}

static inline uint32_t add_one(const struct add_rows *p, int32_t large, int32_t small, int32_t sign)
{
    int32_t other = scaled((int32_t)((uint32_t)small << 21) + p->small_term, p->small_multiplier, p->small_round,
                           p->small_shift, sign);
    int32_t sum = (int32_t)((uint32_t)large << 20) + p->large_term + 2 * other;

    return (uint32_t)usat8(scaled(sum, p->multiplier, p->start, p->shift, -1));
}

static inline uint32_t add_four(const struct add_rows *p, uint32_t large, uint32_t small, int32_t sign)
{
    uint32_t y = add_one(p, (int8_t)large, (int8_t)small, sign);

    y |= add_one(p, (int8_t)(large >> 8), (int8_t)(small >> 8), sign) << 8;
    y |= add_one(p, (int8_t)(large >> 16), (int8_t)(small >> 16), sign) << 16;
    y |= add_one(p, (int8_t)(large >> 24), (int8_t)(small >> 24), sign) << 24;
    return uqadd8(y, (uint32_t)p->floors) ^ 0x80808080u;
}

static inline uint32_t line_one(const struct add_rows *p, int32_t a, int32_t b)
{
    return (uint32_t)usat8_asr22(a * p->a_factor + (b * p->b_factor + p->constant));
}

static inline uint32_t line_four(const struct add_rows *p, uint32_t a, uint32_t b)
{
    uint32_t y = line_one(p, (int8_t)a, (int8_t)b);

    y |= line_one(p, (int8_t)(a >> 8), (int8_t)(b >> 8)) << 8;
    y |= line_one(p, (int8_t)(a >> 16), (int8_t)(b >> 16)) << 16;
    y |= line_one(p, (int8_t)(a >> 24), (int8_t)(b >> 24)) << 24;
    return uqadd8(y, (uint32_t)p->floors) ^ 0x80808080u;
}

RAMCODE static void add_lines(const struct add_rows *p, const int8_t *a, const int8_t *b, int8_t *to)
{
    const struct add_rows own = *p;
    int8_t *end = to + own.row_bytes;

    for (; end - to >= 4; a += 4, b += 4, to += 4)
        store_word((uint8_t *)to, line_four(&own, load_word(a), load_word(b)));
    for (; to < end; to++)
        *to = (int8_t)line_four(&own, (uint8_t)*a++, (uint8_t)*b++);
}

RAMCODE void add_rows_cortex_m4(const struct add_rows *p, const struct feature_map *a, const struct feature_map *b,
                                const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    const struct add_rows own = *p;
    int32_t sign = own.small_shift != 0 ? -1 : 0;

    (void)scratch;
    for (int32_t row = first; row < first + count; row++) {
        const int8_t *large = row_of(own.swapped ? b : a, row), *small = row_of(own.swapped ? a : b, row);
        int8_t *to = row_of(y, row), *end = to + own.row_bytes;

        if (own.line) {
            add_lines(p, row_of(a, row), row_of(b, row), to);
            continue;
        }
        for (; end - to >= 4; large += 4, small += 4, to += 4)
            store_word((uint8_t *)to, add_four(&own, load_word(large), load_word(small), sign));
        for (; to < end; to++)
            *to = (int8_t)add_four(&own, (uint8_t)*large++, (uint8_t)*small++, sign);
    }
}
