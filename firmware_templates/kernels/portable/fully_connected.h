#ifndef KERNELS_FULLY_CONNECTED_H
#define KERNELS_FULLY_CONNECTED_H

#include <stdint.h>

/* multiplier, residue and shift hold one entry per output, or one for all of them where scale_step is 0. */
struct fully_connected {
    int32_t rows, inputs, outputs;
    int32_t output_zero;
    int32_t minimum, maximum;
    int32_t scale_step;
    const int32_t *bias; /* minus the input's zero point times the sum of the output's weights */
    const int32_t *multiplier;
    const int32_t *residue; /* of the multiplier, in units of 2^-32; null where it is zero for all */
    const int8_t *shift;
};

/* x (row, input), w (output, input), y (row, output) */
void fully_connected_portable(const struct fully_connected *p, const int8_t *x, const int8_t *w, int8_t *y);

#endif
