"""CONV_2D, 3 x 3, stride 1, by Winograd's F(2x2, 3x3): 2 x 2 outputs from 4 x 4 pixels."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.cortex_m4.winograd import Algorithm, Winograd

# Instructions and cycles of each of the features that a layer is counted by, fitted on layers that were run.
COSTS = {
    "calls": (249.6, 387.0),
    "tiles": (225.4, 334.0),
    "patches": (223.2, 269.2),
    "positions": (23.11, 39.45),
    "rounds": (9.369, 12.06),
    "products": (10.96, 16.96),
    "outputs": (73.3, 79.36),
    "plain": (0.1483, 8.502),
    "signed": (5.128, 19.06),
    "clamped": (14.7, 36.76),
    "pooled": (0.0, 0.0),
    "copied": (1.19, 3.599),
    "made": (6.415, 8.156),
    "starts": (381.0, 548.8),
}


class Conv2DWinograd2(Winograd):
    """Lavin's transform with G times 2: sums appear times 4. It takes little memory, and small maps."""

    name = "conv_2d_winograd2"
    costs = COSTS
    algorithm = Algorithm(
        tile=2,
        weights_transform=np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.int64),
        bias_gain=4,
        product_bits=2,
        input_offset=0,
        low_lane_offset=0,
    )
