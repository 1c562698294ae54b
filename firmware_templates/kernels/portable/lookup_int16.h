#ifndef KERNELS_LOOKUP_INT16_H
#define KERNELS_LOOKUP_INT16_H

#include <stdint.h>

struct lookup_int16 {
    int32_t count;
    const int16_t *table; /* 513: of every 128th integer, and of the one behind the last */
};

/* x and y may be the same array. */
void lookup_int16_portable(const struct lookup_int16 *p, const int16_t *x, int16_t *y);

#endif
