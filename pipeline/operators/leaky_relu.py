"""LEAKY_RELU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.arithmetic import quantize_multiplier, rescale
from pipeline.operators.checks import present
from pipeline.operators.rescaling import too_steep
from pipeline.operators.unary import EVERY_INT8, Unary
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class LeakyRelu(Unary):
    """y = rescale(x - x_zero) + y_zero where x >= x_zero, else rescale(alpha * (x - x_zero)) + y_zero"""

    tflite_name: ClassVar[str] = "LEAKY_RELU"

    alpha: float = 0.2

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> LeakyRelu:
        return cls(float(np.float32(options.alpha)))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(LeakyRelu, self).problems(inputs, output)
        if found:
            return found
        if not 0 <= self.alpha < np.inf:
            return [f"its alpha is {self.alpha:g}, expected a number that is not negative"]
        x = present(inputs[0])
        return too_steep(x, output, max(self._factors(x, output)))

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        shifted = EVERY_INT8 - x.zero_point
        above, below = (rescale(shifted, *quantize_multiplier(factor)) for factor in self._factors(x, output))
        return np.where(shifted >= 0, above, below) + output.zero_point

    def _factors(self, x: Tensor, output: Tensor) -> tuple[float, float]:
        """What x is multiplied by above and below zero, in float32 throughout (activations.cc)."""
        source, target = np.float32(x.scale), np.float32(output.scale)
        return float(source / target), float(source * np.float32(self.alpha) / target)
