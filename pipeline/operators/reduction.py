"""What MEAN, SUM, REDUCE_MAX and REDUCE_MIN share: some axes become one element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, Self

from pipeline.operators.base import Operator
from pipeline.operators.checks import constant, elements, missing, present, single
from pipeline.tensors import Tensor


def fold_shape(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, int, int] | None:
    """(outer, count, inner) of a shape, where the axes are neighbours but for axes of one element."""
    sizes = [(size, axis in axes) for axis, size in enumerate(shape) if size != 1]
    groups = [
        (reduced, math.prod(size for size, _ in group))
        for reduced, group in groupby(sizes, key=lambda axis: axis[1])
    ]
    reductions = [i for i, (reduced, _) in enumerate(groups) if reduced]
    if len(reductions) > 1:
        return None
    if not reductions:
        return math.prod(shape), 1, 1
    (at,) = reductions
    outer, inner = (math.prod(size for _, size in part) for part in (groups[:at], groups[at + 1 :]))
    return outer, groups[at][1], inner


@dataclass(frozen=True, slots=True)
class Reduction(Operator):
    """y = one element for all those along the axes; what becomes of them is left open"""

    supported: ClassVar[str] = "int8; constant, neighbouring axes (height and width, or channels, or ...)"

    axes: tuple[int, ...]
    keep_dims: bool = False

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
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
        found = [
            *elements("input", x, self.element),
            *elements("output", output, self.element),
            *single("input", x),
        ]
        if not self.axes or any(not 0 <= axis < len(x.shape) for axis in self.axes) or x.elements == 0:
            found.append(f"its axes {list(self.axes)} do not fit its input {list(x.shape)}")
        elif fold_shape(x.shape, self.axes) is None:
            found.append(f"its axes {list(self.axes)} of {list(x.shape)} are no neighbours")
        elif self.output_shape(inputs) != output.shape:
            expected = list(self.output_shape(inputs))
            found.append(f"its output {output.name} has the shape {list(output.shape)}, expected {expected}")
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        sizes = enumerate(present(inputs[0]).shape)
        if self.keep_dims:
            return tuple(1 if axis in self.axes else size for axis, size in sizes)
        return tuple(size for axis, size in sizes if axis not in self.axes)

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0,)

    def folded(self, x: Tensor) -> dict[str, int]:
        """The first fields of the kernel's struct: x as (outer, count, inner)."""
        outer, count, inner = fold_shape(x.shape, self.axes) or (1, 1, 1)
        return {"outer": outer, "count": count, "inner": inner}

    def count(self, x: Tensor) -> int:
        """How many elements become one."""
        return math.prod(x.shape[axis] for axis in self.axes)
