/* What the kernels of FULLY_CONNECTED share: their parameters, and the job of their assembly.
 *
 * All are by Winograd's inner product of 1968, which makes two products of one multiplication:
 *
 *   w0 * x0 + w1 * x1 = (x1 + w0) * (x0 + w1) - x0 * x1 - w0 * w1
 *
 * Sums of two int8 fit 16 bits, so that four inputs and weights take three instructions, and the weights need no
 * widening of their own (fully_connected_macros.h). The products of the inputs' pairs are the same for all outputs: one
 * sum for each row. Those of the weights' pairs are in the bias. Everything is exact modulo 2^32, and the sums that
 * remain fit 32 bits, which the operator makes sure of.
 */
#ifndef KERNELS_FULLY_CONNECTED_CORTEX_M4_H
#define KERNELS_FULLY_CONNECTED_CORTEX_M4_H

#include "rows.h"

/* The fields of the kernels' structs. Outputs are made in groups of four; arrays are filled up to whole groups. */
#define FULLY_CONNECTED_FIELDS                                                                             \
    int32_t inputs, outputs;                                                                               \
    int32_t rounding, shift; /* of all outputs, after the product with their multipliers */                \
    int32_t above, base;     /* 255 - (maximum - minimum), and minimum - above, in each byte */            \
    int32_t multiplier_step; /* bytes from a group's multipliers to the next: 16, or 0 where all are one */ \
    const int32_t *weights;  /* [group][word of inputs][4 outputs]: 4 int8 a word */                       \
    const int32_t *bias;     /* minus the zero point times the weights, minus the products of pairs of weights */ \
    const int32_t *multiplier;

/* What the assembly makes one row of y from, in its order there. */
struct fully_connected_job {
    const void *x, *x_end;
    const int8_t *entry;  /* into the unrolled loop */
    int32_t pairs;        /* products of the inputs' pairs */
    const int32_t *bias;
    int32_t outputs;
    int8_t *y;
    const int32_t *multiplier;
    int32_t multiplier_step;
    int32_t rounding, shift;
    int32_t above, base;
};

#endif
