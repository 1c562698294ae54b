"""RELU_N1_TO_1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.operators.base import Activation
from pipeline.operators.relu import Clamping


@dataclass(frozen=True, slots=True)
class ReluN1To1(Clamping):
    """y = clamp(rescale(x - x_zero) + y_zero) between the integers of -1 and 1"""

    tflite_name: ClassVar[str] = "RELU_N1_TO_1"

    @property
    def activation(self) -> Activation:
        return Activation.RELU_N1_TO_1
