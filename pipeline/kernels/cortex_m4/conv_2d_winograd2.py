"""CONV_2D, 3 x 3, stride 1, by Winograd's F(2x2, 3x3): 2 x 2 outputs from 4 x 4 pixels."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.cortex_m4.winograd import Algorithm, Winograd

# Instructions and cycles of each of the features that a layer is counted by, fitted on layers that were run.
COSTS = {
    "calls": (339.0, 388.0),
    "tiles": (257.0, 422.0),
    "patches": (231.0, 277.0),
    "positions": (21.2, 40.3),
    "rounds": (5.2, 6.3),
    "products": (12.9, 15.9),
    "outputs": (76.0, 79.6),
    "plain": (0.2, 8.9),
    "signed": (0.2, 8.9),
    "clamped": (12.4, 33.7),
    "pooled": (0.0, 0.0),
    "copied": (1.17, 3.5),
    "made": (24.2, 33.0),
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
