/* PAD and PADV2: y = x with a constant around it */
#include "pad.h"

#include <string.h>

static int8_t *fill(int8_t *y, int32_t value, int32_t count)
{
    memset(y, value, (size_t)count);
    return y + count;
}

void pad_portable(const struct pad *p, const void *from, void *to)
{
    const int8_t *x = from;
    int8_t *y = to;
    int32_t pixel = p->front + p->channels + p->back;
    int32_t row = (p->left + p->width + p->right) * pixel;

    y = fill(y, p->value, p->top * row);
    for (int32_t i = 0; i < p->height; i++) {
        y = fill(y, p->value, p->left * pixel);
        for (int32_t j = 0; j < p->width; j++, x += p->channels) {
            y = fill(y, p->value, p->front);
            memcpy(y, x, (size_t)p->channels);
            y = fill(y + p->channels, p->value, p->back);
        }
        y = fill(y, p->value, p->right * pixel);
    }
    fill(y, p->value, p->bottom * row);
}
