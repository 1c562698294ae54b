/* What the Winograd kernels share in C: their parameters, and the walk over the tiles of a layer.
 *
 * A kernel computes its 3 x 3 convolution, stride 1, in tiles of TILE x TILE outputs, each from the patch of
 * PATCH x PATCH pixels beneath it. Four tiles, wherever they lie, make a block. For each block all patches are
 * transformed (V); then, for two output channels at a time, V is multiplied by transformed weights (U), summed over
 * the input channels (M), transformed back, scaled and stored.
 *
 * Tiles lie in strips of TILE rows, from the first row asked for. The last of a strip begins TILE columns before
 * the end and overlaps its neighbour, as do those of the last strip: the bytes in common are made twice. Where fewer
 * than TILE rows are asked for, the others are computed from whatever lies in memory, and not stored: a row of
 * outputs depends on its own three rows of pixels only, whatever the others hold.
 *
 * A patch is told pixel by pixel by a pointer. So a map may be a ring, and pixels in the padding are all the same one.
 *
 * U is a constant, or made when the target starts (the kernel's _prepare), or for each call: then all blocks of a call
 * use the U of a pair of channels before the next is made.
 */
#ifndef KERNELS_WINOGRAD_H
#define KERNELS_WINOGRAD_H

#include "rows.h"

/* What becomes of a block of sums M, of one or two channels: scaled, clamped, stored (see the kernels' assembly). */
typedef void winograd_output(const int32_t *m, const int32_t *rescaling, int8_t **rows, int32_t step,
                             int32_t channels, int32_t offset);

#define WINOGRAD_FIELDS                                                                                         \
    int32_t input_height, input_width, input_channels;                                                          \
    int32_t output_width, output_channels; /* after pooling */                                                  \
    int32_t pad_top, pad_left;                                                                                  \
    int32_t pool; /* 2: the maximum of 2 x 2 outputs; 1: none */                                                \
    int32_t input_zero;                                                                                         \
    winograd_output *output;                                                                                    \
    int32_t offset;             /* with rescaling: see load_rescaling in winograd_macros.h */                   \
    int32_t blocks;             /* that share a pass over the weights */                                         \
    const int32_t *transformed; /* U[pair of channels][position]{start[2], [input channels / 2][2] of int16[2]} */ \
    const int8_t *weights;      /* else, or to make U from: [channel][input channels / 4][3][3][4] */            \
    const int32_t *bias;        /* with them: starts of the position at which the bias enters */                \
    const int32_t *rescaling;   /* [channel]{multiplier, bytes shift, away, down, up} */

struct winograd_layer {
    WINOGRAD_FIELDS
};

/* The parameters of a kernel: fields by name, or as a whole. */
#define WINOGRAD_STRUCT(name)        \
    struct name {                    \
        union {                      \
            struct {                 \
                WINOGRAD_FIELDS      \
            };                       \
            struct winograd_layer layer; \
        };                           \
    }

/* What a kernel is made of, beside the walk. */
struct winograd_algorithm {
    int32_t tile;
    uint32_t low_lane_offset; /* that `input` adds to low lanes */
    void (*filter)(int32_t a, int32_t b, int32_t c, int32_t *u); /* G w of one column */
    void (*weights)(const int8_t *w, uint32_t *u, int32_t channels, int32_t step); /* the rest is assembly */
    void (*input)(const int8_t *const *pixels, int32_t *v, int32_t channels);
    void (*multiply)(const int32_t *v, const int32_t *u, int32_t *m, int32_t steps);
};

/* Makes `transformed`, in RAM, from `weights` and `bias`. */
void winograd_prepare(const struct winograd_algorithm *f, const struct winograd_layer *p);

/* Output rows [first, first + count) of y from the rows of x beneath them. */
void winograd_rows(const struct winograd_algorithm *f, const struct winograd_layer *p, const struct feature_map *x,
                   const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
