#ifndef KERNELS_SOFTMAX_INT16_H
#define KERNELS_SOFTMAX_INT16_H

#include <stdint.h>

/* Each table has 513 entries over an int16, with 15 fractional bits. */
struct softmax_int16 {
    int32_t rows, depth;
    int32_t multiplier, shift;  /* bring a difference of inputs to 10 / 65535 */
    const int16_t *exponential; /* of -10 to 0 */
    const int16_t *reciprocal;  /* of 1 + x, for x of 0 to 1 */
};

/* x and y may be the same array. */
void softmax_int16_portable(const struct softmax_int16 *p, const int16_t *x, int16_t *y);

#endif
