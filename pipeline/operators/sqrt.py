"""SQRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.checks import present
from pipeline.operators.unary import EVERY_INT8, NOT_NEGATIVE, Unary, negative
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Sqrt(Unary):
    """y = sqrt(x), cut off and not rounded: TFLite turns the float32 root into an integer as C does"""

    tflite_name: ClassVar[str] = "SQRT"
    supported: ClassVar[str] = NOT_NEGATIVE

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        return super(Sqrt, self).problems(inputs, output) or negative(present(inputs[0]))

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        real = np.float32(x.scale) * (EVERY_INT8 - x.zero_point).astype(np.float32)
        # Beyond what an int32 holds nothing changes: int8 saturates long before.
        steps = np.minimum(np.sqrt(real) / np.float32(output.scale), np.float32(2.0**20))
        found: np.ndarray = np.trunc(steps).astype(np.int64) + output.zero_point
        return found
