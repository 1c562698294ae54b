"""What operators on single elements share: an int8 has 256 values, so a table of results is the operator."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import INT8_MAX, INT8_MIN
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, present
from pipeline.operators.elementwise import Elementwise
from pipeline.tensors import Tensor

EVERY_INT8 = np.arange(INT8_MIN, INT8_MAX + 1)
NOT_NEGATIVE = "int8; a zero point of -128, so that no input is negative"
"""What roots and logarithms say of the types that they take."""


@dataclass(frozen=True, slots=True)
class Unary(Elementwise):
    """y = table[x]; what the table holds is left open"""

    kernel: ClassVar[str] = "lookup"
    supported: ClassVar[str] = "int8; any scales"

    @abstractmethod
    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        """What -128, -127 ... 127 become, not yet clamped to int8; (256,), or (channels, 256)."""

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct lookup`, in its order."""
        results = self.results(present(inputs[0]), output)
        tables = np.clip(results, INT8_MIN, INT8_MAX).astype(np.int8).reshape(-1, len(EVERY_INT8))
        return {"count": output.elements, "tables": len(tables), "table": tables}

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        # One table serves every channel, or the last axis says which.
        tables = array(p, "table")
        found: np.ndarray = tables[np.arange(len(tables)), arrays[0].astype(np.int64) - INT8_MIN]
        return found.reshape(arrays[0].shape)


def negative(x: Tensor) -> list[str]:
    """A root or a logarithm has no result where its input may be negative."""
    if x.zero_point == INT8_MIN:
        return []
    return [f"its input may be negative (zero point {x.zero_point}, expected -128)"]


def through_float(x: Tensor, output: Tensor, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Results of an operator that TFLite too tabulates: float32 throughout, ties away from zero (lut.h)."""
    real = np.float32(x.scale) * (EVERY_INT8 - x.zero_point).astype(np.float32)
    with np.errstate(over="ignore"):
        scaled = function(real) * (np.float32(1.0) / np.float32(output.scale))
    whole = np.trunc(scaled)
    rounded = whole + np.copysign((np.abs(scaled - whole) >= 0.5).astype(np.float32), scaled)
    # Beyond what an int32 holds, the sum saturates here; TFLite leaves it undefined.
    bounded = np.clip(rounded + np.float32(output.zero_point), -(2.0**30), 2.0**30)
    found: np.ndarray = bounded.astype(np.int64)
    return found
