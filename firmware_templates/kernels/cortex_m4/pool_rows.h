#ifndef KERNELS_POOL_ROWS_H
#define KERNELS_POOL_ROWS_H

#include "rows.h"

struct pool_rows;

/* What lies beneath one window. */
struct pool_rows_window {
    const int8_t *const *lines; /* input rows, from column 0 on */
    int32_t line_count;
    int32_t offset;             /* of the first column */
    int32_t columns;
    int32_t step;               /* from one to the next */
};

/* One window's results, from a channel on: the largest, or the mean of at most 256 elements; of so many channels. */
typedef void pool_rows_pool(const struct pool_rows *p, const struct pool_rows_window *w, int32_t channel, int8_t *to);
pool_rows_pool pool_rows_largest_8, pool_rows_largest_4, pool_rows_largest_1;
pool_rows_pool pool_rows_mean_8, pool_rows_mean_4, pool_rows_mean_1;

struct pool_rows {
    int32_t input_height, input_width, channels;
    int32_t output_width;
    int32_t window_height, window_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t minimum, maximum;
    pool_rows_pool *pool;
    int32_t at_once; /* channels that it makes, of which there are as many at least */
};

void pool_rows_cortex_m4(const struct pool_rows *p, const struct feature_map *x, const struct feature_map *y, void *scratch,
                         int32_t first, int32_t count);

#endif
