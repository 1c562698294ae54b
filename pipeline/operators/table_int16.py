"""What EXP, LOG and RSQRT of int16 share: a table of 513 results, read between its entries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, present
from pipeline.operators.unary_int16 import UnaryInt16
from pipeline.tensors import Tensor

STEPS = 512
LOWEST, HIGHEST = -(2**15), 2**15 - 1


@dataclass(frozen=True, slots=True)
class TableInt16(UnaryInt16):
    """y = a line between two of 513 results, each half as far off as the middle of the line behind it

    (common.h, LUTPopulateInt16 and LUTLookup.)
    """

    kernel: ClassVar[str] = "lookup_int16"
    supported: ClassVar[str] = "int16; any scales"

    @abstractmethod
    def function(self, x: np.ndarray, low: np.float32, high: np.float32) -> np.ndarray:
        """float32 of real values; `low` and `high` are the ends of what the output can stand for."""

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct lookup_int16`, in its order."""
        return {"count": output.elements, "table": self._table(present(inputs[0]).scale, output.scale)}

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x, table = arrays[0].astype(np.int64), array(p, "table").astype(np.int64)
        place = 256 + (x >> 7)
        slope = (table[place + 1] - table[place]).astype(np.int16).astype(np.int64)
        found: np.ndarray = (table[place] + (slope * (x & 127) + 64 >> 7)).astype(np.int16)
        return found

    def _table(self, x_scale: float, y_scale: float) -> np.ndarray:
        """int16 (513,), in float32 throughout."""
        low, high = (np.float32(x_scale) * np.float32(end) for end in (LOWEST, HIGHEST))
        ends = [np.float32(y_scale) * np.float32(end) for end in (LOWEST, HIGHEST)]
        step = (high - low) / np.float32(STEPS)
        scaling = np.float32(STEPS * 128) / (ends[1] - ends[0])
        places = low + np.arange(STEPS, dtype=np.float32) * step
        nexts = low + np.arange(1, STEPS + 1, dtype=np.float32) * step
        half = np.float32(2)
        with np.errstate(over="ignore", invalid="ignore"):
            at, middle, behind, last = (
                self.function(each, *ends) * scaling
                for each in (places, places + step / half, nexts, np.array([high], np.float32))
            )
            error = _rounded((behind + _rounded(at)) / half) - _rounded(middle)
            made = _rounded(at) - _rounded(error / half)
        table: np.ndarray = np.clip(np.append(made, _rounded(last)), LOWEST, HIGHEST).astype(np.int16)
        return table


def rounded_once(function: np.ufunc, x: np.ndarray) -> np.ndarray:
    """float32 as the C library has it: numpy's own functions of float32 are off by their last bit."""
    with np.errstate(over="ignore"):
        found: np.ndarray = function(x.astype(np.float64)).astype(np.float32)
    return found


def _rounded(x: np.ndarray) -> np.ndarray:
    """Ties away from zero."""
    whole = np.trunc(x)
    rounded: np.ndarray = whole + np.copysign((np.abs(x - whole) >= 0.5).astype(np.float32), x)
    return rounded
