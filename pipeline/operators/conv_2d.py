"""CONV_2D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.operators import convolution, windows
from pipeline.operators.base import Activation, Operator, Parameters
from pipeline.operators.checks import (
    accumulates,
    constant,
    constant_bias,
    integer,
    known_activation,
    missing,
    optional_bias,
    present,
    quantized,
    ranked,
    read_activation,
    single,
    symmetric_weights,
)
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Conv2D(Operator):
    """y[o] = clamp(rescale(sum_yxi w[o, y, x, i] * (x[y, x, i] - x_zero) + b[o]) + y_zero)

    `floor` and `ceiling` clamp channel by channel, in this order, after the activation; `pool` then
    keeps the maximum of each window (stride = window, rows and columns that fill none are dropped).
    """

    tflite_name: ClassVar[str] = "CONV_2D"
    kernel: ClassVar[str] = "conv_2d"
    supported: ClassVar[str] = (
        "int8; weights constant, int8 or int4, per channel or per tensor; bias optional; "
        "any stride, dilation, padding; groups as one, with weights of zero between them"
    )

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: windows.Pads = ((0, 0), (0, 0))
    activation: Activation = Activation.NONE
    floor: tuple[int, ...] | None = None
    ceiling: tuple[int, ...] | None = None
    pool: tuple[int, int] | None = None

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Conv2D:
        x, w = present(inputs[0]), present(inputs[1])
        stride = (int(options.strideH), int(options.strideW))
        dilation = (int(options.dilationHFactor), int(options.dilationWFactor))
        size, window = (x.shape[1], x.shape[2]), (w.shape[1], w.shape[2])
        pads = windows.read_pads(options, size, window, stride, dilation)
        return cls(stride, dilation, pads, read_activation(options))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input", "weights"))
        if found:
            return found
        x, w = present(inputs[0]), present(inputs[1])
        found = [
            *quantized("input", x),
            *quantized("output", output),
            *ranked("input", x, 4),
            *ranked("weights", w, 4),
            *single("input", x),
            *known_activation(self.activation),
        ]
        if found:
            return found
        if w.shape[3] != x.shape[3]:
            return [f"its input has {x.shape[3]} channels, its weights {w.shape[3]}"]
        bias = optional_bias(inputs)
        found = [*symmetric_weights(w, w.shape[0], 0), *constant_bias(bias, w.shape[0])]
        if not found:
            found += convolution.shape_problems(self, x, convolution.taps(inputs), w.shape[0], output)
        if not found:
            shifts = convolution.multipliers(x, w, output)[1]
            found += accumulates(x, constant(w).reshape(w.shape[0], -1), bias, shifts)
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        channels = present(inputs[1]).shape[0]
        return convolution.pooled_shape(self, present(inputs[0]), convolution.taps(inputs), channels)

    def macs(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        height, width = convolution.unpooled_size(self, present(inputs[0]), convolution.taps(inputs))
        return height * width * present(inputs[1]).elements

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int]:
        height, _ = convolution.taps(inputs)
        return convolution.rows_read(self, present(inputs[0]), height, first, end)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct conv_2d`, in its order."""
        x, w = present(inputs[0]), present(inputs[1])
        return {
            **convolution.geometry(self, x, convolution.taps(inputs), output),
            **convolution.requantization(self, x, w, optional_bias(inputs), output),
        }

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0, 1)

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x, w = arrays
        patches = convolution.input_patches(p, x)
        flat = patches.reshape(*patches.shape[:2], -1)
        sums = (flat @ w.reshape(integer(p, "output_channels"), -1).T.astype(np.float64)).astype(np.int64)
        return convolution.store(p, sums)
