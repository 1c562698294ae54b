#ifndef KERNELS_CONV_2D_WINOGRAD2_H
#define KERNELS_CONV_2D_WINOGRAD2_H

#include "winograd.h"

WINOGRAD_STRUCT(conv_2d_winograd2);

winograd_output conv_2d_winograd2_plain, conv_2d_winograd2_signed, conv_2d_winograd2_clamped, conv_2d_winograd2_pooled;

/* Makes `transformed`, in RAM, from `weights` and `bias`. */
void conv_2d_winograd2_prepare_cortex_m4(const struct conv_2d_winograd2 *p);

/* Output rows [first, first + count) of y from the rows of x beneath them. */
void conv_2d_winograd2_cortex_m4(const struct conv_2d_winograd2 *p, const struct feature_map *x,
                                 const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
