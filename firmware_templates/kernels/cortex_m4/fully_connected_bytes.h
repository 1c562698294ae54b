#ifndef KERNELS_FULLY_CONNECTED_BYTES_H
#define KERNELS_FULLY_CONNECTED_BYTES_H

#include "fully_connected.h"

struct fully_connected_bytes {
    FULLY_CONNECTED_FIELDS
};

/* A multiple of four inputs; no scratch. */
void fully_connected_bytes_cortex_m4(const struct fully_connected_bytes *p, const struct feature_map *x,
                                     const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
