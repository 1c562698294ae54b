#ifndef KERNELS_BINARY_ROWS_H
#define KERNELS_BINARY_ROWS_H

#include "rows.h"

struct binary_rows;

/* Rows that lie one behind the other; y may be a or b where they are as long as y. */
typedef void binary_form(const struct binary_rows *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t rows);

struct binary_rows {
    binary_form *form;           /* what makes rows of the output */
    int32_t swapped;             /* whether the form's a is the second operand, and b the first */
    int32_t runs, run;           /* of a row, and elements of a run */
    int32_t a_step, b_step;      /* from what a run has taken to what the next one takes */
    int32_t a_row_step, b_row_step; /* the same, from what a row has taken, behind the step of its last run */
    int32_t floors;              /* the lower end of the clamp + 128, in each byte */
    int32_t start;               /* this and what follows is said below, form by form; what a form does not want is 0 */
    int32_t a_factor, b_factor;
    int32_t a_term, b_term;
    int32_t multiplier, shift;
    int32_t small_multiplier, small_round, small_shift;
    const int8_t *constant;      /* the operand that is no map, if any: it is the second one here */
    int32_t constant_row_bytes;  /* 0 where it is the same for all rows */
};

/* b goes on as a does (each), or is the same all through a run (one). */

/* (a_factor * a + b_factor * b + start) >> 22 is the result less the floor. */
binary_form line_each, line_one;

/* As the reference adds. a_factor and a_term: 2 * 2^19 times the operand of the larger scale, less its zero point;
 * b_factor and b_term: 2^21 times the other one, which has the multiplier and the shift to the right by small_shift.
 * small_round: 2^(small_shift - 1); start: 2^(shift - 1) + (output zero point - floor) * 2^shift.
 * Each: a is the operand of the larger scale. One: b is, or is not. */
binary_form scaled_each, scaled_one_large, scaled_one_small;

/* As the reference multiplies. a_term and b_term: zero points, negated, in both lanes; start as above for a shift to the
 * right by 16 - shift. */
binary_form product_each, product_one;

void binary_rows_cortex_m4(const struct binary_rows *p, const struct feature_map *a, const struct feature_map *b,
                           const struct feature_map *y, void *scratch, int32_t first, int32_t count);

/* All rows at once of maps of which none is a ring: first is 0. */
void binary_rows_whole_cortex_m4(const struct binary_rows *p, const struct feature_map *a, const struct feature_map *b,
                                 const struct feature_map *y, void *scratch, int32_t first, int32_t count);

/* Both where one operand is a constant. */
void binary_rows_constant_cortex_m4(const struct binary_rows *p, const struct feature_map *x,
                                    const struct feature_map *y, void *scratch, int32_t first, int32_t count);
void binary_rows_constant_whole_cortex_m4(const struct binary_rows *p, const struct feature_map *x,
                                          const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
