/* FULLY_CONNECTED of many rows: a convolution with windows of one pixel, over a map of one row. */
#include "fully_connected_gemm.h"

RAMCODE void fully_connected_gemm_cortex_m4(const struct fully_connected_gemm *p, const struct feature_map *x,
                                            const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    struct conv_2d_gemm conv = {
        .input_height = 1,
        .input_width = p->rows,
        .input_channels = p->inputs,
        .output_width = p->rows,
        .output_channels = p->outputs,
        .kernel_height = 1,
        .kernel_width = 1,
        .stride_y = 1,
        .stride_x = 1,
        .dilation_y = 1,
        .dilation_x = 1,
        .output_zero = p->output_zero,
        .floor = p->floor,
        .ceiling = p->ceiling,
        .steps = p->steps,
        .pair_bytes = p->pair_bytes,
        .way = conv_2d_gemm_rows,
        .multiply = p->multiply,
        .multiply_two = p->multiply_two,
        .store = p->store,
        .weights = p->weights,
    };
    struct feature_map from = {x->data, 1, p->rows * p->inputs}, to = {y->data, 1, p->rows * p->outputs};

    (void)first;
    (void)count;
    conv_2d_gemm_cortex_m4(&conv, &from, &to, scratch, 0, 1);
}
