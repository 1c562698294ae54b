"""REDUCE_MIN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.base import Parameters
from pipeline.operators.checks import present, same_quantization
from pipeline.operators.reduction import Reduction
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class ReduceMin(Reduction):
    """y = the smallest x[n] along the axes"""

    tflite_name: ClassVar[str] = "REDUCE_MIN"
    kernel: ClassVar[str] = "reduce_min"
    supported: ClassVar[str] = "int8, one scale and zero point; constant, neighbouring axes"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(ReduceMin, self).problems(inputs, output)
        return found or same_quantization(present(inputs[0]), output)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct reduce_min`, in its order."""
        return self.folded(present(inputs[0]))

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        y: np.ndarray = arrays[0].min(axis=self.axes, keepdims=self.keep_dims)
        return y


@dataclass(frozen=True, slots=True)
class ReduceMinInt16(ReduceMin):
    """The same of int16"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "reduce_min_int16"
    supported: ClassVar[str] = "int16, one scale; constant, neighbouring axes"
