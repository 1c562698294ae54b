/* ADD, SUB and MUL of two maps, or of a map and a constant, row by row, four elements at a time.
 *
 * Each form is one kind of arithmetic in one of two loops: b goes on element by element (_each), or is the
 * same for a run of elements (_one), so that what is made of it is made once a run. All repetitions that networks have are
 * among these: maps of one shape, one value for each channel (a row is a run for each pixel, and b goes back behind each),
 * for each pixel (b goes on by one behind each run), for each row, or one in all.
 *
 * Sums as the reference has them (add.cc): it brings both operands to twice the larger scale with twenty bits below. For
 * the operand of the larger scale that is the factor 1/2 exactly, so x * 2^19. For the other, and for their sum,
 *
 *   SMMLAR(2 * v, m, c) = floor((v * m + 2^30) / 2^31) + c
 *
 * is the first rounding, and a shift to the right with c = 2^(s - 1) the second, half up; half away from zero takes
 * one off where v is negative (for a v that is rounded to zero that changes nothing). The zero point of the output
 * and its floor stand in c: what is below the floor is cut by an unsigned saturation, UQADD8 adds the floor back and
 * saturates at 127. What is subtracted has a negative factor: rounding sees the product alone.
 *
 * There are only 65,536 pairs of operands. For most sums the generator finds two factors and a constant with which one
 * shift of one sum of products is the reference's result for all of them: two multiplications in place of three, and no
 * roundings in between.
 *
 * Products are rounded twice as well. Two are in the lanes of one register until they are multiplied, and again when
 * they are rounded: a shift to the left by 16 - s brings the results to the upper halves, where PKHTB takes them from.
 */
#include "binary_rows.h"

#include "dsp.h"

#define INLINE static inline __attribute__((always_inline))

/* Results of bytes of a and of bytes of b, or of what b is for a run; what that is. */
typedef uint32_t of_each(const struct binary_rows *p, uint32_t a, uint32_t b);
typedef uint32_t with_one(const struct binary_rows *p, uint32_t a, int32_t one);
typedef int32_t one_of(const struct binary_rows *p, int32_t b);

/* `four` gives four bytes, `lowest` the lowest one at least. */
INLINE void rows_of_each(const struct binary_rows *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t rows,
                         of_each *four, of_each *lowest)
{
    for (; rows > 0; rows--, a += p->a_row_step, b += p->b_row_step) {
        for (int32_t runs = p->runs; runs > 0; runs--, a += p->a_step, b += p->b_step) {
            const int8_t *end = y + p->run;

            for (; end - y >= 4; a += 4, b += 4, y += 4)
                store_word(y, four(p, load_word(a), load_word(b)));
            for (; y < end; y++)
                *y = (int8_t)lowest(p, (uint8_t)*a++, (uint8_t)*b++);
        }
    }
}

INLINE void rows_with_one(const struct binary_rows *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t rows,
                          with_one *four, with_one *lowest, one_of *make)
{
    for (; rows > 0; rows--, a += p->a_row_step, b += p->b_row_step) {
        for (int32_t runs = p->runs; runs > 0; runs--, a += p->a_step, b += p->b_step) {
            const int8_t *end = y + p->run;
            int32_t one = make(p, *b);

            for (; end - y >= 4; a += 4, y += 4)
                store_word(y, four(p, load_word(a), one));
            for (; y < end; y++)
                *y = (int8_t)lowest(p, (uint8_t)*a++, one);
        }
    }
}

/* Four bytes above the floor, as int8. */
INLINE uint32_t on_the_floor(const struct binary_rows *p, uint32_t y)
{
    return uqadd8(y, (uint32_t)p->floors) ^ 0x80808080u;
}

INLINE uint32_t line_four(const struct binary_rows *p, uint32_t a, int32_t b0, int32_t b1, int32_t b2, int32_t b3)
{
    int32_t y0 = usat8_asr22((int8_t)a * p->a_factor + b0);
    int32_t y1 = usat8_asr22((int8_t)(a >> 8) * p->a_factor + b1);
    int32_t y2 = usat8_asr22((int8_t)(a >> 16) * p->a_factor + b2);
    int32_t y3 = usat8_asr22((int8_t)(a >> 24) * p->a_factor + b3);

    return on_the_floor(p, (uint32_t)(y0 | y1 << 8 | y2 << 16 | y3 << 24));
}

