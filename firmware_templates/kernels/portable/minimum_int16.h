#ifndef KERNELS_MINIMUM_INT16_H
#define KERNELS_MINIMUM_INT16_H

#include <stdint.h>

/* Three nested loops over the outputs; a step of 0 repeats an operand. */
struct minimum_int16 {
    int32_t outer, middle, inner;
    int32_t a_outer, a_middle, a_inner;
    int32_t b_outer, b_middle, b_inner;
};

/* a, b and y may be the same array where no operand is repeated. */
void minimum_int16_portable(const struct minimum_int16 *p, const int16_t *a, const int16_t *b, int16_t *y);

#endif
