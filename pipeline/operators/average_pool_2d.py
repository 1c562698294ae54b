"""AVERAGE_POOL_2D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.base import Parameters
from pipeline.operators.pooling import Pooling


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
