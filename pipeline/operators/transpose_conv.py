"""TRANSPOSE_CONV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.arithmetic import activation_range, reduced_multipliers, rescale, rescale_sum
from pipeline.operators import convolution, windows
from pipeline.operators.base import Activation, Operator, Parameters
from pipeline.operators.checks import (
    BIAS_TYPES,
    accumulates,
    accumulates_int16,
    array,
    constant,
    constant_bias,
    elements,
    integer,
    known_activation,
    missing,
    present,
    ranked,
    read_activation,
    single,
    symmetric_weights,
)
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class TransposeConv(Operator):
    """y[s*i + k - pad, o] = clamp(rescale(sum_ic w[o, k, c] * (x[i, c] - x_zero) + b[o]) + y_zero)

    Each pixel of x spreads over a window of y; `pads` are what is left out of the full result.
    """

    tflite_name: ClassVar[str] = "TRANSPOSE_CONV"
    kernel: ClassVar[str] = "transpose_conv"
    supported: ClassVar[str] = (
        "int8; weights constant, per channel or per tensor; bias optional; any stride and padding"
    )

    size: tuple[int, int]
    """Height and width of the output."""
    stride: tuple[int, int] = (1, 1)
    pads: windows.Pads = ((0, 0), (0, 0))
    activation: Activation = Activation.NONE

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> TransposeConv:
        weights = present(inputs[1])
        size, window = (output.shape[1], output.shape[2]), (weights.shape[1], weights.shape[2])
        stride = (int(options.strideH), int(options.strideW))
        return cls(size, stride, windows.read_pads(options, size, window, stride), read_activation(options))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("output's shape", "weights", "input"))
        if found:
            return found
        shape, w, x = (present(each) for each in inputs[:3])
        found = [
            *elements("input", x, self.element),
            *elements("output", output, self.element),
            *ranked("input", x, 4),
            *ranked("weights", w, 4),
            *ranked("output", output, 4),
            *single("input", x),
            *known_activation(self.activation),
        ]
        if not shape.is_constant:
            found.append(f"its output's shape {shape.name} is not constant")
        if found:
            return found
        if min(self.stride) < 1:
            return [f"its stride {self.stride} is not positive"]
        if w.shape[3] != x.shape[3]:
            return [f"its input has {x.shape[3]} channels, its weights {w.shape[3]}"]
        bias = self._bias(inputs)
        found = [
            *symmetric_weights(w, w.shape[0], 0),
            *constant_bias(bias, w.shape[0], BIAS_TYPES[self.element]),
        ]
        if not found and output.shape != self.output_shape(inputs):
            expected = list(self.output_shape(inputs))
            found.append(f"its output {output.name} has the shape {list(output.shape)}, expected {expected}")
        return found or self._overflows(x, w, bias, output)

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (1, *self.size, present(inputs[1]).shape[0])

    def macs(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        x, w = present(inputs[2]), present(inputs[1])
        return x.shape[1] * x.shape[2] * w.elements

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (2, 1)

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int]:
        taps, height = present(inputs[1]).shape[1], present(inputs[2]).shape[1]
        stride, before = self.stride[0], self.pads[0][0]
        high = min((end - 1 + before) // stride + 1, height)
        low = max(-(-(first + before - taps + 1) // stride), 0)
        return min(low, high), high

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct transpose_conv`, in its order."""
        w, x = present(inputs[1]), present(inputs[2])
        bias = self._bias(inputs)
        multiplier, shift = self._multipliers(x, w, output)
        minimum, maximum = activation_range(self.activation.value, output)
        return {
            "input_height": x.shape[1],
            "input_width": x.shape[2],
            "input_channels": x.shape[3],
            "output_height": self.size[0],
            "output_width": self.size[1],
            "output_channels": w.shape[0],
            "kernel_height": w.shape[1],
            "kernel_width": w.shape[2],
            "stride_y": self.stride[0],
            "stride_x": self.stride[1],
            "pad_top": self.pads[0][0],
            "pad_left": self.pads[1][0],
            "input_zero": x.zero_point,
            "output_zero": output.zero_point,
            "scale_step": int(len(multiplier) > 1),
            "minimum": minimum,
            "maximum": maximum,
            "bias": np.zeros(w.shape[0], BIAS_TYPES[self.element])
            if bias is None
            else constant(bias).reshape(-1),
            "multiplier": multiplier,
            "shift": shift,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x, w = arrays
        shifted = x[0].astype(np.float64) - integer(p, "input_zero")
        # float64 holds these products and sums exactly.
        spread = np.tensordot(shifted, w.astype(np.float64), axes=(2, 3))
        rows, columns = integer(p, "kernel_height"), integer(p, "kernel_width")
        top, left = integer(p, "pad_top"), integer(p, "pad_left")
        reach = [
            (x.shape[1 + i] - 1) * self.stride[i] + (rows, columns)[i] + (top, left)[i] + self.size[i]
            for i in (0, 1)
        ]
        full = np.zeros((*reach, w.shape[0]))
        for i in range(rows):
            for j in range(columns):
                places = full[i :: self.stride[0], j :: self.stride[1]]
                places[: x.shape[1], : x.shape[2]] += spread[:, :, :, i, j]
        sums = full[top : top + self.size[0], left : left + self.size[1]].astype(np.int64) + array(p, "bias")
        y = self._rescaled(sums, array(p, "multiplier"), array(p, "shift")) + integer(p, "output_zero")
        stored: np.ndarray = np.clip(y, integer(p, "minimum"), integer(p, "maximum")).astype(self.element)
        return stored[np.newaxis]

    def _overflows(self, x: Tensor, weights: Tensor, bias: Tensor | None, output: Tensor) -> list[str]:
        """No sum of products can leave its accumulator."""
        shifts = self._multipliers(x, weights, output)[1]
        return accumulates(x, _filters(weights), bias, shifts)

    def _multipliers(self, x: Tensor, weights: Tensor, output: Tensor) -> tuple[np.ndarray, np.ndarray]:
        return convolution.multipliers(x, weights, output)

    def _rescaled(self, sums: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
        return rescale(sums, multiplier, shift)

    @staticmethod
    def _bias(inputs: Sequence[Tensor | None]) -> Tensor | None:
        return inputs[3] if len(inputs) > 3 else None


@dataclass(frozen=True, slots=True)
class TransposeConvInt16(TransposeConv):
    """The same of int16: sums of 64 bits, of whose factor 15 are kept"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "transpose_conv_int16"
    supported: ClassVar[str] = (
        "int16; weights constant, per channel or per tensor; bias int64, optional; any stride and padding"
    )

    def _overflows(self, x: Tensor, weights: Tensor, bias: Tensor | None, output: Tensor) -> list[str]:
        return accumulates_int16(_filters(weights), bias, convolution.factors(x, weights, output))

    def _multipliers(self, x: Tensor, weights: Tensor, output: Tensor) -> tuple[np.ndarray, np.ndarray]:
        return reduced_multipliers(convolution.factors(x, weights, output))

    def _rescaled(self, sums: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
        return rescale_sum(sums, multiplier, shift)


def _filters(weights: Tensor) -> np.ndarray:
    return constant(weights).reshape(weights.shape[0], -1)
