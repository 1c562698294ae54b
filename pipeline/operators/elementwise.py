"""What operators on single elements share, of int8 and of int16."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pipeline.operators.base import Operator
from pipeline.operators.checks import elements, missing, present
from pipeline.operators.rescaling import same_shape
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Elementwise(Operator):
    """y = f(x), element by element; what f is, is left open"""

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        return cls()

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input",))
        if found:
            return found
        x = present(inputs[0])
        return [
            *elements("input", x, self.element),
            *elements("output", output, self.element),
            *same_shape(x, output),
        ]

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return present(inputs[0]).shape

    def in_place(self, inputs: Sequence[Tensor | None], output: Tensor) -> tuple[int, ...]:
        return (0,)

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int] | None:
        return (first, end) if len(output.shape) == 4 else None
