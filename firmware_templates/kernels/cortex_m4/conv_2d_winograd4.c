/* CONV_2D, 3 x 3, stride 1, by Winograd's F(4x4, 3x3): 36 products for 16 outputs instead of 144. */
#include "conv_2d_winograd4.h"

/* G w: Lavin's G times 24, but its last row times 12. */
static RAMCODE void transform_filter(int32_t a, int32_t b, int32_t c, int32_t *u)
{
    u[0] = 6 * a;
    u[1] = -4 * (a + b + c);
    u[2] = -4 * (a - b + c);
    u[3] = a + 2 * b + 4 * c;
    u[4] = a - 2 * b + 4 * c;
    u[5] = 12 * c;
}

/* conv_2d_winograd4.S */
void conv_2d_winograd4_weights(const int8_t *w, uint32_t *u, int32_t channels, int32_t step);
void conv_2d_winograd4_input(const int8_t *const *pixels, int32_t *v, int32_t channels);
void conv_2d_winograd4_multiply(const int32_t *v, const int32_t *u, int32_t *m, int32_t steps);

static const struct winograd_algorithm algorithm = {
    .tile = 4,
    .low_lane_offset = 0x3800u,
    .filter = transform_filter,
    .weights = conv_2d_winograd4_weights,
    .input = conv_2d_winograd4_input,
    .multiply = conv_2d_winograd4_multiply,
};

void conv_2d_winograd4_prepare_cortex_m4(const struct conv_2d_winograd4 *p)
{
    winograd_prepare(&algorithm, &p->layer);
}

RAMCODE void conv_2d_winograd4_cortex_m4(const struct conv_2d_winograd4 *p, const struct feature_map *x,
                                         const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    winograd_rows(&algorithm, &p->layer, x, y, scratch, first, count);
}
