"""SOFTMAX."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
from pipeline.operators.checks import array, missing, present, quantized
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