INLINE int32_t line_term(const struct binary_rows *p, int32_t b)
{
    return b * p->b_factor + p->start;
}

INLINE uint32_t line_of_each(const struct binary_rows *p, uint32_t a, uint32_t b)
{
    return line_four(p, a, line_term(p, (int8_t)b), line_term(p, (int8_t)(b >> 8)), line_term(p, (int8_t)(b >> 16)),
                     line_term(p, (int8_t)(b >> 24)));
}

INLINE uint32_t lowest_line_of_each(const struct binary_rows *p, uint32_t a, uint32_t b)
{
    return on_the_floor(p, (uint32_t)usat8_asr22((int8_t)a * p->a_factor + line_term(p, (int8_t)b)));
}

INLINE uint32_t line_with_one(const struct binary_rows *p, uint32_t a, int32_t one)
{
    return line_four(p, a, one, one, one, one);
}

/* v is doubled already. Where nothing is shifted out there is nothing to round a second time. */
INLINE int32_t scaled(int32_t v, int32_t multiplier, int32_t start, int32_t shift, int32_t sign)
{
    return smmlar(v, multiplier, start + (v >> 31 & sign)) >> shift;
}

INLINE int32_t large_term(const struct binary_rows *p, int32_t large)
{
    return large * p->a_factor + p->a_term;
}

INLINE int32_t small_term(const struct binary_rows *p, int32_t small)
{
    int32_t sign = p->small_shift != 0 ? -1 : 0;

    return 2 * scaled(small * p->b_factor + p->b_term, p->small_multiplier, p->small_round, p->small_shift, sign);
}

INLINE uint32_t sums(const struct binary_rows *p, int32_t s0, int32_t s1, int32_t s2, int32_t s3)
{
    int32_t y0 = usat8(scaled(s0, p->multiplier, p->start, p->shift, -1));
    int32_t y1 = usat8(scaled(s1, p->multiplier, p->start, p->shift, -1));
    int32_t y2 = usat8(scaled(s2, p->multiplier, p->start, p->shift, -1));
    int32_t y3 = usat8(scaled(s3, p->multiplier, p->start, p->shift, -1));

    return on_the_floor(p, (uint32_t)(y0 | y1 << 8 | y2 << 16 | y3 << 24));
}

INLINE uint32_t scaled_of_each(const struct binary_rows *p, uint32_t a, uint32_t b)
{
    return sums(p, large_term(p, (int8_t)a) + small_term(p, (int8_t)b),
                large_term(p, (int8_t)(a >> 8)) + small_term(p, (int8_t)(b >> 8)),
                large_term(p, (int8_t)(a >> 16)) + small_term(p, (int8_t)(b >> 16)),
                large_term(p, (int8_t)(a >> 24)) + small_term(p, (int8_t)(b >> 24)));
}

INLINE uint32_t small_with_large(const struct binary_rows *p, uint32_t small, int32_t large)
{
    return sums(p, small_term(p, (int8_t)small) + large, small_term(p, (int8_t)(small >> 8)) + large,
                small_term(p, (int8_t)(small >> 16)) + large, small_term(p, (int8_t)(small >> 24)) + large);
}

INLINE uint32_t large_with_small(const struct binary_rows *p, uint32_t large, int32_t small)
{
    return sums(p, large_term(p, (int8_t)large) + small, large_term(p, (int8_t)(large >> 8)) + small,
                large_term(p, (int8_t)(large >> 16)) + small, large_term(p, (int8_t)(large >> 24)) + small);
}

/* Of twice a product: the result in the upper half. */
INLINE uint32_t rounded(const struct binary_rows *p, int32_t twice)
{
    return (uint32_t)smmlar(twice, p->multiplier, p->start + (twice >> 31)) << p->shift;
}

/* Of elements 0 to 3, whose lanes are 0 and 2, and 1 and 3. */
INLINE uint32_t products(const struct binary_rows *p, int32_t p0, int32_t p1, int32_t p2, int32_t p3)
{
    uint32_t even = usat8_lanes(pkhtb_high(rounded(p, p0), rounded(p, p2)));
    uint32_t odd = usat8_lanes(pkhtb_high(rounded(p, p1), rounded(p, p3)));

    return on_the_floor(p, even | odd << 8);
}

INLINE uint32_t lowest_product(const struct binary_rows *p, int32_t twice)
{
    return on_the_floor(p, (uint32_t)usat8((int32_t)rounded(p, twice) >> 16));
}

