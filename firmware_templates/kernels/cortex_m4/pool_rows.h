#ifndef KERNELS_POOL_ROWS_H
#define KERNELS_POOL_ROWS_H

#include "rows.h"

struct pool_rows {
    int32_t input_height, input_width, channels;
    int32_t output_width;
    int32_t window_height, window_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t minimum, maximum;
    int32_t average; /* 1: the mean of a window, of at most 256 elements; 0: the largest */
};

void pool_rows_cortex_m4(const struct pool_rows *p, const struct feature_map *x, const struct feature_map *y, void *scratch,
                         int32_t first, int32_t count);

#endif
