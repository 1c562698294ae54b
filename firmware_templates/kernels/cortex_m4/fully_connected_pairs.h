#ifndef KERNELS_FULLY_CONNECTED_PAIRS_H
#define KERNELS_FULLY_CONNECTED_PAIRS_H

#include "rows.h"

/* Outputs are made in groups of four; arrays are filled up to whole groups. */
struct fully_connected_pairs {
    int32_t inputs, outputs;
    int32_t part;            /* inputs that are widened at once, a multiple of 4; all of them, or fewer to save memory */
    int32_t rounding, shift; /* of all outputs, after the product with their multipliers */
    int32_t above, base;     /* 255 - (maximum - minimum), and minimum - above, in each byte */
    int32_t multiplier_step; /* bytes from a group's multipliers to the next: 16, or 0 where all are one */
    const int32_t *weights;  /* [part of the inputs][group][word of inputs][4 outputs]: 4 int8 a word */
    const int32_t *bias;     /* minus the zero point times the weights, minus the products of pairs of weights */
    const int32_t *multiplier;
};

/* scratch: 2 bytes for each input of a part; 4 more for each output where there is more than one part */
void fully_connected_pairs_cortex_m4(const struct fully_connected_pairs *p, const struct feature_map *x,
                                     const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
