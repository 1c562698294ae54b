"""MAX_POOL_2D and AVERAGE_POOL_2D of any window, row by row, eight channels at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.kernels.base import Candidate, Kernel
from pipeline.operators import Operator
from pipeline.operators.average_pool_2d import AveragePool2D
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer
from pipeline.operators.max_pool_2d import MaxPool2D
from pipeline.tensors import Tensor

POINTER_BYTES = 4
AT_ONCE = 8, 4, 1
"""Channels that there is a loop for."""
LARGEST_MEAN = 256
"""Elements of a window whose sums of bytes fit int16."""
FIELDS = (
    "input_height input_width channels output_width window_height window_width stride_y stride_x pad_top "
    "pad_left minimum maximum"
).split()
"""Of the struct, which the operators' parameters have under the same names."""


class PoolRows(Kernel):
    """firmware_templates/kernels/cortex_m4/pool_rows.c"""

    name = "pool_rows"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """One; means of very large windows are left to others."""
        if not isinstance(op, MaxPool2D | AveragePool2D):
            return ()
        average = isinstance(op, AveragePool2D)
        if average and math.prod(op.window) > LARGEST_MEAN:
            return ()
        p = op.parameters(inputs, output)
        how = "mean" if average else "largest"
        at_once = next(size for size in AT_ONCE if output.shape[3] >= size)
        return (
            Candidate(
                library="cortex_m4",
                kernel=self.name,
                variant="row by row",
                parameters=lambda: {
                    **{name: p[name] for name in FIELDS},
                    "pool": f"{self.name}_{how}_{at_once}",
                    "at_once": at_once,
                },
                features=_features(p, output.shape[1], f"{how}_{at_once}", at_once),
                scratch_bytes=POINTER_BYTES * op.window[0],
                # A single row needs all of its input at once; average_rows takes that row by row.
                streams=output.shape[1] > 1,
            ),
        )


def _features(p: Parameters, height: int, kind: str, at_once: int) -> dict[str, float]:
    """How often each thing is done; what is made of a window is counted for each of its sizes."""
    channels, width = integer(p, "channels"), integer(p, "output_width")
    rows = _inside(p, height, "height", "y", "top")
    columns = _inside(p, width, "width", "x", "left")
    groups = math.ceil(channels / at_once)
    return {
        "rows": float(height),
        "pixels": float(height * width),
        kind: float(groups * height * width),
        f"{kind}_lines": float(groups * rows.sum() * width),
        f"{kind}_taps": float(groups * rows.sum() * columns.sum()),
    }


def _inside(p: Parameters, outputs: int, side: str, axis: str, before: str) -> np.ndarray:
    """How much of each window along one axis lies inside the input."""
    first = np.arange(outputs) * integer(p, f"stride_{axis}") - integer(p, f"pad_{before}")
    end = np.minimum(first + integer(p, f"window_{side}"), integer(p, f"input_{side}"))
    inside: np.ndarray = end - np.maximum(first, 0)
    return inside
