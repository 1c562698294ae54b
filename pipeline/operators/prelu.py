"""PRELU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.arithmetic import INT8_MAX, INT8_MIN, LARGEST_ACCUMULATOR, quantize_multiplier, rescale
from pipeline.operators.base import Parameters
from pipeline.operators.binary import Binary
from pipeline.operators.checks import integer, present
from pipeline.operators.rescaling import too_steep
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Prelu(Binary):
    """y = rescale(x - x_zero) + y_zero where x >= x_zero, else rescale((x - x_zero) * (a - a_zero)) + y_zero

    The scales are multiplied and divided in float32 (activations.cc).
    """

    tflite_name: ClassVar[str] = "PRELU"
    kernel: ClassVar[str] = "prelu"
    supported: ClassVar[str] = "int8; alpha of the input's shape, or broadcast to it"

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Prelu:
        return cls()

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(Prelu, self).problems(inputs, output)
        if found:
            return found
        x, alpha = present(inputs[0]), present(inputs[1])
        if x.shape != output.shape:
            return [f"its alpha {list(alpha.shape)} is larger than its input {list(x.shape)}"]
        above, below = self._factors(inputs, output)
        if 255**2 << max(quantize_multiplier(below)[1], 0) >= LARGEST_ACCUMULATOR:
            return [f"its output's scale {output.scale:g} is too small for its alpha"]
        return too_steep(x, output, above)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct prelu`, in its order."""
        (above_multiplier, above_shift), (below_multiplier, below_shift) = map(
            quantize_multiplier, self._factors(inputs, output)
        )
        return {
            **self.walk(inputs),
            "a_zero": present(inputs[0]).zero_point,
            "b_zero": present(inputs[1]).zero_point,
            "output_zero": output.zero_point,
            "above_multiplier": above_multiplier,
            "above_shift": above_shift,
            "below_multiplier": below_multiplier,
            "below_shift": below_shift,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x, alpha = self.pairs(*arrays)
        x, alpha = x - integer(p, "a_zero"), alpha - integer(p, "b_zero")
        above = rescale(x, integer(p, "above_multiplier"), integer(p, "above_shift"))
        below = rescale(x * alpha, integer(p, "below_multiplier"), integer(p, "below_shift"))
        y = np.where(x >= 0, above, below) + integer(p, "output_zero")
        stored: np.ndarray = np.clip(y, INT8_MIN, INT8_MAX).astype(np.int8)
        return stored

    @staticmethod
    def _factors(inputs: Sequence[Tensor | None], output: Tensor) -> tuple[float, float]:
        """What an input is multiplied by above zero, and its product with alpha below."""
        x, alpha = (np.float32(present(each).scale) for each in inputs[:2])
        y = np.float32(output.scale)
        return float(x / y), float(x * alpha / y)
