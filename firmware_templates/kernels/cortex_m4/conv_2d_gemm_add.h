#ifndef KERNELS_CONV_2D_GEMM_ADD_H
#define KERNELS_CONV_2D_GEMM_ADD_H

#include "conv_2d_gemm.h"

/* Its store: sums are rounded to int8 as the convolution's are, and what lies at their places already is added. */
conv_2d_gemm_rescaling conv_2d_gemm_add_store;

/* The parameters of the convolution: fields by name, or as a whole. Behind the records of its weights stand those of
 * ADD (see conv_2d_gemm_add.S). */
struct conv_2d_gemm_add {
    union {
        struct {
            CONV_2D_GEMM_FIELDS
        };
        struct conv_2d_gemm convolution;
    };
};

/* y = ADD(CONV_2D(x), residual); y may be the residual. scratch: as of conv_2d_gemm */
void conv_2d_gemm_add_cortex_m4(const struct conv_2d_gemm_add *p, const struct feature_map *x,
                                const struct feature_map *residual, const struct feature_map *y, void *scratch,
                                int32_t first, int32_t count);

#endif
