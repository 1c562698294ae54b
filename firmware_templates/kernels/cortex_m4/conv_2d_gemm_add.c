/* CONV_2D and the ADD of a residual behind it: conv_2d_gemm with a store that adds what is there already. */
#include "conv_2d_gemm_add.h"

#include "copy.h"

RAMCODE void conv_2d_gemm_add_cortex_m4(const struct conv_2d_gemm_add *p, const struct feature_map *x,
                                        const struct feature_map *residual, const struct feature_map *y,
                                        void *scratch, int32_t first, int32_t count)
{
    for (int32_t row = first; row < first + count; row++) {
        const int8_t *from = row_of(residual, row);
        int8_t *to = row_of(y, row);

        if (from != to)
            copy_row_bytes(to, from, p->output_width * p->output_channels);
    }
    conv_2d_gemm_cortex_m4(&p->convolution, x, y, scratch, first, count);
}
