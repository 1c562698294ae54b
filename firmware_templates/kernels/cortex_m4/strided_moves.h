#ifndef KERNELS_STRIDED_MOVES_H
#define KERNELS_STRIDED_MOVES_H

#include "rows.h"

struct strided_moves {
    int32_t start;                 /* in x, as all that follows: bytes */
    int32_t groups, group_step;    /* of runs; from one to the next */
    int32_t runs, run_step;        /* of a group */
    int32_t run, step;             /* bytes of a run; from one to the next */
    int32_t loops;                 /* around the groups, up to STRIDED_MOVES_LOOPS */
    const int32_t *counts, *steps; /* of these loops, outermost first; null where there are none */
};

#define STRIDED_MOVES_LOOPS 4

/* All rows at once of maps that are whole. */
void strided_moves_cortex_m4(const struct strided_moves *p, const struct feature_map *x, const struct feature_map *y,
                             void *scratch, int32_t first, int32_t count);

#endif
