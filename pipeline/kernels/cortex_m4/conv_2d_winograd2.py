"""CONV_2D, 3 x 3, stride 1, by Winograd's F(2x2, 3x3): 2 x 2 outputs from 4 x 4 pixels."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.cortex_m4.winograd import Algorithm, Winograd

# Instructions and cycles of each of the features that a layer is counted by, fitted on layers that were run.
COSTS = {
    "calls": (812.0, 1113.0),
    "tiles": (329.0, 524.0),
    "patches": (218.0, 257.0),
    "positions": (57.1, 77.9),
    "rounds": (3.4, 4.0),
    "products": (13.0, 16.1),
    "outputs": (0.0, 0.0),
    "plain": (0.0, 8.1),
    "clamped": (12.0, 32.6),
    "pooled": (0.2, 0.0),
    "copied": (1.15, 3.5),
    "made": (24.0, 32.8),
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
