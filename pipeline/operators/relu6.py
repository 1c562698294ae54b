"""RELU6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.operators.base import Activation
from pipeline.operators.relu import Clamping, OfInt16


@dataclass(frozen=True, slots=True)
class Relu6(Clamping):
    """y = clamp(rescale(x - x_zero) + y_zero) between the integers of 0 and 6"""

    tflite_name: ClassVar[str] = "RELU6"

    @property
    def activation(self) -> Activation:
        return Activation.RELU6


@dataclass(frozen=True, slots=True)
class Relu6Int16(OfInt16, Relu6):
    """The same of int16"""
