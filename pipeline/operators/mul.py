"""MUL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import LARGEST_ACCUMULATOR, activation_range, quantize_multiplier, rescale
from pipeline.operators.base import Parameters
from pipeline.operators.binary import Binary
from pipeline.operators.checks import integer, present
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Mul(Binary):
    """y = clamp(rescale((a - a_zero) * (b - b_zero)) + y_zero)

    The scales are multiplied and divided in float32 (mul.cc).
    """

    tflite_name: ClassVar[str] = "MUL"
    kernel: ClassVar[str] = "mul"
    largest_product: ClassVar[int] = 255**2
    supported: ClassVar[str] = "int8; either operand or both broadcast; of five axes as far as three loops do"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(Mul, self).problems(inputs, output)
        if (
            not found
            and self.largest_product << max(self._multiplier(inputs, output)[1], 0) > LARGEST_ACCUMULATOR
        ):
            return [f"its output's scale {output.scale:g} is too small for its operands"]
        return found

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct mul`, in its order."""
        multiplier, shift = self._multiplier(inputs, output)
        minimum, maximum = activation_range(self.activation.value, output)
        return {
            **self.walk(inputs),
            "a_zero": present(inputs[0]).zero_point,
            "b_zero": present(inputs[1]).zero_point,
            "output_zero": output.zero_point,
            "multiplier": multiplier,
            "shift": shift,
            "minimum": minimum,
            "maximum": maximum,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        a, b = self.pairs(*arrays)
        products = (a - integer(p, "a_zero")) * (b - integer(p, "b_zero"))
        y = rescale(products, integer(p, "multiplier"), integer(p, "shift"))
        return self.clamped(p, y + integer(p, "output_zero"))

    @staticmethod
    def _multiplier(inputs: Sequence[Tensor | None], output: Tensor) -> tuple[int, int]:
        a, b = np.float32(present(inputs[0]).scale), np.float32(present(inputs[1]).scale)
        return quantize_multiplier(float(a * b / np.float32(output.scale)))


@dataclass(frozen=True, slots=True)
class MulInt16(Mul):
    """The same of int16"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "mul_int16"
    largest_product: ClassVar[int] = 2**30
    supported: ClassVar[str] = (
        "int16; either operand or both broadcast; of five axes as far as three loops do"
    )
