#ifndef KERNELS_FULLY_CONNECTED_PAIRS_H
#define KERNELS_FULLY_CONNECTED_PAIRS_H

#include "fully_connected.h"

struct fully_connected_pairs {
    FULLY_CONNECTED_FIELDS
};

/* scratch: 2 bytes for each input, up to whole words of four */
void fully_connected_pairs_cortex_m4(const struct fully_connected_pairs *p, const struct feature_map *x,
                                     const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
