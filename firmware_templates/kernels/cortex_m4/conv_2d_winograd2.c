/* CONV_2D, 3 x 3, stride 1, by Winograd's F(2x2, 3x3): 16 products for 4 outputs instead of 36. */
#include "conv_2d_winograd2.h"

/* G w: G times 2. */
static RAMCODE void transform_filter(int32_t a, int32_t b, int32_t c, int32_t *u)
{
    u[0] = 2 * a;
    u[1] = a + b + c;
    u[2] = a - b + c;
    u[3] = 2 * c;
}

/* conv_2d_winograd2.S */
void conv_2d_winograd2_weights(const int8_t *w, uint32_t *u, int32_t channels, int32_t step);
void conv_2d_winograd2_input(const int8_t *const *pixels, int32_t *v, int32_t channels);
void conv_2d_winograd2_multiply(const int32_t *v, const int32_t *u, int32_t *m, int32_t steps);

static const struct winograd_algorithm algorithm = {
    .tile = 2,
    .low_lane_offset = 0u,
    .filter = transform_filter,
    .weights = conv_2d_winograd2_weights,
    .input = conv_2d_winograd2_input,
    .multiply = conv_2d_winograd2_multiply,
};

void conv_2d_winograd2_prepare_cortex_m4(const struct conv_2d_winograd2 *p)
{
    winograd_prepare(&algorithm, &p->layer);
}

RAMCODE void conv_2d_winograd2_cortex_m4(const struct conv_2d_winograd2 *p, const struct feature_map *x,
                                         const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    winograd_rows(&algorithm, &p->layer, x, y, scratch, first, count);
}
