"""CONCATENATION and PACK."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.operators.base import Activation, Operator, Parameters
from pipeline.operators.checks import alike, missing, present, read_activation
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Joining(Operator):
    """y = the inputs, one beside the other along an axis; whether that axis is a new one is left open"""

    kernel: ClassVar[str] = "concatenation"

    axis: int = 0
    activation: Activation = Activation.NONE

    @classmethod
    @abstractmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self: ...

    @abstractmethod
    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]: ...

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, [f"input {i}" for i in range(max(len(inputs), 1))])
        if found:
            return found
        given = [present(x) for x in inputs]
        found = [line for x in given for line in alike(x, output)]
        if self.activation is not Activation.NONE:
            found.append(f"its fused activation {self.activation.value} is not supported")
        if not 0 <= self.axis < len(output.shape) or 0 in output.shape or not self._fit(given):
            shapes = [list(x.shape) for x in given]
            found.append(f"its inputs {shapes} do not go together along axis {self.axis}")
        elif self.output_shape(inputs) != output.shape:
            expected = list(self.output_shape(inputs))
            found.append(f"its output {output.name} has the shape {list(output.shape)}, expected {expected}")
        return found

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return tuple(range(len(inputs)))

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int] | None:
        """Rows lie beside each other where they are joined along width or channels."""
        maps = all(x is not None and not x.is_constant and len(x.shape) == 4 for x in inputs)
        return (first, end) if maps and len(output.shape) == 4 and self.axis in {2, 3} else None

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct concatenation`, in its order."""
        outer = math.prod(output.shape[: self.axis])
        return {
            "inputs": len(inputs),
            "outer": outer,
            "pitch": output.nbytes // outer,
            "bytes": np.array([present(x).nbytes // outer for x in inputs], np.int32),
        }

    @abstractmethod
    def _fit(self, given: Sequence[Tensor]) -> bool:
        """Whether the inputs' shapes agree as they have to."""


@dataclass(frozen=True, slots=True)
class Concatenation(Joining):
    """y = the inputs, one behind the other along an axis"""

    tflite_name: ClassVar[str] = "CONCATENATION"
    supported: ClassVar[str] = "int8 or int16, one scale and zero point; any axis, any number of inputs"

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Concatenation:
        axis = int(options.axis)
        return cls(axis + len(output.shape) if axis < 0 else axis, read_activation(options))

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        first = present(inputs[0]).shape
        length = sum(present(x).shape[self.axis] for x in inputs)
        return (*first[: self.axis], length, *first[self.axis + 1 :])

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        return np.concatenate(arrays, self.axis)

    def _fit(self, given: Sequence[Tensor]) -> bool:
        others = {(x.shape[: self.axis], x.shape[self.axis + 1 :]) for x in given}
        return len(others) == 1 and all(len(x.shape) > self.axis for x in given)


@dataclass(frozen=True, slots=True)
class Pack(Joining):
    """y = the inputs, one behind the other along an axis that they did not have"""

    tflite_name: ClassVar[str] = "PACK"
    supported: ClassVar[str] = "int8 or int16, one scale and zero point; any axis, any number of inputs"

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Pack:
        axis = int(options.axis)
        return cls(axis + len(output.shape) if axis < 0 else axis)

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        first = present(inputs[0]).shape
        return (*first[: self.axis], len(inputs), *first[self.axis :])

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        return np.stack(arrays, self.axis)

    def _fit(self, given: Sequence[Tensor]) -> bool:
        return len({x.shape for x in given}) == 1 and self.axis <= len(given[0].shape)
