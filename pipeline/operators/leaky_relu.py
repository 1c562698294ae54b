"""LEAKY_RELU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.arithmetic import quantize_multiplier, rescale
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer, present
from pipeline.operators.rescaling import too_steep
from pipeline.operators.unary import EVERY_INT8, Unary
from pipeline.operators.unary_int16 import UnaryInt16
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
        x = present(inputs[0])
        return unusable(self.alpha) or too_steep(x, output, max(slopes(self.alpha, x, output)))

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        shifted = EVERY_INT8 - x.zero_point
        above, below = (
            rescale(shifted, *quantize_multiplier(factor)) for factor in slopes(self.alpha, x, output)
        )
        return np.where(shifted >= 0, above, below) + output.zero_point


@dataclass(frozen=True, slots=True)
class LeakyReluInt16(UnaryInt16):
    """y = clamp(rescale(x)) where x >= 0, else clamp(rescale(alpha * x))"""

    tflite_name: ClassVar[str] = "LEAKY_RELU"
    kernel: ClassVar[str] = "leaky_relu_int16"
    supported: ClassVar[str] = "int16; any scales"

    alpha: float = 0.2

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> LeakyReluInt16:
        return cls(float(np.float32(options.alpha)))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(LeakyReluInt16, self).problems(inputs, output)
        if found:
            return found
        x = present(inputs[0])
        return unusable(self.alpha) or too_steep(x, output, max(slopes(self.alpha, x, output)))

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct leaky_relu_int16`, in its order."""
        above, below = map(quantize_multiplier, slopes(self.alpha, present(inputs[0]), output))
        return {
            "count": output.elements,
            "above_multiplier": above[0],
            "above_shift": above[1],
            "below_multiplier": below[0],
            "below_shift": below[1],
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x = arrays[0].astype(np.int64)
        above, below = (
            rescale(x, integer(p, f"{side}_multiplier"), integer(p, f"{side}_shift"))
            for side in ("above", "below")
        )
        return np.clip(np.where(x >= 0, above, below), -(2**15), 2**15 - 1).astype(np.int16)


def unusable(alpha: float) -> list[str]:
    """Why there is no such slope."""
    return [] if 0 <= alpha < np.inf else [f"its alpha is {alpha:g}, expected a number that is not negative"]


def slopes(alpha: float, x: Tensor, output: Tensor) -> tuple[float, float]:
    """What x is multiplied by above and below zero, in float32 throughout (activations.cc)."""
    source, target = np.float32(x.scale), np.float32(output.scale)
    return float(source / target), float(source * np.float32(alpha) / target)
