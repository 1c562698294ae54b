#ifndef KERNELS_PRELU_H
#define KERNELS_PRELU_H

#include <stdint.h>

/* Three nested loops over the outputs; a step of 0 repeats an operand. */
struct prelu {
    int32_t outer, middle, inner;
    int32_t a_outer, a_middle, a_inner;
    int32_t b_outer, b_middle, b_inner;
    int32_t a_zero, b_zero, output_zero;
    int32_t above_multiplier, above_shift;
    int32_t below_multiplier, below_shift;
};

/* a is the input, b its slopes below zero; a and y may be the same array. */
void prelu_portable(const struct prelu *p, const int8_t *a, const int8_t *b, int8_t *y);

#endif
