"""What ADD, MUL, MAXIMUM and MINIMUM share: two operands, one perhaps repeated along some axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

import numpy as np

from pipeline.operators.base import Activation, Operator, Parameters
from pipeline.operators.checks import (
    elements,
    integer,
    known_activation,
    missing,
    present,
    read_activation,
    single,
)
from pipeline.tensors import Tensor

LOOPS = ("outer", "middle", "inner")


@dataclass(frozen=True, slots=True)
class Binary(Operator):
    """An operator on two tensors, element by element; what it does to a pair is left open."""

    activation: Activation = Activation.NONE

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        return cls(read_activation(options))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("first operand", "second operand"))
        if not found and len(inputs) > 2:
            found = [f"it has {len(inputs)} operands, expected 2"]
        if found:
            return found
        a, b = present(inputs[0]), present(inputs[1])
        found = [
            *elements("first operand", a, self.element),
            *elements("second operand", b, self.element),
            *elements("output", output, self.element),
            *single("output", output),
            *known_activation(self.activation),
        ]
        try:
            shape = np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            return [*found, f"its operands {list(a.shape)} and {list(b.shape)} cannot be broadcast"]
        if shape != output.shape:
            found.append(
                f"its output {output.name} has the shape {list(output.shape)}, expected {list(shape)}"
            )
        elif len(loops(a.shape, b.shape)) > len(LOOPS):
            found.append(
                f"its operands {list(a.shape)} and {list(b.shape)} are repeated by turns along their axes, "
                "which needs more than three nested loops; reshape them so that fewer axes alternate"
            )
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return tuple(np.broadcast_shapes(present(inputs[0]).shape, present(inputs[1]).shape))

    def in_place(self, inputs: Sequence[Tensor | None], output: Tensor) -> tuple[int, ...]:
        return tuple(
            i
            for i, x in enumerate(inputs)
            if x is not None and not x.is_constant and x.elements == output.elements
        )

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int] | None:
        """Of the activations that have one row, it is that; constants are there as a whole."""
        maps = [x.shape for x in inputs if x is not None and not x.is_constant]
        ranks = {len(output.shape), *map(len, maps)}
        tall = any(shape[1] == output.shape[1] for shape in maps) if ranks == {4} else False
        return (first, end) if tall else None

    def walk(self, inputs: Sequence[Tensor | None]) -> dict[str, int]:
        """The first nine fields of the kernel's struct: three loops, and both operands' steps in them."""
        a, b = present(inputs[0]).shape, present(inputs[1]).shape
        found = loops(a, b)
        found = [(1, 0, 0)] * (len(LOOPS) - len(found)) + found
        fields: dict[str, int] = {}
        for prefix, column in (("", 0), ("a_", 1), ("b_", 2)):
            fields |= {f"{prefix}{name}": loop[column] for name, loop in zip(LOOPS, found, strict=True)}
        return fields

    @staticmethod
    def pairs(*arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both operands, int64, in the output's shape."""
        a, b = np.broadcast_arrays(*arrays)
        return a.astype(np.int64), b.astype(np.int64)

    def clamped(self, p: Parameters, y: np.ndarray) -> np.ndarray:
        """The output of int64 results."""
        stored: np.ndarray = np.clip(y, integer(p, "minimum"), integer(p, "maximum")).astype(self.element)
        return stored


def loops(a: tuple[int, ...], b: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(count, step in a, step in b) of the fewest nested loops that walk the output, outermost first."""
    shape = np.broadcast_shapes(a, b)
    a, b = ((1,) * (len(shape) - len(each)) + each for each in (a, b))
    # Neighbouring axes along which the same operands move are one loop; axes of one element are none.
    axes = [(size, x != 1, y != 1) for size, x, y in zip(shape, a, b, strict=True) if size != 1]
    merged = [
        (int(np.prod([size for size, _, _ in axes])), *moves)
        for moves, group in groupby(axes, key=lambda axis: axis[1:])
        for axes in [list(group)]
    ]
    found: list[tuple[int, int, int]] = []
    steps = [1, 1]
    for count, a_moves, b_moves in reversed(merged):
        found.insert(0, (count, steps[0] if a_moves else 0, steps[1] if b_moves else 0))
        steps = [
            step * count if moves else step for step, moves in zip(steps, (a_moves, b_moves), strict=True)
        ]
    return found or [(1, 0, 0)]
