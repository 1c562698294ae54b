"""What TRANSPOSE, SLICE and their kin share: each output axis walks the input at a step of its own."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import alike, array, integer, missing, present
from pipeline.tensors import Tensor

LOOPS = 7
"""Six axes, and the bytes of an element."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Nested loops over an output, outermost first: how often, and by how many input elements each."""

    start: int
    counts: tuple[int, ...]
    steps: tuple[int, ...]

    def of_bytes(self, size: int) -> Walk:
        """The same over the bytes of elements of this size."""
        return Walk(self.start * size, (*self.counts, size), (*(step * size for step in self.steps), 1))

    def merged(self) -> Walk:
        """The same in as few loops as possible, at least one."""
        loops: list[tuple[int, int]] = []
        for count, step in zip(self.counts, self.steps, strict=True):
            if count == 1:
                continue
            if loops and loops[-1][1] == count * step:
                loops[-1] = (loops[-1][0] * count, step)
            else:
                loops.append((count, step))
        counts, steps = zip(*loops, strict=True) if loops else ((1,), (1,))
        return Walk(self.start, counts, steps)


def movable(x: Tensor, output: Tensor) -> list[str]:
    """Both are float32, or int8 or int16 of one scale and zero point: what moves keeps its meaning."""
    return [] if x.dtype == output.dtype == "float32" else alike(x, output)


def steps_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Elements from one index to the next along each axis of an array that lies in one piece."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


@dataclass(frozen=True, slots=True)
class StridedCopy(Operator):
    """y = elements of x; which ones is left open

    Their type does not matter to a copy: the kernel's loops count bytes, an element's own among them.
    """

    kernel: ClassVar[str] = "strided_copy"

    @abstractmethod
    def walk(self, shape: tuple[int, ...]) -> Walk:
        """How an input of this shape is walked. Raises ValueError where that is impossible."""

    @abstractmethod
    def shape(self, walk: Walk, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The output's shape, of an input of this one."""

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input",))
        if found:
            return found
        x = present(inputs[0])
        found = movable(x, output)
        computed = [each.name for each in inputs[1:] if each is not None and not each.is_constant]
        if computed:
            return [*found, f"its operand {computed[0]} is not constant"]
        try:
            walk = self.walk(x.shape)
            shape = self.shape(walk, x.shape)
        except (ValueError, IndexError) as error:
            return [*found, str(error)]
        if 0 in shape or x.elements == 0:
            found.append(f"its output {list(shape)} is empty")
        elif shape != output.shape:
            found.append(
                f"its output {output.name} has the shape {list(output.shape)}, expected {list(shape)}"
            )
        elif len(walk.of_bytes(x.nbytes // x.elements).merged().counts) > LOOPS:
            found.append(f"its input {list(x.shape)} needs more than {LOOPS} nested loops")
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        shape = present(inputs[0]).shape
        return self.shape(self.walk(shape), shape)

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0,)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct strided_copy`, in its order."""
        x = present(inputs[0])
        walk = self.walk(x.shape).of_bytes(x.nbytes // x.elements).merged()
        return {
            "loops": len(walk.counts),
            "start": walk.start,
            "counts": np.array(walk.counts, np.int32),
            "steps": np.array(walk.steps, np.int32),
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x = np.ascontiguousarray(arrays[0])
        held = x.reshape(-1).view(np.uint8)
        counts, steps = array(p, "counts").tolist(), array(p, "steps").tolist()
        indices = np.full((), integer(p, "start"))
        for count, step in zip(counts, steps, strict=True):
            indices = indices[..., np.newaxis] + np.arange(count) * step
        found: np.ndarray = held[indices].reshape(-1).view(x.dtype)
        return found.reshape(self.shape(self.walk(x.shape), x.shape))
