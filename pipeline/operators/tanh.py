"""TANH."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.sigmoid_int16 import SigmoidInt16, between
from pipeline.operators.unary import Unary, through_float
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Tanh(Unary):
    """y = tanh(x)"""

    tflite_name: ClassVar[str] = "TANH"

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        return through_float(x, output, np.tanh)


@dataclass(frozen=True, slots=True)
class TanhInt16(SigmoidInt16):
    """y = tanh(x) = 2 / (1 + exp(-2 x)) - 1"""

    tflite_name: ClassVar[str] = "TANH"
    kernel: ClassVar[str] = "tanh_int16"
    exact_shifts: ClassVar[tuple[int, ...]] = (0, 1)

    def results(self, table: np.ndarray, x: np.ndarray, negative: np.ndarray) -> np.ndarray:
        above = between(table, x, 8, (2**16 - 1) << 8) - 2**23
        return np.where(negative, -above - 1, above) + 2**7 >> 8
