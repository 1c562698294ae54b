"""SOFTMAX."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.arithmetic import (
    INT8_MAX,
    INT8_MIN,
    divide_by_power_of_two,
    doubling_high_product,
    exponential,
    quantize_multiplier,
    reciprocal,
    rescale,
)
from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import array, integer, missing, present, quantized
from pipeline.operators.unary_int16 import UnaryInt16
from pipeline.tensors import Tensor

INTEGER_BITS = 5
"""Of the exponent's argument: Q5.26 (reference/softmax.h)."""

SUM_BITS = 12
"""Integer bits of the sum of exponentials: Q12.19."""


@dataclass(frozen=True, slots=True)
class Softmax(Operator):
    """y[i] = exp(beta * (x[i] - max x)) / sum_j exp(beta * (x[j] - max x)), along the last axis"""

    tflite_name: ClassVar[str] = "SOFTMAX"
    kernel: ClassVar[str] = "softmax"
    supported: ClassVar[str] = "int8; the output's scale 1/256 and zero point -128; fewer than 4096 classes"

    beta: float = 1.0

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Softmax:
        return cls(float(options.beta))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input",))
        if found:
            return found
        x = present(inputs[0])
        found = [*quantized("input", x), *quantized("output", output)]
        if found:
            return found
        if abs(output.scale - 1 / 256) > 0.001 / 256 or output.zero_point != INT8_MIN:
            found.append(
                f"its output has the scale {output.scale:g} and zero point {output.zero_point}, "
                "expected 1/256 and -128"
            )
        if not x.shape or x.shape != output.shape or not 1 <= x.shape[-1] < 2**SUM_BITS:
            found.append(f"its input {list(x.shape)} has no axis of 1 to {2**SUM_BITS - 1} classes")
        if not self.beta > 0:
            found.append(f"its beta is {self.beta:g}, expected a positive number")
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return present(inputs[0]).shape

    def in_place(self, inputs: Sequence[Tensor | None], output: Tensor) -> tuple[int, ...]:
        return (0,)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct softmax`, in its order."""
        x = present(inputs[0])
        table = self._table(x.scale)
        return {
            "rows": x.elements // x.shape[-1],
            "depth": x.shape[-1],
            "entries": len(table),
            "exponential": table,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x = arrays[0].reshape(-1, arrays[0].shape[-1]).astype(np.int64)
        table = np.zeros(256, np.int64)
        given = array(p, "exponential")
        table[: len(given)] = given
        exponentials = table[x.max(axis=1, keepdims=True) - x]
        sums = divide_by_power_of_two(exponentials, SUM_BITS).sum(axis=1)
        scales, bits = zip(*(reciprocal(int(each)) for each in sums), strict=True)
        shares = doubling_high_product(exponentials, np.array(scales)[:, np.newaxis])
        y = divide_by_power_of_two(shares, np.array(bits)[:, np.newaxis] + 31 - 8) + INT8_MIN
        stored: np.ndarray = np.minimum(y, INT8_MAX).astype(np.int8)
        return stored.reshape(arrays[0].shape)

    def _table(self, scale: float) -> np.ndarray:
        """exp(-beta * scale * d) in units of 2**-31, for d = 0, 1 ... up to the last that is not zero."""
        factor = min(self.beta * scale * 2.0 ** (31 - INTEGER_BITS), 2.0**31 - 1)
        multiplier, shift = quantize_multiplier(factor)
        # Beyond this difference the argument would leave its five integer bits: zero, by TFLite's decree.
        radius = math.floor((2**INTEGER_BITS - 1) * 2.0 ** (31 - INTEGER_BITS) / 2.0**shift)
        differences = np.arange(min(radius, 255) + 1)
        table = exponential(rescale(-differences, multiplier, shift))
        last = int(np.flatnonzero(table)[-1])
        return table[: last + 1].astype(np.int32)


@dataclass(frozen=True, slots=True)
class SoftmaxInt16(UnaryInt16):
    """The same of int16: exponential and reciprocal are lines between the entries of tables"""

    tflite_name: ClassVar[str] = "SOFTMAX"
    kernel: ClassVar[str] = "softmax_int16"
    supported: ClassVar[str] = "int16; the output's scale 1/32768; fewer than 65536 classes"

    beta: float = 1.0

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> SoftmaxInt16:
        return cls(float(options.beta))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(SoftmaxInt16, self).problems(inputs, output)
        if found:
            return found
        x = present(inputs[0])
        if abs(output.scale - 2.0**-15) > 0.001 * 2.0**-15:
            found.append(f"its output has the scale {output.scale:g}, expected 1/32768")
        if not x.shape or not 1 <= x.shape[-1] < 2**16:
            found.append(f"its input {list(x.shape)} has no axis of 1 to {2**16 - 1} classes")
        if not 0 < self.beta < np.inf:
            found.append(f"its beta is {self.beta:g}, expected a positive number")
        elif quantize_multiplier(self._factor(x))[1] > LARGEST_SHIFT:
            found.append(f"its input's scale {x.scale:g} is too large: differences leave 32 bits")
        return found

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int] | None:
        return None

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct softmax_int16`, in its order."""
        x = present(inputs[0])
        multiplier, shift = quantize_multiplier(self._factor(x))
        return {
            "rows": x.elements // x.shape[-1],
            "depth": x.shape[-1],
            "multiplier": multiplier,
            "shift": shift,
            "exponential": table_int16(np.exp, DIFFERENCE, 2**15 - 1),
            "reciprocal": table_int16(lambda v: 1 / (1 + v), 1 / 65535, -(2**15)),
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x = arrays[0].reshape(-1, arrays[0].shape[-1]).astype(np.int64)
        differences = x - x.max(axis=1, keepdims=True)
        scaled = rescale(differences, integer(p, "multiplier"), integer(p, "shift")) + 2**15 - 1
        exponentials = _line(array(p, "exponential"), np.clip(scaled, -(2**15), 2**15 - 1))
        sums = exponentials.sum(axis=1, keepdims=True)
        # Each sum in [1, 2) with 30 fractional bits; what is above 1, with 16.
        headroom = 31 - np.ceil(np.log2(sums + 1)).astype(np.int64)
        above = ((sums << headroom) + 2**13 >> 14) - 2**16
        reciprocals = _line(array(p, "reciprocal"), np.minimum(above - 2**15, 2**15 - 1))
        shares = exponentials * reciprocals + (1 << (29 - headroom)) >> (30 - headroom)
        stored: np.ndarray = np.clip(shares, 0, 2**15 - 1).astype(np.int16)
        return stored.reshape(arrays[0].shape)

    def _factor(self, x: Tensor) -> float:
        """Onto differences of which 65535 are 10."""
        return x.scale * self.beta / DIFFERENCE


DIFFERENCE = 10 / 65535
"""Unit of differences between inputs: exp(-10) is taken for nothing."""

LARGEST_SHIFT = 14
"""Of a difference of 17 bits within 32."""


def table_int16(function: Callable[[np.ndarray], np.ndarray], scale: float, zero: int) -> np.ndarray:
    """A function at 513 points over all int16 of a scale and zero point, in units of 2**-15 (common.h).

    Each but the last is moved by half of what a line to the next misses in the middle. In float64.
    """
    low, high = scale * (-(2**15) - zero), scale * (2**15 - 1 - zero)
    step = (high - low) / 512
    points = low + np.arange(512) * step
    values, middles, following = (
        function(each) * 2.0**15 for each in (points, points + step / 2, low + np.arange(1, 513) * step)
    )
    samples = _rounded(values)
    misses = _rounded((following + samples) / 2) - _rounded(middles)
    last = _rounded(function(np.array([high])) * 2.0**15)
    table = np.concatenate([samples - _rounded(misses / 2), last])
    found: np.ndarray = np.clip(table, -(2**15), 2**15 - 1).astype(np.int16)
    return found


def _rounded(x: np.ndarray) -> np.ndarray:
    """To the nearest integer, ties away from zero."""
    whole = np.trunc(x)
    rounded: np.ndarray = whole + np.copysign(np.abs(x - whole) >= 0.5, x)
    return rounded


def _line(table: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What lies between two entries of a table over int16, 128 steps apart."""
    table, entry = table.astype(np.int64), 256 + (x >> 7)
    line: np.ndarray = table[entry] + ((table[entry + 1] - table[entry]) * (x & 127) + 64 >> 7)
    return line
