#ifndef KERNELS_AVERAGE_ROWS_H
#define KERNELS_AVERAGE_ROWS_H

#include "rows.h"

struct average_rows {
    int32_t input_height, input_width, channels;
    int32_t multiplier, shift;         /* of MEAN, as rescale() takes them; a multiplier of 0: divide */
    int32_t input_zero, output_zero;   /* of MEAN */
    int32_t minimum, maximum;
};

/* `sums` are `channels` words that keep their bytes; `first` and `count` are rows of x. The last one writes y. */
void average_rows_cortex_m4(const struct average_rows *p, const struct feature_map *x, const struct feature_map *y,
                            void *sums, int32_t first, int32_t count);

#endif
