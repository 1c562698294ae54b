"""HARD_SWISH."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import divide_by_power_of_two, quantize_multiplier
from pipeline.operators.checks import present
from pipeline.operators.unary import EVERY_INT8, Unary
from pipeline.tensors import Tensor

INT16 = np.iinfo(np.int16)
HEADROOM_BITS = 7


@dataclass(frozen=True, slots=True)
class HardSwish(Unary):
    """y = x * clamp(x + 3, 0, 6) / 6, in 16-bit fixed point (reference/hard_swish.h)"""

    tflite_name: ClassVar[str] = "HARD_SWISH"
    supported: ClassVar[str] = "int8; the output's scale at least 1/128 of the input's"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(HardSwish, self).problems(inputs, output)
        if not found and self._multipliers(present(inputs[0]), output)[0][1] > 0:
            found.append(f"its output's scale {output.scale:g} is too small for its input")
        return found

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        (to_output, output_shift), (to_gate, gate_shift) = self._multipliers(x, output)
        fine = (EVERY_INT8 - x.zero_point) << HEADROOM_BITS
        scaled = _rounded_high_product(fine, to_output)
        # x / 3, saturating to [-1, 1]: the last bit of a left shift comes after the product.
        gate = fine
        if gate_shift > 0:
            gate = _saturated(gate << (gate_shift - 1))
        gate = _rounded_high_product(gate, to_gate)
        gate = _saturated(gate << 1) if gate_shift > 0 else divide_by_power_of_two(gate, -gate_shift)
        gate = (gate + 2**15) >> 1
        product = gate * scaled
        truncated = np.sign(product) * (np.abs(product) >> 15)
        return divide_by_power_of_two(truncated, -output_shift) + output.zero_point

    @staticmethod
    def _multipliers(x: Tensor, output: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
        """(multiplier of 15 bits, shift) onto the output's scale, and onto 3 as 2**15; all in float32."""
        fine = np.float32(x.scale) * np.float32(1 / 128)
        found = []
        for factor in (fine / np.float32(output.scale), fine / np.float32(3 / 32768)):
            multiplier, shift = quantize_multiplier(float(factor))
            found.append((min((multiplier + 2**15) >> 16, int(INT16.max)), shift))
        return found[0], found[1]


def _saturated(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.clip(x, INT16.min, INT16.max)
    return found


def _rounded_high_product(a: np.ndarray, b: int) -> np.ndarray:
    """The upper half of 2*a*b in 16 bits, ties rounded up."""
    return _saturated((a * b + 2**14) >> 15)
