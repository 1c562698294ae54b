/* CONV_2D, 3 x 3, stride 1, by Winograd's F(2x2, 3x3): 16 products for 4 outputs instead of 36. */
#include "conv_2d_winograd2.h"

#define TILE 2
#define LOW_LANE_OFFSET 0u
#define WINOGRAD(part) conv_2d_winograd2##part

/* G w: G times 2. */
static void transform_filter(int32_t a, int32_t b, int32_t c, int32_t u[TILE + 2])
{
    u[0] = 2 * a;
    u[1] = a + b + c;
    u[2] = a - b + c;
    u[3] = 2 * c;
}

#include "winograd_layer.h"
