"""ADD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import activation_range, quantize_multiplier, rescale
from pipeline.operators.base import Parameters
from pipeline.operators.binary import Binary
from pipeline.operators.checks import integer, present
from pipeline.tensors import Tensor

HEADROOM_BITS = 20
"""Of int8."""


@dataclass(frozen=True, slots=True)
class Add(Binary):
    """y = clamp(rescale(rescale(a - a_zero) + rescale(b - b_zero)) + y_zero)

    Both operands are brought to twice the larger of their scales, shifted left by `headroom_bits` (add.cc).
    """

    tflite_name: ClassVar[str] = "ADD"
    kernel: ClassVar[str] = "add"
    headroom_bits: ClassVar[int] = HEADROOM_BITS
    supported: ClassVar[str] = "int8; either operand or both broadcast; of five axes as far as three loops do"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(Add, self).problems(inputs, output)
        if not found and quantize_multiplier(self._factors(inputs, output)[2])[1] > 0:
            return [f"its output's scale {output.scale:g} is too small for its operands"]
        return found

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct add`, in its order."""
        a, b = present(inputs[0]), present(inputs[1])
        (a_multiplier, a_shift), (b_multiplier, b_shift), (multiplier, shift) = map(
            quantize_multiplier, self._factors(inputs, output)
        )
        minimum, maximum = activation_range(self.activation.value, output)
        return {
            **self.walk(inputs),
            "a_zero": a.zero_point,
            "b_zero": b.zero_point,
            "output_zero": output.zero_point,
            "a_multiplier": a_multiplier,
            "a_shift": a_shift,
            "b_multiplier": b_multiplier,
            "b_shift": b_shift,
            "output_multiplier": multiplier,
            "output_shift": shift,
            "minimum": minimum,
            "maximum": maximum,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        a, b = self.pairs(*arrays)
        total = sum(
            rescale(
                (x - integer(p, f"{name}_zero")) << self.headroom_bits,
                integer(p, f"{name}_multiplier"),
                integer(p, f"{name}_shift"),
            )
            for name, x in (("a", a), ("b", b))
        )
        y = rescale(np.asarray(total), integer(p, "output_multiplier"), integer(p, "output_shift"))
        return self.clamped(p, y + integer(p, "output_zero"))

    def _factors(self, inputs: Sequence[Tensor | None], output: Tensor) -> tuple[float, float, float]:
        """What the operands and their sum are multiplied by."""
        a, b = present(inputs[0]), present(inputs[1])
        twice = 2.0 * max(a.scale, b.scale)
        return a.scale / twice, b.scale / twice, twice / (2.0**self.headroom_bits * output.scale)


@dataclass(frozen=True, slots=True)
class AddInt16(Add):
    """The same of int16, shifted left by 15 bits"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "add_int16"
    headroom_bits: ClassVar[int] = 15
    supported: ClassVar[str] = (
        "int16; either operand or both broadcast; of five axes as far as three loops do"
    )
