"""CONV_2D, 3 x 3, stride 1, by Winograd's F(4x4, 3x3): 4 x 4 outputs from 6 x 6 pixels."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.cortex_m4.winograd import Algorithm, Winograd

# Instructions and cycles of each of the features that a layer is counted by.
COSTS = {
    "calls": (215.7, 338.3),
    "tiles": (440.4, 661.2),
    "patches": (643.5, 817.9),
    "positions": (18.14, 30.76),
    "rounds": (11.24, 15.82),
    "products": (10.88, 16.84),
    "outputs": (146.7, 144.0),
    "plain": (35.74, 48.34),
    "signed": (44.5, 57.0),
    "clamped": (64.04, 76.17),
    "pooled": (75.48, 89.14),
    "copied": (1.274, 3.796),
    "made": (8.561, 10.43),
    "starts": (1682.0, 2154.0),
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
