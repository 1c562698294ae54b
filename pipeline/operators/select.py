"""What RESIZE_NEAREST_NEIGHBOR and MIRROR_PAD share: rows, columns and channels are picked by tables."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import alike, array, missing, present
from pipeline.tensors import Tensor

LONGEST_AXIS = 2**15


@dataclass(frozen=True, slots=True)
class Select(Operator):
    """y[i, j, c] = x[rows[i], columns[j], sources[c]]; what the tables hold is left open

    The kernel moves bytes, of which an int16 has two.
    """

    kernel: ClassVar[str] = "select"

    @abstractmethod
    def indices(self, axis: int, size: int) -> np.ndarray:
        """Which of `size` elements each element of the output comes from, along one axis of the input."""

    @abstractmethod
    def unfit(self, x: Tensor) -> list[str]:
        """Why the attributes do not fit the input."""

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input", "second operand"))
        if found:
            return found
        x, second = present(inputs[0]), present(inputs[1])
        found = alike(x, output)
        if not second.is_constant:
            return [*found, f"its operand {second.name} is not constant"]
        found += self.unfit(x)
        if found:
            return found
        shape = self.output_shape(inputs)
        if shape != output.shape:
            found.append(
                f"its output {output.name} has the shape {list(output.shape)}, expected {list(shape)}"
            )
        if max((*shape, *x.shape), default=0) * np.dtype(x.dtype).itemsize >= LONGEST_AXIS:
            found.append(f"its output {list(shape)} has an axis of {LONGEST_AXIS} bytes or more")
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return tuple(len(each) for each in self._tables(present(inputs[0]).shape))

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0,)

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int] | None:
        shape = present(inputs[0]).shape
        if len(shape) != 4:
            return None
        rows = self.indices(1, shape[1])[first:end]
        return int(rows.min()), int(rows.max()) + 1

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct select`, in its order."""
        x = present(inputs[0])
        shape, size = x.shape, np.dtype(x.dtype).itemsize
        tables = [each.astype(np.int16) for each in self._tables(shape)]
        rows, columns, sources = [np.zeros(1, np.int16)] * (3 - len(tables[-3:])) + tables[-3:]
        width, channels = ((1, 1, *shape))[-2:]
        sources = (sources[:, np.newaxis] * size + np.arange(size)).reshape(-1).astype(np.int16)
        channels *= size
        return {
            "height": len(rows),
            "width": len(columns),
            "channels": len(sources),
            "row_pitch": width * channels,
            "pixel_pitch": channels,
            "rows": rows,
            "columns": columns,
            "sources": None if np.array_equal(sources, np.arange(channels)) else sources,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x = arrays[0]
        flat = np.ascontiguousarray(x).reshape(-1, *(1, 1, *x.shape)[-2:]).view(np.int8)
        sources = np.arange(flat.shape[-1]) if p["sources"] is None else array(p, "sources")
        picked: np.ndarray = flat[np.ix_(array(p, "rows"), array(p, "columns"), sources)]
        picked = np.ascontiguousarray(picked).view(x.dtype)
        return picked.reshape(tuple(len(each) for each in self._tables(x.shape)))

    def _tables(self, shape: tuple[int, ...]) -> list[np.ndarray]:
        return [self.indices(axis, size) for axis, size in enumerate(shape)]
