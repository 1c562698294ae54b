"""ABS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import quantize_multiplier, rescale
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer, present
from pipeline.operators.rescaling import too_steep
from pipeline.operators.unary import EVERY_INT8, Unary
from pipeline.operators.unary_int16 import UnaryInt16
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


@dataclass(frozen=True, slots=True)
class AbsInt16(UnaryInt16):
    """y = clamp(rescale(|x|))"""

    tflite_name: ClassVar[str] = "ABS"
    kernel: ClassVar[str] = "abs_int16"
    supported: ClassVar[str] = "int16; any scales"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(AbsInt16, self).problems(inputs, output)
        if found:
            return found
        x = present(inputs[0])
        return too_steep(x, output, _factor(x, output))

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct abs_int16`, in its order."""
        multiplier, shift = quantize_multiplier(_factor(present(inputs[0]), output))
        return {"count": output.elements, "multiplier": multiplier, "shift": shift}

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        distance = np.abs(arrays[0].astype(np.int64))
        found: np.ndarray = rescale(distance, integer(p, "multiplier"), integer(p, "shift"))
        stored: np.ndarray = np.clip(found, -(2**15), 2**15 - 1).astype(np.int16)
        return stored


def _factor(x: Tensor, output: Tensor) -> float:
    """Divided in float32."""
    return float(np.float32(x.scale) / np.float32(output.scale))
