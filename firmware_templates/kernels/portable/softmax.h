#ifndef KERNELS_SOFTMAX_H
#define KERNELS_SOFTMAX_H

#include <stdint.h>

struct softmax {
    int32_t rows, depth;
    int32_t entries;            /* of the table; the exponential of larger differences is zero */
    const int32_t *exponential; /* [d]: exp(-beta * scale * d) in units of 2^-31 */
};

/* x and y may be the same array. */
void softmax_portable(const struct softmax *p, const int8_t *x, int8_t *y);

#endif
