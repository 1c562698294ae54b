/* Feature maps whose rows may lie in a ring, and what all kernels of this folder share. */
#ifndef KERNELS_ROWS_H
#define KERNELS_ROWS_H

#include <stdint.h>

/* int8 (height, width, channels). Row r begins at data + (r % rows) * row_bytes: where the map is whole,
 * `rows` is its height; else so many of its rows are in memory at a time. */
struct feature_map {
    int8_t *data;
    int32_t rows;
    int32_t row_bytes;
};

static inline int8_t *row_of(const struct feature_map *map, int32_t row)
{
    return map->data + row % map->rows * map->row_bytes;
}

/* Hot code: placed in RAM that the instruction bus reaches without waiting, where the board has some. Each function has
 * a section of its own, so that the linker leaves out what no layer uses. */
#define RAMCODE RAMCODE_NUMBER(__COUNTER__)
#define RAMCODE_NUMBER(number) RAMCODE_SECTION(number)
#define RAMCODE_SECTION(number) __attribute__((section(".ramcode." #number)))

#endif
