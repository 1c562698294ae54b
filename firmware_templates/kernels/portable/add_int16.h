#ifndef KERNELS_ADD_INT16_H
#define KERNELS_ADD_INT16_H

#include <stdint.h>

/* Three nested loops over the outputs; a step of 0 repeats an operand. */
struct add_int16 {
    int32_t outer, middle, inner;
    int32_t a_outer, a_middle, a_inner;
    int32_t b_outer, b_middle, b_inner;
    int32_t a_zero, b_zero, output_zero;
    int32_t a_multiplier, a_shift;
    int32_t b_multiplier, b_shift;
    int32_t output_multiplier, output_shift;
    int32_t minimum, maximum;
};

/* a, b and y may be the same array where no operand is repeated. */
void add_int16_portable(const struct add_int16 *p, const int16_t *a, const int16_t *b, int16_t *y);

#endif
