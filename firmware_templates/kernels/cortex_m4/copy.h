/* Bytes copied within a row, without a call for each pixel. */
#ifndef KERNELS_COPY_H
#define KERNELS_COPY_H

#include <stdint.h>

#include "dsp.h"

/* Four loads side by side take one cycle each, but for the first. */
static inline void copy_row_bytes(int8_t *to, const int8_t *from, int32_t count)
{
    for (; count >= 16; count -= 16, to += 16, from += 16) {
        uint32_t a = load_word(from), b = load_word(from + 4), c = load_word(from + 8), d = load_word(from + 12);

        store_word((uint8_t *)to, a);
        store_word((uint8_t *)to + 4, b);
        store_word((uint8_t *)to + 8, c);
        store_word((uint8_t *)to + 12, d);
    }
    for (; count >= 4; count -= 4, to += 4, from += 4)
        store_word((uint8_t *)to, load_word(from));
    for (; count > 0; count--)
        *to++ = *from++;
}

#endif
