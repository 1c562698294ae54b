"""DEPTH_TO_SPACE and SPACE_TO_DEPTH."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pipeline.operators.strided_copy import StridedCopy, Walk
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class DepthToSpace(StridedCopy):
    """y[h * b + i, w * b + j, c] = x[h, w, (i * b + j) * channels + c] where b is the block"""

    tflite_name: ClassVar[str] = "DEPTH_TO_SPACE"
    supported: ClassVar[str] = "int8 or float32; any block"

    block: int

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        return cls(int(options.blockSize))

    def walk(self, shape: tuple[int, ...]) -> Walk:
        if len(shape) != 4 or shape[0] != 1 or self.block < 1 or shape[3] % self.block**2:
            raise ValueError(f"its block of {self.block} does not fit {list(shape)}")
        _, height, width, depth = shape
        channels = depth // self.block**2
        return Walk(
            0,
            (height, self.block, width, self.block, channels),
            (width * depth, self.block * channels, depth, channels, 1),
        )

    def shape(self, walk: Walk, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, shape[1] * self.block, shape[2] * self.block, shape[3] // self.block**2)


@dataclass(frozen=True, slots=True)
class SpaceToDepth(DepthToSpace):
    """y[h, w, (i * b + j) * channels + c] = x[h * b + i, w * b + j, c] where b is the block"""

    tflite_name: ClassVar[str] = "SPACE_TO_DEPTH"

    def walk(self, shape: tuple[int, ...]) -> Walk:
        block = self.block
        if len(shape) != 4 or shape[0] != 1 or block < 1 or shape[1] % block or shape[2] % block:
            raise ValueError(f"its block of {block} does not fit {list(shape)}")
        _, height, width, channels = shape
        return Walk(
            0,
            (height // block, width // block, block, block, channels),
            (block * width * channels, block * channels, width * channels, channels, 1),
        )

    def shape(self, walk: Walk, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, shape[1] // self.block, shape[2] // self.block, shape[3] * self.block**2)
