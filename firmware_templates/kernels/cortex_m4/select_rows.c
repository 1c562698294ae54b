/* RESIZE_NEAREST_NEIGHBOR and MIRROR_PAD, row by row: y[i, j] = x[rows[i], columns[j]]. */
#include "select_rows.h"

#include "copy.h"

RAMCODE void select_rows_cortex_m4(const struct select_rows *p, const struct feature_map *x, const struct feature_map *y,
                                   void *scratch, int32_t first, int32_t count)
{
    int32_t width = p->width, channels = p->channels;

    (void)scratch;
    for (int32_t row = first; row < first + count; row++) {
        const int8_t *from = row_of(x, p->rows[row]);
        int8_t *to = row_of(y, row);

        for (int32_t column = 0; column < width; column++, to += channels)
            copy_row_bytes(to, from + p->columns[column] * channels, channels);
    }
}
