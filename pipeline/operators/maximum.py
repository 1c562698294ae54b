"""MAXIMUM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.operators.base import Parameters
from pipeline.operators.binary import Binary
from pipeline.operators.checks import present, same_quantization
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Maximum(Binary):
    """y = max(a, b)"""

    tflite_name: ClassVar[str] = "MAXIMUM"
    kernel: ClassVar[str] = "maximum"
    supported: ClassVar[str] = (
        "int8, one scale and zero point; either operand or both broadcast; "
        "of five axes as far as three loops do"
    )

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        return cls()

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(Maximum, self).problems(inputs, output)
        if not found:
            found = [line for x in inputs for line in same_quantization(present(x), output)]
        return found

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct maximum`, in its order."""
        return self.walk(inputs)

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        y: np.ndarray = np.maximum(*arrays)
        return y


@dataclass(frozen=True, slots=True)
class MaximumInt16(Maximum):
    """The same of int16"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "maximum_int16"
    supported: ClassVar[str] = (
        "int16, one scale; either operand or both broadcast; of five axes as far as three loops do"
    )
