"""What LOGISTIC and TANH of int16 share: a table of the sigmoid, read between its entries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, integer, present
from pipeline.operators.unary_int16 import UnaryInt16
from pipeline.tensors import Tensor

ENTRIES = 256
STEP = 1 / 24
"""Of the table: beyond 10.6 the sigmoid saturates."""
UNIT = 1 / (3 * 4096)
"""Of the integer that the table is read by."""
OUTPUT_SCALE = 2.0**-15


@dataclass(frozen=True, slots=True)
class SigmoidInt16(UnaryInt16):
    """y = a line between two entries of a table of 1 / (1 + exp(-x)) (integer_ops/logistic.h, tanh.h)"""

    supported: ClassVar[str] = "int16; the output's scale 1/32768"

    exact_shifts: ClassVar[tuple[int, ...]] = (0,)
    """x in units of 2**(shift - 12) is multiplied by 3 << shift; of other scales by a factor of 15 bits."""

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(SigmoidInt16, self).problems(inputs, output)
        if found:
            return found
        x = present(inputs[0])
        if output.scale != OUTPUT_SCALE:
            found.append(f"its output has the scale {output.scale:g}, expected 1/32768")
        if x.scale / UNIT >= 2**15:
            found.append(f"its input's scale {x.scale:g} leaves no room in 15 bits, expected at most 2.66")
        return found

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of the kernel's struct, in its order."""
        multiplier, shift = self._factor(present(inputs[0]).scale)
        return {
            "count": output.elements,
            "multiplier": multiplier,
            "shift": shift,
            "sigmoid": sigmoid_table(),
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        shift = integer(p, "shift")
        x = arrays[0].astype(np.int64) * integer(p, "multiplier") + ((1 << shift) >> 1) >> shift
        made = self.results(array(p, "sigmoid").astype(np.int64), np.abs(x), x < 0)
        stored: np.ndarray = made.astype(np.int16)
        return stored

    @abstractmethod
    def results(self, table: np.ndarray, x: np.ndarray, negative: np.ndarray) -> np.ndarray:
        """The output's integers, of magnitudes in UNIT and their signs."""

    def _factor(self, scale: float) -> tuple[int, int]:
        """(multiplier, shift) with scale / UNIT = multiplier / 2**shift (activations.cc)."""
        exponent = np.log2(scale)
        if exponent == np.round(exponent) and int(exponent) + 12 in self.exact_shifts:
            return 3 << (int(exponent) + 12), 0
        factor, shift = scale / UNIT, 0
        while factor <= (2**15 - 1) / 2 and shift <= 30:
            factor, shift = factor * 2, shift + 1
        return int(factor), shift


def sigmoid_table() -> np.ndarray:
    """1 / (1 + exp(-i / 24)) in units of 2**-16, uint16.

    Each is moved by half of what a line to the next misses in the middle; the last is the largest there is.
    """

    def sigmoid(i: np.ndarray) -> np.ndarray:
        exact: np.ndarray = 2.0**16 / (1 + np.exp(-i * STEP))
        return exact

    i = np.arange(ENTRIES, dtype=np.float64)
    misses = sigmoid(i + 0.5) - (sigmoid(i) + sigmoid(i + 1)) / 2
    table: np.ndarray = np.round(sigmoid(i) + misses / 2).astype(np.uint16)
    table[-1] = 2**16 - 1
    return table


def between(table: np.ndarray, x: np.ndarray, bits: int, saturated: int) -> np.ndarray:
    """The table at x >= 0, of which `bits` lie below a step: as many further bits of its results."""
    step, rest = x >> bits, x & ((1 << bits) - 1)
    low = np.minimum(step, ENTRIES - 2)
    line = (table[low] << bits) + rest * (table[low + 1] - table[low])
    found: np.ndarray = np.where(step >= ENTRIES - 1, saturated, line)
    return found
