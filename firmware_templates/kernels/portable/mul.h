#ifndef KERNELS_MUL_H
#define KERNELS_MUL_H

#include <stdint.h>

/* Three nested loops over the outputs; a step of 0 repeats an operand. */
struct mul {
    int32_t outer, middle, inner;
    int32_t a_outer, a_middle, a_inner;
    int32_t b_outer, b_middle, b_inner;
    int32_t a_zero, b_zero, output_zero;
    int32_t multiplier, shift;
    int32_t minimum, maximum;
};

/* a, b and y may be the same array where no operand is repeated. */
void mul_portable(const struct mul *p, const int8_t *a, const int8_t *b, int8_t *y);

#endif
