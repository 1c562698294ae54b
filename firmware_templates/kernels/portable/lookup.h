#ifndef KERNELS_LOOKUP_H
#define KERNELS_LOOKUP_H

#include <stdint.h>

struct lookup {
    int32_t count;
    int32_t tables;      /* one for all channels, or one for each */
    const int8_t *table; /* (tables, 256): the results for -128, -127 ... 127 */
};

/* x and y may be the same array. */
void lookup_portable(const struct lookup *p, const int8_t *x, int8_t *y);

#endif
