/* CONCATENATION and PACK: y = the inputs, one beside the other */
#include "concatenation.h"

#include <stdarg.h>
#include <string.h>

static int8_t *output_behind(va_list inputs, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        (void)va_arg(inputs, const int8_t *);
    return va_arg(inputs, int8_t *);
}

void concatenation_portable(const struct concatenation *p, ...)
{
    va_list first, inputs;
    int8_t *y;

    va_start(first, p);
    va_copy(inputs, first);
    y = output_behind(first, p->inputs);
    va_end(first);
    for (int32_t i = 0; i < p->inputs; i++) {
        const int8_t *x = va_arg(inputs, const int8_t *);
        size_t bytes = (size_t)p->bytes[i];

        for (int32_t turn = 0; turn < p->outer; turn++, x += bytes)
            memcpy(y + turn * p->pitch, x, bytes);
        y += bytes;
    }
    va_end(inputs);
}
