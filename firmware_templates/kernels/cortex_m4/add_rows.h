#ifndef KERNELS_ADD_ROWS_H
#define KERNELS_ADD_ROWS_H

#include "rows.h"

struct add_rows {
    int32_t line;                /* whether the next three give the sum: (a_factor * a + b_factor * b + constant) >> 22 */
    int32_t a_factor, b_factor, constant; /* less the floor; the rest is for where they do not */
    int32_t swapped;             /* whether the second map is the one of the larger scale */
    int32_t row_bytes;
    int32_t large_term;          /* -2 * 2^19 * its zero point */
    int32_t small_term;          /* -2^21 * the other's zero point */
    int32_t small_multiplier, small_round, small_shift; /* 2^(shift - 1), to the right */
    int32_t multiplier, start, shift; /* start: 2^(shift - 1) + (output zero point - floor) * 2^shift */
    int32_t floors;              /* floor + 128, in each byte */
};

/* y may be one of the maps that are added. */
void add_rows_cortex_m4(const struct add_rows *p, const struct feature_map *a, const struct feature_map *b,
                        const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
