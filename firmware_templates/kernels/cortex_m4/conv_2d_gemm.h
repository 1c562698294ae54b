#ifndef KERNELS_CONV_2D_GEMM_H
#define KERNELS_CONV_2D_GEMM_H

#include "rows.h"

struct conv_2d_gemm_windows;
struct conv_2d_gemm_block;

/* How a layer's windows are laid: from memory, of single pixels, from widened rows, or those of a pooling window
 * together. */
typedef void conv_2d_gemm_way(const struct conv_2d_gemm_windows *w, const struct feature_map *y,
                              struct conv_2d_gemm_block *block, uint32_t *words, int32_t first, int32_t count);
conv_2d_gemm_way conv_2d_gemm_rows, conv_2d_gemm_pixels, conv_2d_gemm_widened_rows, conv_2d_gemm_pooled_rows;

/* The products of a block with all weights, by their format; of its first two pixels alone. */
typedef void conv_2d_gemm_products(const struct conv_2d_gemm_block *block, const void *weights);
conv_2d_gemm_products conv_2d_gemm_int8, conv_2d_gemm_int16, conv_2d_gemm_int8_two, conv_2d_gemm_int16_two;

/* What becomes of their sums: results of both signs; of none below the output's zero point, perhaps with weights and
 * starts scaled so that all shifts are the same, and cut where bytes end; those that are rounded once; and the largest
 * of several. With one floor records are shorter, and with one multiplier and shift as well, or where these are
 * apart. */
typedef void conv_2d_gemm_rescaling(void);
conv_2d_gemm_rescaling conv_2d_gemm_store, conv_2d_gemm_store_half_up, conv_2d_gemm_store_one_floor,
    conv_2d_gemm_store_half_up_one_floor, conv_2d_gemm_store_once_one_floor, conv_2d_gemm_store_one_scale,
    conv_2d_gemm_store_half_up_one_scale, conv_2d_gemm_store_once_one_scale, conv_2d_gemm_store_apart,
    conv_2d_gemm_store_half_up_apart, conv_2d_gemm_store_scaled, conv_2d_gemm_store_saturated,
    conv_2d_gemm_store_largest;

#define CONV_2D_GEMM_FIELDS                                                                                            \
    int32_t input_height, input_width, input_channels;                                                                 \
    int32_t output_width, output_channels; /* after pooling */                                                         \
    int32_t kernel_height, kernel_width;                                                                               \
    int32_t stride_y, stride_x;                                                                                        \
    int32_t dilation_y, dilation_x;                                                                                    \
    int32_t pad_top, pad_left;                                                                                         \
    int32_t pool_height, pool_width; /* maximum of so many outputs; 1 and 1: none */                                   \
    int32_t input_zero, output_zero;                                                                                   \
    int32_t floor;   /* of all channels, or -128: floors are in the records */                                         \
    int32_t ceiling; /* of all channels, where `ceilings` is null */                                                   \
    int32_t steps;   /* of two taps, in a window */                                                                    \
    int32_t pair_bytes; /* of the weights of two channels */                                                           \
    conv_2d_gemm_way *way;                                                                                             \
    conv_2d_gemm_products *multiply;                                                                                   \
    conv_2d_gemm_products *multiply_two; /* null where calls always end with a full block */                           \
    conv_2d_gemm_rescaling *store;                                                                                     \
    const void *weights; /* records as in conv_2d_gemm.S */                                                            \
    const int8_t *ceilings;

struct conv_2d_gemm {
    CONV_2D_GEMM_FIELDS
};

/* scratch: 36 bytes for every 4 values beneath a window; or 32, and the widened rows beneath two rows of windows */
void conv_2d_gemm_cortex_m4(const struct conv_2d_gemm *p, const struct feature_map *x, const struct feature_map *y,
                            void *scratch, int32_t first, int32_t count);

#endif
