#ifndef KERNELS_CONV_2D_WINOGRAD4_H
#define KERNELS_CONV_2D_WINOGRAD4_H

#include "winograd.h"

WINOGRAD_STRUCT(conv_2d_winograd4);

winograd_output conv_2d_winograd4_plain, conv_2d_winograd4_signed, conv_2d_winograd4_clamped, conv_2d_winograd4_pooled;

/* Makes `transformed`, in RAM, from `weights` and `bias`. */
void conv_2d_winograd4_prepare_cortex_m4(const struct conv_2d_winograd4 *p);

/* Output rows [first, first + count) of y from the rows of x beneath them. */
void conv_2d_winograd4_cortex_m4(const struct conv_2d_winograd4 *p, const struct feature_map *x,
                                 const struct feature_map *y, void *scratch, int32_t first, int32_t count);

#endif
