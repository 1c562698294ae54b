/* CONV_2D, 3 x 3, stride 1, by Winograd's F(4x4, 3x3): 36 products for 16 outputs instead of 144. */
#include "conv_2d_winograd4.h"

#define TILE 4
#define LOW_LANE_OFFSET 0x3800u
#define WINOGRAD(part) conv_2d_winograd4##part

/* G w: Lavin's G times 24, but its last row times 12. */
static void transform_filter(int32_t a, int32_t b, int32_t c, int32_t u[TILE + 2])
{
    u[0] = 6 * a;
    u[1] = -4 * (a + b + c);
    u[2] = -4 * (a - b + c);
    u[3] = a + 2 * b + 4 * c;
    u[4] = a - 2 * b + 4 * c;
    u[5] = 12 * c;
}

#include "winograd_layer.h"
