"""MIRROR_PAD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.operators.checks import constant, present
from pipeline.operators.pad import RANK
from pipeline.operators.select import Select
from pipeline.tensors import Tensor

_REFLECT = 0  # the TFLite schema's MirrorPadMode


@dataclass(frozen=True, slots=True)
class MirrorPad(Select):
    """y = x, with its own mirror image around it; `reflect` leaves the element at the border out"""

    tflite_name: ClassVar[str] = "MIRROR_PAD"
    supported: ClassVar[str] = "int8 or int16; up to four axes, the batch not padded; constant paddings"

    pads: tuple[tuple[int, int], ...]
    """(before, after) of each axis of the input."""
    reflect: bool = True

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> MirrorPad:
        paddings = present(inputs[1])
        if not paddings.is_constant:
            return cls(())
        pads = tuple((int(before), int(after)) for before, after in constant(paddings).reshape(-1, 2))
        return cls(pads, int(options.mode) == _REFLECT)

    def indices(self, axis: int, size: int) -> np.ndarray:
        return np.pad(np.arange(size), self.pads[axis], mode="reflect" if self.reflect else "symmetric")

    def unfit(self, x: Tensor) -> list[str]:
        if len(self.pads) != len(x.shape) or not x.shape:
            return [f"its paddings {self.pads} do not fit its input {list(x.shape)}"]
        if len(x.shape) > RANK or (len(x.shape) == RANK and (x.shape[0] != 1 or any(self.pads[0]))):
            return [f"its input {list(x.shape)} has a batch, or more than {RANK} axes"]
        sizes = zip(x.shape, self.pads, strict=True)
        if any(min(pair) < 0 or max(pair) > size - self.reflect for size, pair in sizes):
            return [f"its paddings {self.pads} are larger than its input {list(x.shape)}"]
        return []
