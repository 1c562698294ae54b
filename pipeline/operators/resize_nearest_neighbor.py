"""RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.operators.resize import read_size, size_problems
from pipeline.operators.select import Select
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighbor(Select):
    """y[i, j] = x[nearest row, nearest column], found in float32 (resize_nearest_neighbor.h)"""

    tflite_name: ClassVar[str] = "RESIZE_NEAREST_NEIGHBOR"
    supported: ClassVar[str] = "int8 or int16; a constant size; align_corners, half_pixel_centers"

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> ResizeNearestNeighbor:
        return cls(read_size(inputs), bool(options.alignCorners), bool(options.halfPixelCenters))

    def unfit(self, x: Tensor) -> list[str]:
        return size_problems(x, self.size)

    def indices(self, axis: int, size: int) -> np.ndarray:
        if axis not in {1, 2}:
            return np.arange(size)
        wanted = self.size[axis - 1]
        if self.align_corners and wanted > 1:
            scale = np.float32(size - 1) / np.float32(wanted - 1)
        else:
            scale = np.float32(size) / np.float32(wanted)
        offset = np.float32(0.5 if self.half_pixel_centers else 0.0)
        places = (np.arange(wanted, dtype=np.float32) + offset) * scale
        if self.align_corners:
            whole = np.trunc(places)
            places = whole + (places - whole >= np.float32(0.5))
        found: np.ndarray = np.minimum(np.floor(places).astype(np.int64), size - 1)
        return found
