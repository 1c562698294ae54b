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

/* The fields of the kernels' structs. */
#define WINOGRAD_FIELDS                                                                                         \
    int32_t input_height, input_width, input_channels;                                                          \
    int32_t output_height, output_width, output_channels; /* after pooling */                                   \
    int32_t pad_top, pad_left;                                                                                  \
    int32_t pool; /* 2: the maximum of 2 x 2 outputs; 1: none */                                                \
    int32_t input_zero;                                                                                         \
    int32_t form;               /* how sums become bytes: plain, signed, clamped, pooled (see the assembly) */     \
    int32_t offset;             /* with rescaling: see load_rescaling in winograd_macros.h */                   \
    int32_t blocks;             /* that share a pass over the weights */                                         \
    const int32_t *transformed; /* U[pair of channels][position]{start[2], [input channels / 2][2] of int16[2]} */ \
    const int8_t *weights;      /* else, or to make U from: [channel][input channels / 4][3][3][4] */            \
    const int32_t *bias;        /* with them: starts of the position at which the bias enters */                \
    const int32_t *rescaling;   /* [channel]{multiplier, bytes shift, away, down, up} */

/* Scales, clamps and stores a block of sums M, of one or two channels (see the kernels' assembly). */
typedef void winograd_output(const int32_t *m, const int32_t *rescaling, int8_t **rows, int32_t step,
                             int32_t channels, int32_t offset);

#endif
