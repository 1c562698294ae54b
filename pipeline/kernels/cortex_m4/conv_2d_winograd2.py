"""CONV_2D, 3 x 3, stride 1, by Winograd's F(2x2, 3x3): 2 x 2 outputs from 4 x 4 pixels."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.cortex_m4.winograd import Algorithm, Winograd


class Conv2DWinograd2(Winograd):
    """Lavin's transform with G times 2: sums appear times 4. It takes little memory, and small maps."""

    name = "conv_2d_winograd2"
    algorithm = Algorithm(
        tile=2,
        weights_transform=np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.int64),
        bias_gain=4,
        product_bits=2,
        input_offset=0,
        low_lane_offset=0,
    )
