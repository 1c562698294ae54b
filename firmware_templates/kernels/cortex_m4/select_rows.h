#ifndef KERNELS_SELECT_ROWS_H
#define KERNELS_SELECT_ROWS_H

#include "rows.h"

struct select_rows {
    int32_t width, channels;       /* of y; channels of x too */
    const int16_t *rows, *columns; /* of x, for each row and column of y */
};

void select_rows_cortex_m4(const struct select_rows *p, const struct feature_map *x, const struct feature_map *y,
                           void *scratch, int32_t first, int32_t count);

#endif
