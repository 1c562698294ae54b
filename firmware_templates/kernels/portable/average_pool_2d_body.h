/* AVERAGE_POOL_2D: y = clamp(mean of the window's part inside x)
 *
 * The mean of the integers themselves, ties rounded away from zero, the zero point left in, and padding not
 * counted (TFLite, integer_ops/pooling.h).
 */
#include "fixed_point.h"
#include "window.h"

void FUNCTION(const PARAMETERS *p, const ELEMENT *x, ELEMENT *y)
{
    for (int32_t row = 0; row < p->output_height; row++) {
        int32_t top = row * p->stride_y - p->pad_top;
        struct span rows = taps_inside(top, p->window_height, 1, p->input_height);

        for (int32_t column = 0; column < p->output_width; column++) {
            int32_t left = column * p->stride_x - p->pad_left;
            struct span columns = taps_inside(left, p->window_width, 1, p->input_width);
            int32_t count = (rows.end - rows.first) * (columns.end - columns.first);

            for (int32_t channel = 0; channel < p->channels; channel++) {
                int32_t sum = 0;

                for (int32_t i = rows.first; i < rows.end; i++) {
                    const ELEMENT *value = x + ((top + i) * p->input_width + left + columns.first) * p->channels + channel;

                    for (int32_t j = columns.first; j < columns.end; j++, value += p->channels)
                        sum += *value;
                }
                sum = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
                *y++ = (ELEMENT)clamp(sum, p->minimum, p->maximum);
            }
        }
    }
}
