#ifndef KERNELS_CONV_2D_POLYPHASE_H
#define KERNELS_CONV_2D_POLYPHASE_H

#include "rows.h"

/* What becomes of sums: results of both signs, or of none below the output's zero point. */
typedef void conv_2d_polyphase_rescaling(void);
conv_2d_polyphase_rescaling conv_2d_polyphase_store, conv_2d_polyphase_store_half_up;

/* CONV_2D 3x3 with stride 2, of a multiple of four input channels, two outputs wide or more. */
struct conv_2d_polyphase {
    int32_t input_height, input_width, input_channels;
    int32_t output_width, output_channels;
    int32_t pad_top, pad_left;
    int32_t input_zero, output_zero;
    int32_t ceiling;
    int32_t pair_bytes;  /* of the weights of two channels */
    conv_2d_polyphase_rescaling *store;
    const void *weights; /* records as in conv_2d_polyphase.S */
};

/* scratch: 201 bytes for every input channel, and 100 */
void conv_2d_polyphase_cortex_m4(const struct conv_2d_polyphase *p, const struct feature_map *x,
                                 const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
