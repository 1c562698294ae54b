"""EXP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.checks import present
from pipeline.operators.table_int16 import HIGHEST, TableInt16, rounded_once
from pipeline.operators.unary import Unary, through_float
from pipeline.tensors import Tensor

LARGEST_POWER = 87.0
"""exp of it, and twice that, are numbers of float32."""


@dataclass(frozen=True, slots=True)
class Exp(Unary):
    """y = exp(x)"""

    tflite_name: ClassVar[str] = "EXP"

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        return through_float(x, output, np.exp)


@dataclass(frozen=True, slots=True)
class ExpInt16(TableInt16):
    """y = exp(x), read from a table"""

    tflite_name: ClassVar[str] = "EXP"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(ExpInt16, self).problems(inputs, output)
        if found:
            return found
        reach = present(inputs[0]).scale * HIGHEST
        if reach - np.log(output.scale) >= LARGEST_POWER:
            return [f"its input reaches {reach:.3g}, of which TFLite's table has no result in float32"]
        return []

    def function(self, x: np.ndarray, low: np.float32, high: np.float32) -> np.ndarray:
        return rounded_once(np.exp, x)
