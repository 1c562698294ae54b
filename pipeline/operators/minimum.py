"""MINIMUM."""

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
class Minimum(Binary):
    """y = min(a, b)"""

    tflite_name: ClassVar[str] = "MINIMUM"
    kernel: ClassVar[str] = "minimum"
    supported: ClassVar[str] = (
        "int8, one scale and zero point; either operand or both broadcast; "
        "of five axes as far as three loops do"
    )

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        return cls()

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(Minimum, self).problems(inputs, output)
        if not found:
            found = [line for x in inputs for line in same_quantization(present(x), output)]
        return found

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct minimum`, in its order."""
        return self.walk(inputs)

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        y: np.ndarray = np.minimum(*arrays)
        return y


@dataclass(frozen=True, slots=True)
class MinimumInt16(Minimum):
    """The same of int16"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "minimum_int16"
    supported: ClassVar[str] = (
        "int16, one scale; either operand or both broadcast; of five axes as far as three loops do"
    )
