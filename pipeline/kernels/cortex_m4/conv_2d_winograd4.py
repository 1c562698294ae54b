"""CONV_2D, 3 x 3, stride 1, by Winograd's F(4x4, 3x3): 4 x 4 outputs from 6 x 6 pixels."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.cortex_m4.winograd import Algorithm, Winograd

# Instructions and cycles of each of the features that a layer is counted by.
COSTS = {
    "calls": (316.0, 449.0),
    "tiles": (573.0, 812.0),
    "patches": (631.0, 803.0),
    "positions": (16.6, 32.2),
    "rounds": (7.1, 10.4),
    "products": (13.04, 16.02),
    "outputs": (126.9, 124.1),
    "plain": (36.2, 48.8),
    "signed": (45.2, 57.8),
    "clamped": (61.0, 73.4),
    "pooled": (74.7, 88.3),
    "copied": (1.18, 3.6),
    "made": (26.8, 34.9),
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
