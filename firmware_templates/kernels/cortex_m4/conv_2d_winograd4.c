/* CONV_2D, 3 x 3, stride 1, by Winograd's F(4x4, 3x3): 36 products for 16 outputs instead of 144. */
#include "conv_2d_winograd4.h"

#define TILE 4
#define WINOGRAD(part) conv_2d_winograd4##part
#include "winograd_layer.h"
