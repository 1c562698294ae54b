"""EXP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.unary import Unary, through_float
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Exp(Unary):
    """y = exp(x)"""

    tflite_name: ClassVar[str] = "EXP"

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        return through_float(x, output, np.exp)
