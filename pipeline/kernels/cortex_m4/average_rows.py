"""The mean of a whole map: AVERAGE_POOL_2D with a window of its size, and MEAN over height and width."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.arithmetic import INT8_MAX, INT8_MIN
from pipeline.kernels.base import Candidate, Kernel
from pipeline.operators import Operator
from pipeline.operators.average_pool_2d import AveragePool2D
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer, present
from pipeline.operators.mean import Mean
from pipeline.tensors import Tensor


class AverageRows(Kernel):
    """firmware_templates/kernels/cortex_m4/average_rows.c"""

    name = "average_rows"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        fields = _fields(op, inputs, output)
        if fields is None:
            return ()
        _, height, width, channels = present(inputs[0]).shape
        fours = channels // 4
        features = {
            "fours": height * width * fours,
            "runs": height * fours,
            "singles": height * width * (channels % 4),
            "means" if isinstance(op, Mean) else "averages": channels,
            "rows": height,
        }
        return (
            Candidate(
                library="cortex_m4",
                kernel=self.name,
                variant="row by row",
                parameters=lambda: fields,
                features=features,
                state_bytes=4 * channels,
                accumulates=True,
            ),
        )


def _fields(op: Operator, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters | None:
    """The fields of `struct average_rows`, in its order; None for another operator or window."""
    if not isinstance(op, AveragePool2D | Mean):
        return None
    x = present(inputs[0])
    if len(x.shape) != 4:
        return None
    _, height, width, channels = x.shape
    p = op.parameters(inputs, output)
    size = {"input_height": height, "input_width": width, "channels": channels}
    if isinstance(op, AveragePool2D):
        if op.window != (height, width) or output.shape[1:3] != (1, 1) or op.pads != ((0, 0), (0, 0)):
            return None
        zeros = {"multiplier": 0, "shift": 0, "input_zero": 0, "output_zero": 0}
        return {**size, **zeros, "minimum": integer(p, "minimum"), "maximum": integer(p, "maximum")}
    if op.axes != (1, 2) or integer(p, "multiplier") == 0:
        return None
    scaling = {name: integer(p, name) for name in ("multiplier", "shift", "input_zero", "output_zero")}
    return {**size, **scaling, "minimum": INT8_MIN, "maximum": INT8_MAX}
