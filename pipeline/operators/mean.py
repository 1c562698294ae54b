"""MEAN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import numpy as np

from pipeline.arithmetic import INT8_MAX, INT8_MIN, LARGEST_ACCUMULATOR, quantize_multiplier, rescale
from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import constant, integer, missing, present, quantized, single
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Mean(Operator):
    """y = clamp(rescale(sum_n (x[n] - x_zero), 1 / n) + y_zero) over the n elements along the axes"""

    tflite_name: ClassVar[str] = "MEAN"
    kernel: ClassVar[str] = "mean"
    supported: ClassVar[str] = "int8; constant, neighbouring axes (height and width, or channels, or ...)"

    axes: tuple[int, ...]
    keep_dims: bool = False

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Mean:
        rank = len(present(inputs[0]).shape)
        if not present(inputs[1]).is_constant:
            return cls((), bool(options.keepDims))
        wanted = constant(inputs[1]).reshape(-1)
        axes = sorted({int(axis) + rank if axis < 0 else int(axis) for axis in wanted})
        return cls(tuple(axes), bool(options.keepDims))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input", "axes"))
        if found:
            return found
        x, axes = present(inputs[0]), present(inputs[1])
        if not axes.is_constant:
            return [f"its axes {axes.name} are not constant"]
        found = [*quantized("input", x), *quantized("output", output), *single("input", x)]
        if not self.axes or any(not 0 <= axis < len(x.shape) for axis in self.axes) or x.elements == 0:
            found.append(f"its axes {list(self.axes)} do not fit its input {list(x.shape)}")
        elif self._folded(x) is None:
            found.append(f"its axes {list(self.axes)} of {list(x.shape)} are no neighbours")
        elif self.output_shape(inputs) != output.shape:
            expected = list(self.output_shape(inputs))
            found.append(f"its output {output.name} has the shape {list(output.shape)}, expected {expected}")
        if not found:
            count = self._count(x)
            if (255 * count) << max(self._multiplier(x, output)[1], 0) >= LARGEST_ACCUMULATOR:
                found.append(f"its {count} elements and its scales leave 32 bits no room for rounding")
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        sizes = enumerate(present(inputs[0]).shape)
        if self.keep_dims:
            return tuple(1 if axis in self.axes else size for axis, size in sizes)
        return tuple(size for axis, size in sizes if axis not in self.axes)

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0,)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct mean`, in its order: x is taken as (outer, count, inner)."""
        x = present(inputs[0])
        outer, count, inner = self._folded(x) or (1, 1, 1)
        multiplier, shift = self._multiplier(x, output)
        return {
            "outer": outer,
            "count": count,
            "inner": inner,
            "input_zero": x.zero_point,
            "output_zero": output.zero_point,
            "multiplier": multiplier,
            "shift": shift,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        sums = arrays[0].astype(np.int64).sum(axis=self.axes, keepdims=self.keep_dims)
        sums = sums - integer(p, "input_zero") * integer(p, "count")
        y = rescale(sums, integer(p, "multiplier"), integer(p, "shift")) + integer(p, "output_zero")
        stored: np.ndarray = np.clip(y, INT8_MIN, INT8_MAX).astype(np.int8)
        return stored

    def _count(self, x: Tensor) -> int:
        return math.prod(x.shape[axis] for axis in self.axes)

    def _folded(self, x: Tensor) -> tuple[int, int, int] | None:
        """(outer, count, inner) of x, where the axes are neighbours but for axes of one element."""
        axes = [(size, axis in self.axes) for axis, size in enumerate(x.shape) if size != 1]
        groups = [
            (reduced, math.prod(size for size, _ in group))
            for reduced, group in groupby(axes, key=lambda axis: axis[1])
        ]
        reductions = [i for i, (reduced, _) in enumerate(groups) if reduced]
        if len(reductions) > 1:
            return None
        if not reductions:
            return math.prod(x.shape), 1, 1
        (at,) = reductions
        outer, inner = (math.prod(size for _, size in part) for part in (groups[:at], groups[at + 1 :]))
        return outer, groups[at][1], inner

    def _multiplier(self, x: Tensor, output: Tensor) -> tuple[int, int]:
        """The scales' multiplier divided by the count, truncated, as reference/reduce.h divides it."""
        multiplier, shift = quantize_multiplier(x.scale / output.scale)
        count = self._count(x)
        headroom = min(count.bit_length() - 1, 32, 31 + shift)
        return (multiplier << headroom) // count, shift - headroom
