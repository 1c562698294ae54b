"""TRANSPOSE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.operators.checks import constant, present
from pipeline.operators.strided_copy import StridedCopy, Walk, steps_of
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Transpose(StridedCopy):
    """y[i_p0, i_p1 ...] = x[i_0, i_1 ...] where p is the permutation"""

    tflite_name: ClassVar[str] = "TRANSPOSE"
    supported: ClassVar[str] = "int8, int16 or float32; a constant permutation of up to six axes"

    permutation: tuple[int, ...]

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Transpose:
        given = present(inputs[1])
        rank = len(present(inputs[0]).shape)
        axes = constant(given).reshape(-1).tolist() if given.is_constant else ()
        return cls(tuple(int(axis) % max(rank, 1) for axis in axes))

    def walk(self, shape: tuple[int, ...]) -> Walk:
        if sorted(self.permutation) != list(range(len(shape))):
            raise ValueError(f"its permutation {list(self.permutation)} does not fit {list(shape)}")
        steps = steps_of(shape)
        return Walk(
            0,
            tuple(shape[axis] for axis in self.permutation),
            tuple(steps[axis] for axis in self.permutation),
        )

    def shape(self, walk: Walk, shape: tuple[int, ...]) -> tuple[int, ...]:
        return walk.counts
