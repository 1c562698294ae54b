"""RESIZE_BILINEAR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import alike, array, integer, missing, present
from pipeline.operators.resize import read_size, size_problems
from pipeline.operators.select import LONGEST_AXIS
from pipeline.tensors import Tensor

ONE = 1 << 10
"""Places between two pixels are counted in units of 1/1024."""


@dataclass(frozen=True, slots=True)
class ResizeBilinear(Operator):
    """y[i, j] = sum of the four neighbours in x, each times its nearness down and across

    In integers of ten fractional bits (resize_bilinear.h); ties away from the integer 0.
    """

    tflite_name: ClassVar[str] = "RESIZE_BILINEAR"
    kernel: ClassVar[str] = "resize_bilinear"
    supported: ClassVar[str] = (
        "int8, one scale and zero point; a constant size; align_corners, half_pixel_centers"
    )

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> ResizeBilinear:
        return cls(read_size(inputs), bool(options.alignCorners), bool(options.halfPixelCenters))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input", "size"))
        if found:
            return found
        x, size = present(inputs[0]), present(inputs[1])
        found = alike(x, output)
        if not size.is_constant:
            return [*found, f"its size {size.name} is not constant"]
        found += size_problems(x, self.size)
        if found:
            return found
        if output.shape != self.output_shape(inputs):
            expected = list(self.output_shape(inputs))
            found.append(f"its output {output.name} has the shape {list(output.shape)}, expected {expected}")
        if max(*x.shape[1:3], *self.size) >= LONGEST_AXIS:
            found.append(f"its output {list(output.shape)} has an axis of {LONGEST_AXIS} elements or more")
        elif any(self._between(axis, x.shape[axis])[0].max() >= x.shape[axis] for axis in (1, 2)):
            found.append(f"the last pixels of its size {list(self.size)} would lie outside of its input")
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        shape = present(inputs[0]).shape
        return (shape[0], *self.size, shape[3])

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0,)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct resize_bilinear`, in its order."""
        _, height, width, channels = present(inputs[0]).shape
        upper, lower, down = (each.astype(np.int16) for each in self._between(1, height))
        left, right, across = (each.astype(np.int16) for each in self._between(2, width))
        return {
            "height": self.size[0],
            "width": self.size[1],
            "channels": channels,
            "row_pitch": width * channels,
            "upper": upper,
            "lower": lower,
            "down": down,
            "left": left,
            "right": right,
            "across": across,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x = arrays[0][0].astype(np.int64)
        across = array(p, "across").astype(np.int64)[np.newaxis, :, np.newaxis]
        down = array(p, "down").astype(np.int64)[:, np.newaxis, np.newaxis]
        above, below = (
            x[array(p, row)][:, array(p, "left")] * (ONE - across)
            + x[array(p, row)][:, array(p, "right")] * across
            for row in ("upper", "lower")
        )
        total = above * (ONE - down) + below * down
        y = np.sign(total) * ((np.abs(total) + ONE * ONE // 2) // (ONE * ONE))
        assert y.shape[0] == integer(p, "height")
        stored: np.ndarray = y.astype(self.element)[np.newaxis]
        return stored

    def _between(self, axis: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Between which two indices each output lies along an axis, and how far from the first, in 1/1024."""
        wanted = self.size[axis - 1]
        if self.align_corners and wanted > 1:
            step = (ONE * (size - 1) + (wanted - 1) // 2) // (wanted - 1)
        else:
            step = (ONE * size + wanted // 2) // wanted
        places = np.arange(wanted, dtype=np.int64) * step
        if self.half_pixel_centers:
            places += step // 2 - ONE // 2
        # C's division rounds toward zero, so that a place before the first pixel belongs to it.
        first = np.maximum(_toward_zero(places), 0)
        second = np.minimum(_toward_zero(places + ONE - 1), size - 1)
        return first, second, places - ONE * first


def _toward_zero(places: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.sign(places) * (np.abs(places) // ONE)
    return found


@dataclass(frozen=True, slots=True)
class ResizeBilinearInt16(ResizeBilinear):
    """The same of int16: sums take more than 32 bits"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "resize_bilinear_int16"
    supported: ClassVar[str] = "int16, one scale; a constant size; align_corners, half_pixel_centers"
