"""ARG_MAX and ARG_MIN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import constant, integer, missing, present
from pipeline.operators.reduction import fold_shape
from pipeline.tensors import Tensor

WORDS = {"int32": 1, "int64": 2}


@dataclass(frozen=True, slots=True)
class ArgMax(Operator):
    """y = the index of the largest x along an axis, the first of several"""

    tflite_name: ClassVar[str] = "ARG_MAX"
    kernel: ClassVar[str] = "arg_max"
    supported: ClassVar[str] = "int8 to int32 or int64; a constant axis"
    flip: ClassVar[int] = 0

    axis: int

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        rank, axis = len(present(inputs[0]).shape), present(inputs[1])
        return cls(int(constant(axis).reshape(())) % max(rank, 1) if axis.is_constant else -1)

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input", "axis"))
        if found:
            return found
        x, axis = present(inputs[0]), present(inputs[1])
        if not axis.is_constant:
            return [f"its axis {axis.name} is not constant"]
        if x.dtype != "int8":
            found.append(f"its input {x.name} is {x.dtype}, expected int8")
        if output.dtype not in WORDS:
            found.append(f"its output {output.name} is {output.dtype}, expected int32 or int64")
        if not 0 <= self.axis < len(x.shape) or x.elements == 0:
            found.append(f"its axis {self.axis} does not fit its input {list(x.shape)}")
        elif self.output_shape(inputs) != output.shape:
            expected = list(self.output_shape(inputs))
            found.append(f"its output {output.name} has the shape {list(output.shape)}, expected {expected}")
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        shape = present(inputs[0]).shape
        return (*shape[: self.axis], *shape[self.axis + 1 :])

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0,)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct arg_max`, in its order."""
        outer, count, inner = fold_shape(present(inputs[0]).shape, (self.axis,)) or (1, 1, 1)
        return {
            "outer": outer,
            "count": count,
            "inner": inner,
            "flip": self.flip,
            "words": WORDS[output.dtype],
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        best = np.argmax(arrays[0] ^ np.int8(integer(p, "flip")), axis=self.axis)
        return np.asarray(best).astype("int32" if integer(p, "words") == 1 else "int64")


@dataclass(frozen=True, slots=True)
class ArgMin(ArgMax):
    """y = the index of the smallest x along an axis, the first of several"""

    tflite_name: ClassVar[str] = "ARG_MIN"
    flip: ClassVar[int] = -1
