#ifndef KERNELS_SELECT_H
#define KERNELS_SELECT_H

#include <stdint.h>

/* Channels are bytes, of which an int16 has two. */
struct select {
    int32_t height, width, channels; /* of y */
    int32_t row_pitch, pixel_pitch;  /* of x, in bytes */
    const int16_t *rows, *columns;   /* of x, for each row and column of y */
    const int16_t *sources;          /* channels of x, for each of y; null where they are the same */
};

void select_portable(const struct select *p, const void *from, void *to);

#endif
