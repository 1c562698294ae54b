/* RELU, RELU6 and QUANTIZE from or to int16: y = clamp(rescale(x - input_zero) + output_zero) */
#include "requantize_int16.h"

#include "fixed_point.h"

void requantize_int16_portable(const struct requantize_int16 *p, const void *x, void *y)
{
    const uint8_t *narrow = x;
    const int16_t *wide = x;
    int8_t *to_narrow = y;
    int16_t *to_wide = y;

    for (int32_t i = 0; i < p->count; i++) {
        int32_t value = p->input_bytes == 2 ? wide[i] : (int8_t)(narrow[i] ^ p->input_flip);

        value = rescale(value - p->input_zero, p->multiplier, p->shift) + p->output_zero;
        value = clamp(value, p->minimum, p->maximum);
        if (p->output_bytes == 2)
            to_wide[i] = (int16_t)value;
        else
            to_narrow[i] = (int8_t)value;
    }
}
