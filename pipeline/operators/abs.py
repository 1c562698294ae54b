"""ABS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import quantize_multiplier, rescale
from pipeline.operators.checks import present
from pipeline.operators.rescaling import too_steep
from pipeline.operators.unary import EVERY_INT8, Unary
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Abs(Unary):
    """y = rescale(|x - x_zero|) + y_zero (elementwise.cc)"""

    tflite_name: ClassVar[str] = "ABS"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(Abs, self).problems(inputs, output)
        if found:
            return found
        x = present(inputs[0])
        return too_steep(x, output, _factor(x, output))

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        distance = np.abs(EVERY_INT8 - x.zero_point)
        found: np.ndarray = rescale(distance, *quantize_multiplier(_factor(x, output))) + output.zero_point
        return found


def _factor(x: Tensor, output: Tensor) -> float:
    """Divided in float32."""
    return float(np.float32(x.scale) / np.float32(output.scale))
