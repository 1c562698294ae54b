"""SPLIT, SPLIT_V and UNPACK: several outputs, so that each is read as a slice of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.operators.base import Part
from pipeline.operators.checks import constant, present
from pipeline.operators.slice import Slice
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Splitting(Slice):
    """y = the elements of x between two indices along one axis; which operand is x is left open"""

    source: ClassVar[int] = 0
    """Which operand of the file's operator is taken apart."""

    @classmethod
    @abstractmethod
    def lengths(
        cls, options: Any, inputs: Sequence[Tensor | None], parts: int
    ) -> tuple[int, tuple[int, ...], bool]:
        """The axis, how much of it each part takes, and whether the parts do without the axis."""

    @classmethod
    def read_parts(
        cls, options: Any, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor]
    ) -> tuple[Part, ...]:
        x = present(inputs[cls.source])
        axis, lengths, drops = cls.lengths(options, inputs, len(outputs))
        axis += len(x.shape) if axis < 0 else 0
        if len(lengths) != len(outputs) or sum(lengths) != x.shape[axis]:
            raise ValueError(f"parts of {list(lengths)} from an axis of {x.shape[axis]}")
        begins = accumulate(lengths, initial=0)
        return tuple(
            (cls._part(x.shape, axis, begin, length, drops), (x,))
            for begin, length in zip(begins, lengths, strict=False)
        )

    @classmethod
    def _part(cls, shape: tuple[int, ...], axis: int, begin: int, length: int, drops: bool) -> Self:
        """The slice that one output is."""
        zeros = (0,) * len(shape)
        return cls(
            begin=(*zeros[:axis], begin, *zeros[axis + 1 :]),
            size=(*shape[:axis], length, *shape[axis + 1 :]),
            step=(1,) * len(shape),
            dropped=(axis,) if drops else (),
        )


@dataclass(frozen=True, slots=True)
class Split(Splitting):
    """y_n = the nth of equal parts of x along one axis"""

    tflite_name: ClassVar[str] = "SPLIT"
    supported: ClassVar[str] = "int8, int16 or float32; a constant axis; one slice for each output"
    source: ClassVar[int] = 1

    @classmethod
    def lengths(
        cls, options: Any, inputs: Sequence[Tensor | None], parts: int
    ) -> tuple[int, tuple[int, ...], bool]:
        axis = int(constant(inputs[0]).reshape(()))
        return axis, (present(inputs[1]).shape[axis] // parts,) * parts, False


@dataclass(frozen=True, slots=True)
class SplitV(Splitting):
    """y_n = the nth of parts of x along one axis, each of its own length"""

    tflite_name: ClassVar[str] = "SPLIT_V"
    supported: ClassVar[str] = "int8, int16 or float32; constant sizes and axis; one slice for each output"

    @classmethod
    def lengths(
        cls, options: Any, inputs: Sequence[Tensor | None], parts: int
    ) -> tuple[int, tuple[int, ...], bool]:
        axis, stated = int(constant(inputs[2]).reshape(())), constant(inputs[1]).reshape(-1)
        rest = present(inputs[0]).shape[axis] - int(stated[stated >= 0].sum())
        return axis, tuple(int(size) for size in np.where(stated < 0, rest, stated)), False


@dataclass(frozen=True, slots=True)
class Unpack(Splitting):
    """y_n = the nth element of x along one axis"""

    tflite_name: ClassVar[str] = "UNPACK"
    supported: ClassVar[str] = "int8, int16 or float32; any axis; one slice for each output"

    @classmethod
    def lengths(
        cls, options: Any, inputs: Sequence[Tensor | None], parts: int
    ) -> tuple[int, tuple[int, ...], bool]:
        return int(options.axis), (1,) * parts, True
