"""LOGISTIC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import INT8_MIN
from pipeline.operators.sigmoid_int16 import SigmoidInt16, between
from pipeline.operators.unary import Unary, through_float
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Logistic(Unary):
    """y = 1 / (1 + exp(-x))"""

    tflite_name: ClassVar[str] = "LOGISTIC"
    supported: ClassVar[str] = "int8; the output's scale 1/256 and zero point -128"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(Logistic, self).problems(inputs, output)
        if not found and (output.scale != 1 / 256 or output.zero_point != INT8_MIN):
            found.append(
                f"its output has the scale {output.scale:g} and zero point {output.zero_point}, "
                "expected 1/256 and -128"
            )
        return found

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        one = np.float32(1.0)
        return through_float(x, output, lambda real: one / (one + np.exp(-real)))


@dataclass(frozen=True, slots=True)
class LogisticInt16(SigmoidInt16):
    """y = 1 / (1 + exp(-x))"""

    tflite_name: ClassVar[str] = "LOGISTIC"
    kernel: ClassVar[str] = "logistic_int16"

    def results(self, table: np.ndarray, x: np.ndarray, negative: np.ndarray) -> np.ndarray:
        above = between(table, x, 9, (2**15 - 1) << 10)
        return np.where(negative, 2**25 - above - 1, above) + 2**9 >> 10