INLINE uint32_t product_of_each(const struct binary_rows *p, uint32_t a, uint32_t b)
{
    uint32_t a02 = sxtab16((uint32_t)p->a_term, a), a13 = sxtab16_high((uint32_t)p->a_term, a);
    uint32_t b02 = sxtab16((uint32_t)p->b_term, b), b13 = sxtab16_high((uint32_t)p->b_term, b);

    b02 = sadd16(b02, b02);
    b13 = sadd16(b13, b13);
    return products(p, smulbb(a02, b02), smulbb(a13, b13), smultt(a02, b02), smultt(a13, b13));
}

INLINE uint32_t lowest_product_of_each(const struct binary_rows *p, uint32_t a, uint32_t b)
{
    return lowest_product(p, 2 * smulbb(sxtab16((uint32_t)p->a_term, a), sxtab16((uint32_t)p->b_term, b)));
}

INLINE int32_t product_factor(const struct binary_rows *p, int32_t b)
{
    return 2 * (b + (int16_t)p->b_term);
}

INLINE uint32_t product_with_one(const struct binary_rows *p, uint32_t a, int32_t one)
{
    uint32_t a02 = sxtab16((uint32_t)p->a_term, a), a13 = sxtab16_high((uint32_t)p->a_term, a), b = (uint32_t)one;

    return products(p, smulbb(a02, b), smulbb(a13, b), smulbt(b, a02), smulbt(b, a13));
}

INLINE uint32_t lowest_product_with_one(const struct binary_rows *p, uint32_t a, int32_t one)
{
    return lowest_product(p, smulbb(sxtab16((uint32_t)p->a_term, a), (uint32_t)one));
}

#define EACH(name, four, lowest)                                                                              \
    RAMCODE void name(const struct binary_rows *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t rows) \
    {                                                                                                         \
        const struct binary_rows own = *p;                                                                    \
                                                                                                              \
        rows_of_each(&own, a, b, y, rows, four, lowest);                                                      \
    }
#define ONE(name, four, lowest, make)                                                                         \
    RAMCODE void name(const struct binary_rows *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t rows) \
    {                                                                                                         \
        const struct binary_rows own = *p;                                                                    \
                                                                                                              \
        rows_with_one(&own, a, b, y, rows, four, lowest, make);                                               \
    }

EACH(line_each, line_of_each, lowest_line_of_each)
ONE(line_one, line_with_one, line_with_one, line_term)
EACH(scaled_each, scaled_of_each, scaled_of_each)
ONE(scaled_one_large, small_with_large, small_with_large, large_term)
ONE(scaled_one_small, large_with_small, large_with_small, small_term)
EACH(product_each, product_of_each, lowest_product_of_each)
ONE(product_one, product_with_one, lowest_product_with_one, product_factor)

INLINE void make_rows(const struct binary_rows *p, const int8_t *first, const int8_t *second, int8_t *y, int32_t rows)
{
    p->form(p, p->swapped ? second : first, p->swapped ? first : second, y, rows);
}

RAMCODE void binary_rows_cortex_m4(const struct binary_rows *p, const struct feature_map *a, const struct feature_map *b,
                                   const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    (void)scratch;
    for (int32_t row = first; row < first + count; row++)
        make_rows(p, row_of(a, row), row_of(b, row), row_of(y, row), 1);
}

RAMCODE void binary_rows_whole_cortex_m4(const struct binary_rows *p, const struct feature_map *a,
                                         const struct feature_map *b, const struct feature_map *y, void *scratch,
                                         int32_t first, int32_t count)
{
    (void)scratch;
    (void)first;
    make_rows(p, a->data, b->data, y->data, count);
}

RAMCODE void binary_rows_constant_cortex_m4(const struct binary_rows *p, const struct feature_map *x,
                                            const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    (void)scratch;
    for (int32_t row = first; row < first + count; row++)
        make_rows(p, row_of(x, row), p->constant + row * p->constant_row_bytes, row_of(y, row), 1);
}

RAMCODE void binary_rows_constant_whole_cortex_m4(const struct binary_rows *p, const struct feature_map *x,
                                                  const struct feature_map *y, void *scratch, int32_t first,
                                                  int32_t count)
{
    (void)scratch;
    (void)first;
    make_rows(p, x->data, p->constant, y->data, count);
}
