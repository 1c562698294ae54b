"""SLICE and STRIDED_SLICE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pipeline.operators.checks import constant, present
from pipeline.operators.strided_copy import StridedCopy, Walk, steps_of
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Slice(StridedCopy):
    """y[i] = x[begin + step * i], axis by axis; axes that are dropped have one element"""

    tflite_name: ClassVar[str] = "SLICE"
    supported: ClassVar[str] = "int8, int16 or float32; constant begin and size"

    begin: tuple[int, ...]
    size: tuple[int, ...]
    step: tuple[int, ...]
    dropped: tuple[int, ...] = ()

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        shape = present(inputs[0]).shape
        begin, size = _integers(inputs[1]), _integers(inputs[2])
        size = tuple(
            length - first if count == -1 else count
            for count, first, length in zip(size, begin, shape, strict=False)
        )
        return cls(begin, size, (1,) * len(begin))

    def walk(self, shape: tuple[int, ...]) -> Walk:
        if not len(self.begin) == len(self.size) == len(self.step) == len(shape):
            raise ValueError(f"its slice {list(self.begin)} does not fit {list(shape)}")
        for first, count, step, length in zip(self.begin, self.size, self.step, shape, strict=True):
            last = first + (count - 1) * step
            if count > 0 and not (0 <= first < length and 0 <= last < length):
                raise ValueError(f"its slice from {first} to {last} leaves an axis of {length}")
        steps = steps_of(shape)
        start = sum(first * step for first, step in zip(self.begin, steps, strict=True))
        return Walk(start, self.size, tuple(a * b for a, b in zip(self.step, steps, strict=True)))

    def shape(self, walk: Walk, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(max(count, 0) for axis, count in enumerate(walk.counts) if axis not in self.dropped)


@dataclass(frozen=True, slots=True)
class StridedSlice(Slice):
    """y[i] = x[begin + step * i], axis by axis; the masks of the file are resolved when it is read"""

    tflite_name: ClassVar[str] = "STRIDED_SLICE"
    supported: ClassVar[str] = (
        "int8, int16 or float32; constant begin, end, strides; no ellipsis, no new axes"
    )

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        if options.ellipsisMask or options.newAxisMask:
            raise ValueError("an ellipsis or new axes in a STRIDED_SLICE")
        shape = present(inputs[0]).shape
        begin, end, stride = (_integers(each) for each in inputs[1:4])
        selections = [
            _selected(axis, length, begin, end, stride, options) for axis, length in enumerate(shape)
        ]
        shrunk = tuple(axis for axis in range(len(begin)) if options.shrinkAxisMask >> axis & 1)
        return cls(
            tuple(chosen.start for chosen in selections),
            tuple(len(chosen) for chosen in selections),
            tuple(chosen.step for chosen in selections),
            shrunk,
        )


def _selected(
    axis: int,
    length: int,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int],
    options: Any,
) -> range:
    """The indices that a STRIDED_SLICE keeps of one axis, all of an axis that it does not speak of."""
    if axis >= len(begin):
        return range(length)
    if options.shrinkAxisMask >> axis & 1:
        first = begin[axis] % length
        return range(first, first + 1)
    start = None if options.beginMask >> axis & 1 else begin[axis]
    behind = None if options.endMask >> axis & 1 else end[axis]
    if behind is not None and getattr(options, "offset", False):
        behind += begin[axis]
    return range(*slice(start, behind, stride[axis]).indices(length))


def _integers(tensor: Tensor | None) -> tuple[int, ...]:
    """The values of a constant operand; none where it is computed, which `problems` reports."""
    given = present(tensor)
    return tuple(int(value) for value in constant(given).reshape(-1)) if given.is_constant else ()
