/* RELU, RELU6, RELU_N1_TO_1 and QUANTIZE of integers: y = clamp(rescale(x - input_zero) + output_zero) */
#include "requantize.h"

#include "fixed_point.h"

void requantize_portable(const struct requantize *p, const void *x, void *y)
{
    const uint8_t *from = x;
    uint8_t *to = y;

    for (int32_t i = 0; i < p->count; i++) {
        int32_t value = (int8_t)(from[i] ^ p->input_flip) - p->input_zero;

        value = rescale(value, p->multiplier, p->shift) + p->output_zero;
        to[i] = (uint8_t)(clamp(value, p->minimum, p->maximum) ^ p->output_flip);
    }
}
