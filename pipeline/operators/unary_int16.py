"""What operators on single int16 share: 65,536 values are too many for a table, so each has arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pipeline.operators.base import Operator
from pipeline.operators.checks import elements, missing, present
from pipeline.operators.rescaling import same_shape
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class UnaryInt16(Operator):
    """y = f(x); what f is, is left open"""

    element: ClassVar[str] = "int16"

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        return cls()

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input",))
        if found:
            return found
        x = present(inputs[0])
        return [
            *elements("input", x, "int16"),
            *elements("output", output, "int16"),
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
