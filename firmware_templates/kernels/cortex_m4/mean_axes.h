#ifndef KERNELS_MEAN_AXES_H
#define KERNELS_MEAN_AXES_H

#include "rows.h"

struct mean_axes {
    int32_t outer, count, inner; /* x (outer, count, inner), y (outer, inner) */
    int32_t zeros;               /* count times the input's zero point */
    int32_t output_zero;
    int32_t multiplier;          /* 1 / count is part of it */
    int32_t left, right;         /* shifts before and behind it, of which one is 0 */
};

/* All rows at once of maps that are whole. */
void mean_axes_cortex_m4(const struct mean_axes *p, const struct feature_map *x, const struct feature_map *y, void *scratch,
                         int32_t first, int32_t count);

#endif
