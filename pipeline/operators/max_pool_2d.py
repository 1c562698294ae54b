"""MAX_POOL_2D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.base import Parameters
from pipeline.operators.pooling import Pooling


@dataclass(frozen=True, slots=True)
class MaxPool2D(Pooling):
    """y[c] = clamp(max_yx x[y, x, c]) over the part of the window that lies inside x"""

    tflite_name: ClassVar[str] = "MAX_POOL_2D"
    kernel: ClassVar[str] = "max_pool_2d"
    supported: ClassVar[str] = "int8, one scale and zero point; any window, stride, padding"

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        return self.clamped(p, self.beneath(arrays[0], np.iinfo(self.element).min).max(axis=(2, 3)))


@dataclass(frozen=True, slots=True)
class MaxPool2DInt16(MaxPool2D):
    """The same of int16"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "max_pool_2d_int16"
    supported: ClassVar[str] = "int16, one scale; any window, stride, padding"
