"""RELU, and what its bounded kin share with it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import activation_range
from pipeline.operators.base import Activation, Parameters
from pipeline.operators.checks import present
from pipeline.operators.elementwise import Elementwise
from pipeline.operators.rescaling import (
    requantization,
    requantization_int16,
    requantized,
    requantized_int16,
    too_steep,
)
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Clamping(Elementwise):
    """y = clamp(rescale(x - x_zero) + y_zero); the scales are divided in float32 (activations.cc)"""

    kernel: ClassVar[str] = "requantize"
    supported: ClassVar[str] = "int8; any scales"

    @property
    @abstractmethod
    def activation(self) -> Activation:
        """What bounds the output."""

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(Clamping, self).problems(inputs, output)
        if found:
            return found
        x = present(inputs[0])
        return too_steep(x, output, self._factor(x, output))

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct requantize` or `struct requantize_int16`, in its order."""
        x = present(inputs[0])
        bounds = activation_range(self.activation.value, output)
        fields = requantization_int16 if self.element == "int16" else requantization
        return fields(x, output, self._factor(x, output), bounds)

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        return (requantized_int16 if self.element == "int16" else requantized)(p, arrays[0])

    @staticmethod
    def _factor(x: Tensor, output: Tensor) -> float:
        return float(np.float32(x.scale) / np.float32(output.scale))


class OfInt16:
    """What these operators are called by where they are of int16."""

    __slots__ = ()

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "requantize_int16"
    supported: ClassVar[str] = "int16; any scales"


@dataclass(frozen=True, slots=True)
class Relu(Clamping):
    """y = max(rescale(x - x_zero) + y_zero, y_zero)"""

    tflite_name: ClassVar[str] = "RELU"

    @property
    def activation(self) -> Activation:
        return Activation.RELU


@dataclass(frozen=True, slots=True)
class ReluInt16(OfInt16, Relu):
    """The same of int16"""
