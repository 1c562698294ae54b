"""GELU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.operators.unary import Unary, through_float
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Gelu(Unary):
    """y = x * Phi(x), Phi the normal distribution; `approximate` takes a tanh for it (gelu.h)"""

    tflite_name: ClassVar[str] = "GELU"

    approximate: bool = False

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Gelu:
        return cls(bool(options.approximate))

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        return through_float(x, output, self._by_tanh if self.approximate else self._by_erfc)

    @staticmethod
    def _by_tanh(x: np.ndarray) -> np.ndarray:
        half, one = np.float32(0.5), np.float32(1.0)
        slope, cubic = np.float32(math.sqrt(2 / math.pi)), np.float32(0.044715)
        found: np.ndarray = half * x * (one + np.tanh(slope * (x + cubic * x * x * x)))
        return found

    @staticmethod
    def _by_erfc(x: np.ndarray) -> np.ndarray:
        tails = [math.erfc(each) for each in (x * np.float32(-math.sqrt(0.5))).tolist()]
        found: np.ndarray = np.float32(0.5) * x * np.array(tails, np.float32)
        return found
