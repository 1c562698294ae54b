#ifndef KERNELS_CONCATENATION_ROWS_H
#define KERNELS_CONCATENATION_ROWS_H

#include "rows.h"

struct concatenation_rows {
    int32_t inputs;
    int32_t turns;        /* how often the inputs take turns in a row: once, or for each pixel */
    int32_t pitch;        /* bytes of all inputs in one turn */
    const int32_t *bytes; /* of each input in one turn */
};

/* Behind p the inputs and y, each a const struct feature_map *; then scratch, the first row and how many. */
void concatenation_rows_cortex_m4(const struct concatenation_rows *p, ...);

#endif
