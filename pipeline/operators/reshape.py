"""RESHAPE."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import missing, present, same_quantization
from pipeline.tensors import Tensor

MOVED = ("int8", "int16", "float32")
"""Types of what is moved and not changed."""


@dataclass(frozen=True, slots=True)
class Reshape(Operator):
    """y = x, the same bytes under another shape"""

    tflite_name: ClassVar[str] = "RESHAPE"
    kernel: ClassVar[str] = "reshape"
    supported: ClassVar[str] = "int8, int16 or float32; a constant shape"

    shape: tuple[int, ...]

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        return cls(output.shape)

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input",))
        if found:
            return found
        x = present(inputs[0])
        if x.dtype not in MOVED or x.dtype != output.dtype:
            found.append(f"its input is {x.dtype}, its output {output.dtype}, expected {' or '.join(MOVED)}")
        if len(inputs) > 1 and inputs[1] is not None and not inputs[1].is_constant:
            found.append(f"its shape {inputs[1].name} is not constant")
        if x.elements != math.prod(self.shape) or self.shape != output.shape:
            found.append(f"its input {list(x.shape)} cannot take the shape {list(self.shape)}")
        return found + same_quantization(x, output)

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return self.shape

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0,)

    def in_place(self, inputs: Sequence[Tensor | None], output: Tensor) -> tuple[int, ...]:
        return (0,)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct reshape`, in its order."""
        return {"bytes": output.nbytes}

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        return arrays[0].reshape(self.shape)
