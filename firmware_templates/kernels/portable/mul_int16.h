#ifndef KERNELS_MUL_INT16_H
#define KERNELS_MUL_INT16_H

#include <stdint.h>

/* Three nested loops over the outputs; a step of 0 repeats an operand. */
struct mul_int16 {
    int32_t outer, middle, inner;
    int32_t a_outer, a_middle, a_inner;
    int32_t b_outer, b_middle, b_inner;
    int32_t a_zero, b_zero, output_zero;
    int32_t multiplier, shift;
    int32_t minimum, maximum;
};

/* a, b and y may be the same array where no operand is repeated. */
void mul_int16_portable(const struct mul_int16 *p, const int16_t *a, const int16_t *b, int16_t *y);

#endif
