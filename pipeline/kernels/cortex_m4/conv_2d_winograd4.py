"""CONV_2D, 3 x 3, stride 1, by Winograd's F(4x4, 3x3): 4 x 4 outputs from 6 x 6 pixels."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.cortex_m4.winograd import Algorithm, Winograd


class Conv2DWinograd4(Winograd):
    """Lavin's transform with G times 24, its last row halved and A's last column doubled: U stays an int16.

    Sums appear times 24 * 24 = 576 = 9 * 64, modulo 2**32. The kernel multiplies them by the inverse of 9.
    """

    name = "conv_2d_winograd4"
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
