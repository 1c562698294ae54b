"""MEAN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import LARGEST_ACCUMULATOR, quantize_multiplier, rescale
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer, present
from pipeline.operators.reduction import Reduction
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Mean(Reduction):
    """y = clamp(rescale(sum_n (x[n] - x_zero), 1 / n) + y_zero) over the n elements along the axes"""

    tflite_name: ClassVar[str] = "MEAN"
    kernel: ClassVar[str] = "mean"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(Mean, self).problems(inputs, output)
        if not found:
            x = present(inputs[0])
            count = self.count(x)
            reach = int(np.iinfo(self.element).max) * 2 + 1
            if (reach * count) << max(self._multiplier(x, output)[1], 0) >= LARGEST_ACCUMULATOR:
                found.append(f"its {count} elements and its scales leave 32 bits no room for rounding")
        return found

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct mean`, in its order."""
        x = present(inputs[0])
        multiplier, shift = self._multiplier(x, output)
        return {
            **self.folded(x),
            "input_zero": x.zero_point,
            "output_zero": output.zero_point,
            "multiplier": multiplier,
            "shift": shift,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        sums = arrays[0].astype(np.int64).sum(axis=self.axes, keepdims=self.keep_dims)
        sums = sums - integer(p, "input_zero") * integer(p, "count")
        y = rescale(sums, integer(p, "multiplier"), integer(p, "shift")) + integer(p, "output_zero")
        bounds = np.iinfo(self.element)
        stored: np.ndarray = np.clip(y, bounds.min, bounds.max).astype(self.element)
        return stored

    def _multiplier(self, x: Tensor, output: Tensor) -> tuple[int, int]:
        """The scales' multiplier divided by the count, truncated, as reference/reduce.h divides it."""
        multiplier, shift = quantize_multiplier(x.scale / output.scale)
        count = self.count(x)
        headroom = min(count.bit_length() - 1, 32, 31 + shift)
        return (multiplier << headroom) // count, shift - headroom


@dataclass(frozen=True, slots=True)
class MeanInt16(Mean):
    """The same of int16"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "mean_int16"
    supported: ClassVar[str] = "int16; constant, neighbouring axes (height and width, or channels, or ...)"
