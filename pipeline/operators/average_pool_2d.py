"""AVERAGE_POOL_2D."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.base import Parameters
from pipeline.operators.pooling import Pooling
from pipeline.tensors import Tensor

LARGEST_WINDOW = 2**16
"""Of int16: sums of more elements could leave 32 bits."""


@dataclass(frozen=True, slots=True)
class AveragePool2D(Pooling):
    """y[c] = clamp(round(sum_yx x[y, x, c] / n)) over the n elements of the window that lie inside x

    The integers are averaged as they are, zero point included; ties are rounded away from the integer
    0, not from the real one (integer_ops/pooling.h).
    """

    tflite_name: ClassVar[str] = "AVERAGE_POOL_2D"
    kernel: ClassVar[str] = "average_pool_2d"
    supported: ClassVar[str] = "int8, one scale and zero point; any window, stride, padding"

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x = arrays[0]
        sums = self.beneath(x, 0).sum(axis=(2, 3))
        counts = self.beneath(np.ones_like(x), 0).sum(axis=(2, 3))
        means = np.sign(sums) * ((np.abs(sums) + counts // 2) // counts)
        return self.clamped(p, means)


@dataclass(frozen=True, slots=True)
class AveragePool2DInt16(AveragePool2D):
    """The same of int16"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "average_pool_2d_int16"
    supported: ClassVar[str] = "int16, one scale; any window, stride, padding"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(AveragePool2DInt16, self).problems(inputs, output)
        if not found and math.prod(self.window) >= LARGEST_WINDOW:
            found.append(f"its window {self.window} has {LARGEST_WINDOW} elements or more")
        return found
