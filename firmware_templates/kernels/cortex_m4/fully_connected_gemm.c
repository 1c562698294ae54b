/* FULLY_CONNECTED of many rows: a convolution with windows of one pixel, over a map of one row. */
#include "fully_connected_gemm.h"

#include "conv_2d_gemm_parts.h"

RAMCODE void fully_connected_gemm_cortex_m4(const struct fully_connected_gemm *p, const struct feature_map *x,
                                            const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    struct conv_2d_gemm conv = product_of_matrices(p->rows, p->inputs, p->outputs);
    struct feature_map from = {x->data, 1, p->rows * p->inputs}, to = {y->data, 1, p->rows * p->outputs};

    (void)first;
    (void)count;
    conv.output_zero = p->output_zero;
    conv.floor = p->floor;
    conv.ceiling = p->ceiling;
    conv.steps = p->steps;
    conv.pair_bytes = p->pair_bytes;
    conv.multiply = p->multiply;
    conv.multiply_two = p->multiply_two;
    conv.store = p->store;
    conv.weights = p->weights;
    conv_2d_gemm_cortex_m4(&conv, &from, &to, scratch, 0, 1);
}
