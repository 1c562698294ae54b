/* RESIZE_NEAREST_NEIGHBOR and MIRROR_PAD: y[i, j, c] = x[rows[i], columns[j], sources[c]] */
#include "select.h"

#include <string.h>

void select_portable(const struct select *p, const void *from, void *to)
{
    const int8_t *x = from;
    int8_t *y = to;

    for (int32_t i = 0; i < p->height; i++) {
        const int8_t *row = x + p->rows[i] * p->row_pitch;

        for (int32_t j = 0; j < p->width; j++, y += p->channels) {
            const int8_t *pixel = row + p->columns[j] * p->pixel_pitch;

            if (!p->sources) {
                memcpy(y, pixel, (size_t)p->channels);
            } else {
                for (int32_t c = 0; c < p->channels; c++)
                    y[c] = pixel[p->sources[c]];
            }
        }
    }
}
