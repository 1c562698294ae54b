"""LOG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.checks import present
from pipeline.operators.table_int16 import TableInt16, rounded_once
from pipeline.operators.unary import NOT_NEGATIVE, Unary, negative, through_float
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Log(Unary):
    """y = ln(x); of 0 the smallest integer"""

    tflite_name: ClassVar[str] = "LOG"
    supported: ClassVar[str] = NOT_NEGATIVE

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        return super(Log, self).problems(inputs, output) or negative(present(inputs[0]))

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        return through_float(x, output, _logarithm)


@dataclass(frozen=True, slots=True)
class LogInt16(TableInt16):
    """y = ln(x), read from a table; of 0 and below the smallest integer"""

    tflite_name: ClassVar[str] = "LOG"

    def function(self, x: np.ndarray, low: np.float32, high: np.float32) -> np.ndarray:
        found: np.ndarray = np.where(x > 0, rounded_once(np.log, np.where(x > 0, x, 1)), low)
        return found


def _logarithm(x: np.ndarray) -> np.ndarray:
    """float32, of 0 far below what an int8 stands for."""
    found: np.ndarray = np.log(x, out=np.full_like(x, -1e30), where=x > 0)
    return found
