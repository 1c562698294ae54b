/* BATCH_MATMUL: the columns of b become records of weights, the rows of a are the pixels of a convolution.
 *
 * A record has two columns: their starts, then of each four values along the depth four words, (0, 2) of one column, of
 * the other, (1, 3) of both. Values are less b's zero point, so that they take int16. The sum
 * starts from what a's zero point, and the 128 by which bytes are widened, take off.
 */
#include "batch_matmul_gemm.h"

#include "conv_2d_gemm_parts.h"

/* A record that is being written, and the sums of its two columns. */
struct record {
    uint32_t *to;
    int32_t first, second;
};

/* Two values of each column. */
static inline void put(struct record *record, uint32_t first, uint32_t second, uint32_t zeros)
{
    first = ssub16(first, zeros);
    second = ssub16(second, zeros);
    record->to[0] = first;
    record->to[1] = second;
    record->to += 2;
    record->first = smlad(first, 0x00010001u, record->first);
    record->second = smlad(second, 0x00010001u, record->second);
}

/* Four values of each column, in words of their own. */
static inline void put_columns(struct record *record, uint32_t first, uint32_t second, uint32_t zeros)
{
    put(record, sxtb16(first), sxtb16(second), zeros);
    put(record, sxtb16_high(first), sxtb16_high(second), zeros);
}

static inline uint32_t load_half(const int8_t *from)
{
    uint16_t half;

    __builtin_memcpy(&half, from, sizeof half);
    return half;
}

/* Four values of two columns that lie side by side in rows of b. */
static inline void put_rows(struct record *record, const int8_t *from, int32_t step, uint32_t zeros)
{
    uint32_t even = load_half(from) | load_half(from + 2 * step) << 16;
    uint32_t odd = load_half(from + step) | load_half(from + 3 * step) << 16;

    put(record, sxtb16(even), sxtb16_high(even), zeros);
    put(record, sxtb16(odd), sxtb16_high(odd), zeros);
}

/* What fills no four values, filled up with b's zero point. */
static inline uint32_t collect_rest(const int8_t *from, int32_t step, int32_t count, int32_t zero)
{
    uint32_t word = (uint8_t)zero * 0x01010101u;

    for (int32_t i = 0; i < count; i++, from += step)
        word = (word & ~(0xFFu << 8 * i)) | (uint32_t)(uint8_t)*from << 8 * i;
    return word;
}

/* One record, of the columns at `first` and `second`. */
RAMCODE static __attribute__((noinline)) uint32_t *pack(const struct batch_matmul_gemm *p, const int8_t *first, const int8_t *second, uint32_t *to)
{
    int32_t step = p->b_turned ? 1 : p->columns, left = p->depth;
    uint32_t zeros = (uint32_t)(uint16_t)p->b_zero * 0x00010001u;
    struct record record = {.to = to + 2};

    if (p->b_turned)
        for (; left >= 4; left -= 4, first += 4, second += 4)
            put_columns(&record, load_word(first), load_word(second), zeros);
    else
        for (; left >= 4; left -= 4, first += 4 * step)
            put_rows(&record, first, step, zeros);
    if (left > 0) {
        second = p->b_turned ? second : first + 1;
        put_columns(&record, collect_rest(first, step, left, p->b_zero), collect_rest(second, step, left, p->b_zero),
                    zeros);
    }
    to[0] = (uint32_t)(-2 * (p->a_zero + 128) * record.first);
    to[1] = (uint32_t)(-2 * (p->a_zero + 128) * record.second);
    return record.to;
}

/* Records of all columns, and the scale behind them; where it ends. */
RAMCODE static uint32_t *pack_all(const struct batch_matmul_gemm *p, const int8_t *b, uint32_t *to)
{
    int32_t step = p->b_turned ? p->depth : 1, columns = p->columns;

    for (int32_t column = 0; column < columns; column += 2) {
        /* As conv_2d_gemm_multiply_all has them: of an odd number the last goes with the one before it. */
        int32_t first = column + 1 < columns || columns == 1 ? column : column - 1;

        to = pack(p, b + first * step, b + (columns == 1 ? 0 : first + 1) * step, to);
    }
    to[0] = (uint32_t)p->multiplier;
    to[1] = (uint32_t)p->shift;
    return to + 2;
}

RAMCODE static void turn(const int8_t *from, int32_t rows, int32_t depth, int8_t *to)
{
    for (int32_t row = 0; row < rows; row++)
        for (int32_t k = 0; k < depth; k++)
            *to++ = from[k * rows + row];
}

RAMCODE void batch_matmul_gemm_cortex_m4(const struct batch_matmul_gemm *p, const struct feature_map *a,
                                         const struct feature_map *b, const struct feature_map *y, void *scratch,
                                         int32_t first, int32_t count)
{
    struct conv_2d_gemm conv = product_of_matrices(p->rows, p->depth, p->columns);
    struct feature_map from = {.rows = 1, .row_bytes = p->rows * p->depth};
    struct feature_map to = {y->data, 1, p->rows * p->columns};

    (void)first;
    (void)count;
    conv.output_zero = p->output_zero;
    conv.floor = INT8_MIN;
    conv.ceiling = INT8_MAX;
    conv.steps = p->steps;
    conv.pair_bytes = 8 + 8 * p->steps;
    conv.multiply = p->multiply;
    conv.multiply_two = p->multiply_two;
    conv.store = p->store;
    conv.weights = scratch;
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->inner; j++, to.data += to.row_bytes) {
            uint32_t *rest = pack_all(p, b->data + i * p->b_outer + j * p->b_inner, scratch);

            from.data = a->data + i * p->a_outer + j * p->a_inner;
            if (p->a_turned) {
                turn(from.data, p->rows, p->depth, (int8_t *)rest);
                from.data = (int8_t *)rest;
                rest += (from.row_bytes + 3) / 4;
            }
            conv_2d_gemm_cortex_m4(&conv, &from, &to, rest, 0, 1);
        }
    }
}
