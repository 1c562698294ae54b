"""DEPTHWISE_CONV_2D with 3 x 3 windows: one output row, four channels at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.kernels.base import Candidate, Cost, Kernel
from pipeline.kernels.cortex_m4.conv_2d_gemm import Channels, exact_channels
from pipeline.operators import Operator
from pipeline.operators.checks import constant, integer, present
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.tensors import Tensor

# Instructions and zero-wait cycles of each feature, fitted on layers that were run (gcc 12.2, -O2).
COSTS = {"outputs": (22.4, 32.0), "columns": (7.3, 8.0), "filters": (48.8, 94.0), "rows": (220.0, 340.0)}
CHANNELS_AT_ONCE = 4
COLUMN_BYTES = 8
ORDER = (0, 1, 3, 4, 2, 6, 5, 7, 8)
"""Of the weights, so that SXTB16 pairs those of two rows, and two of the third."""
GEOMETRY = (
    "input_height input_width output_width stride_y stride_x pad_top pad_left input_zero output_zero"
).split()


class DepthwiseConv2D3x3(Kernel):
    """firmware_templates/kernels/cortex_m4/depthwise_conv_2d_3x3.c"""

    name = "depthwise_conv_2d_3x3"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        if not isinstance(op, DepthwiseConv2D) or not _takes(op, inputs, output):
            return ()
        p = op.parameters(inputs, output)
        channels = output.shape[3]
        weights = constant(inputs[1]).reshape(9, channels).T.astype(np.int64)
        exact = exact_channels(p, weights)
        if exact is None:
            return ()
        columns = (integer(p, "output_width") - 1) * integer(p, "stride_x") + 3
        rows = output.shape[1]
        features = {
            "outputs": output.elements,
            "columns": rows * channels * min(integer(p, "input_width"), columns - integer(p, "pad_left")),
            "filters": rows * channels,
            "rows": rows,
        }
        instructions, cycles = (sum(n * COSTS[name][i] for name, n in features.items()) for i in (0, 1))
        filters = _filters(weights, exact)
        return (
            Candidate(
                library="cortex_m4",
                kernel=self.name,
                variant="4 channels of a row",
                parameters=lambda: {
                    **{name: p[name] for name in GEOMETRY[:2]},
                    "channels": channels,
                    **{name: p[name] for name in GEOMETRY[2:]},
                    "filters": filters,
                },
                cost=Cost(instructions, cycles),
                features=features,
                scratch_bytes=CHANNELS_AT_ONCE * COLUMN_BYTES * columns,
                weights_bytes=filters.nbytes,
                streamed={"filters": filters.nbytes * rows},
                streams=True,
            ),
        )


def _takes(op: DepthwiseConv2D, inputs: Sequence[Tensor | None], output: Tensor) -> bool:
    """Whether a layer's shapes are such that the kernel can run it."""
    weights = present(inputs[1]).shape
    return (
        weights[1:3] == (3, 3)
        and op.dilation == (1, 1)
        and op.pool in {None, (1, 1)}
        and present(inputs[0]).shape[3] == output.shape[3]
        and output.shape[3] % CHANNELS_AT_ONCE == 0
    )


def _filters(weights: np.ndarray, channels: Channels) -> np.ndarray:
    """`struct depthwise_conv_2d_3x3_filter` of every channel, as words."""
    # The kernel multiplies x itself, not x + 128.
    start = channels.start + 256 * weights.sum(axis=1)
    records = np.zeros(len(weights), np.dtype([
        ("start", np.int32), ("multiplier", np.int32), ("weights", np.int8, 9),
        ("shift", np.uint8), ("floor", np.uint8), ("ceiling", np.uint8),
    ]))  # fmt: skip
    records["start"], records["multiplier"] = start, channels.multiplier
    records["weights"], records["shift"] = weights[:, ORDER], channels.shift - 1
    records["floor"], records["ceiling"] = channels.floor + 128, channels.ceiling + 128
    return records.view(np.int32)
