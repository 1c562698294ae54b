/* CONCATENATION along width or channels, row by row: y = the inputs, one beside the other. */
#include "concatenation_rows.h"

#include <stdarg.h>

#include "copy.h"

/* One input's part of a row. */
RAMCODE static __attribute__((noinline)) void lay_beside(const struct concatenation_rows *p, const int8_t *from,
                                                         int8_t *to, int32_t bytes)
{
    for (int32_t turn = 0; turn < p->turns; turn++, from += bytes, to += p->pitch)
        copy_row_bytes(to, from, bytes);
}

RAMCODE void concatenation_rows_cortex_m4(const struct concatenation_rows *p, ...)
{
    va_list behind, inputs;
    const struct feature_map *y;
    int32_t first, count, offset = 0;

    va_start(behind, p);
    va_copy(inputs, behind);
    for (int32_t i = 0; i < p->inputs; i++)
        (void)va_arg(behind, const struct feature_map *);
    y = va_arg(behind, const struct feature_map *);
    (void)va_arg(behind, void *);
    first = va_arg(behind, int32_t);
    count = va_arg(behind, int32_t);
    va_end(behind);
    for (int32_t i = 0; i < p->inputs; i++) {
        const struct feature_map *x = va_arg(inputs, const struct feature_map *);

        for (int32_t row = first; row < first + count; row++)
            lay_beside(p, row_of(x, row), row_of(y, row) + offset, p->bytes[i]);
        offset += p->bytes[i];
    }
    va_end(inputs);
}
