#ifndef KERNELS_LOOKUP_ROWS_H
#define KERNELS_LOOKUP_ROWS_H

#include "rows.h"

struct lookup_rows {
    int32_t pixels, channels; /* of a row; with one table for all channels, a row is one pixel */
    int32_t tables;           /* 1, or one for each channel */
    const int8_t *table;      /* (tables, 256): the results for 0, 1 ... 127, -128, -127 ... -1 */
};

void lookup_rows_cortex_m4(const struct lookup_rows *p, const struct feature_map *x, const struct feature_map *y,
                           void *scratch, int32_t first, int32_t count);

#endif
