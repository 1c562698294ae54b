#ifndef KERNELS_MINIMUM_H
#define KERNELS_MINIMUM_H

#include <stdint.h>

/* Three nested loops over the outputs; a step of 0 repeats an operand. */
struct minimum {
    int32_t outer, middle, inner;
    int32_t a_outer, a_middle, a_inner;
    int32_t b_outer, b_middle, b_inner;
};

/* a, b and y may be the same array where no operand is repeated. */
void minimum_portable(const struct minimum *p, const int8_t *a, const int8_t *b, int8_t *y);

#endif
