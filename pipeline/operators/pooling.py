"""What MAX_POOL_2D and AVERAGE_POOL_2D share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pipeline.arithmetic import activation_range
from pipeline.operators import windows
from pipeline.operators.base import Activation, Operator, Parameters
from pipeline.operators.checks import (
    elements,
    integer,
    known_activation,
    missing,
    present,
    ranked,
    read_activation,
    same_quantization,
    single,
)
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Pooling(Operator):
    """A window that slides over height and width, channel by channel; what it does is left open."""

    window: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    pads: windows.Pads = ((0, 0), (0, 0))
    activation: Activation = Activation.NONE

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        x = present(inputs[0])
        window = (int(options.filterHeight), int(options.filterWidth))
        stride = (int(options.strideH), int(options.strideW))
        pads = windows.read_pads(options, (x.shape[1], x.shape[2]), window, stride)
        return cls(window, stride, pads, read_activation(options))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input",))
        if found:
            return found
        x = present(inputs[0])
        found = [
            *elements("input", x, self.element),
            *elements("output", output, self.element),
            *ranked("input", x, 4),
            *single("input", x),
            *known_activation(self.activation),
            *same_quantization(x, output),
        ]
        if found:
            return found
        found = windows.problems((x.shape[1], x.shape[2]), self.window, self.stride, self.pads)
        if not found and self.output_shape(inputs) != output.shape:
            expected = list(self.output_shape(inputs))
            return [f"its output {output.name} has the shape {list(output.shape)}, expected {expected}"]
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        _, height, width, channels = present(inputs[0]).shape
        return (1, *windows.output_size((height, width), self.window, self.stride, self.pads), channels)

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int]:
        height = present(inputs[0]).shape[1]
        return windows.rows_beneath(first, end, height, self.window[0], self.stride[0], self.pads[0][0])

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of the kernel's struct, in its order."""
        x = present(inputs[0])
        minimum, maximum = activation_range(self.activation.value, output)
        return {
            "input_height": x.shape[1],
            "input_width": x.shape[2],
            "channels": x.shape[3],
            "output_height": output.shape[1],
            "output_width": output.shape[2],
            "window_height": self.window[0],
            "window_width": self.window[1],
            "stride_y": self.stride[0],
            "stride_x": self.stride[1],
            "pad_top": self.pads[0][0],
            "pad_left": self.pads[1][0],
            "minimum": minimum,
            "maximum": maximum,
        }

    def beneath(self, x: np.ndarray, fill: int) -> np.ndarray:
        """What lies beneath each window, int64 (height, width, window height, window width, channels)."""
        return windows.patches(x.astype(np.int64), fill, self.window, self.stride, self.pads)

    def clamped(self, p: Parameters, y: np.ndarray) -> np.ndarray:
        """The output of int64 results (height, width, channels)."""
        stored: np.ndarray = np.clip(y, integer(p, "minimum"), integer(p, "maximum")).astype(self.element)
        return stored[np.newaxis]
