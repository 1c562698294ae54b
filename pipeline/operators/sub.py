"""SUB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.operators.add import Add
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Sub(Add):
    """y = clamp(rescale(rescale(a - a_zero) - rescale(b - b_zero)) + y_zero)

    ADD with the second multiplier negated, so that ties of the second operand round down (sub.cc).
    """

    tflite_name: ClassVar[str] = "SUB"

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct add`, in its order."""
        p = super(Sub, self).parameters(inputs, output)
        return {**p, "b_multiplier": -integer(p, "b_multiplier")}


@dataclass(frozen=True, slots=True)
class SubInt16(Sub):
    """The same of int16, shifted left by 15 bits"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "add_int16"
    headroom_bits: ClassVar[int] = 15
    supported: ClassVar[str] = (
        "int16; either operand or both broadcast; of five axes as far as three loops do"
    )
