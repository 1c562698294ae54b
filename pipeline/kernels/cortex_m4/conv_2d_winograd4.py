"""CONV_2D, 3 x 3, stride 1, by Winograd's F(4x4, 3x3): 4 x 4 outputs from 6 x 6 pixels."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.cortex_m4.winograd import Algorithm, Winograd

# Instructions and cycles of each of the features that a layer is counted by.
COSTS = {
    "calls": (40.0, 60.0),
    "blocks": (100.0, 150.0),
    "tiles": (300.0, 450.0),
    "patches": (750.0, 860.0),
    "pairs": (80.0, 110.0),
    "positions": (19.0, 31.0),
    "products": (13.0, 16.0),
    "plain": (260.0, 330.0),
    "clamped": (300.0, 380.0),
    "pooled": (250.0, 330.0),
}


class Conv2DWinograd4(Winograd):
    """Lavin's transform with G times 24, its last row halved and A's last column doubled: U stays an int16.

    Sums appear times 24 * 24 = 576 = 9 * 64, modulo 2**32. The kernel multiplies them by the inverse of 9.
    """

    name = "conv_2d_winograd4"
    costs = COSTS
    algorithm = Algorithm(
        tile=4,
        weights_transform=np.array(
            [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 12]], np.int64
        ),
        bias_gain=576,
        product_bits=6,
        input_offset=128,
        low_lane_offset=0x3800,
    )
