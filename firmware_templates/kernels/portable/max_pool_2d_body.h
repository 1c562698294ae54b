/* MAX_POOL_2D: y = clamp(max of the window's part inside x) */
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

            for (int32_t channel = 0; channel < p->channels; channel++) {
                int32_t best = p->minimum;

                for (int32_t i = rows.first; i < rows.end; i++) {
                    const ELEMENT *value = x + ((top + i) * p->input_width + left + columns.first) * p->channels + channel;

                    for (int32_t j = columns.first; j < columns.end; j++, value += p->channels)
                        best = larger(best, *value);
                }
                *y++ = (ELEMENT)smaller(best, p->maximum);
            }
        }
    }
}
