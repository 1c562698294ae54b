"""What CONV_2D and DEPTHWISE_CONV_2D share: windows, scales per channel, clamps, fused pooling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.arithmetic import (
    activation_range,
    quantize_multipliers,
    reduced_multipliers,
    rescale,
    rescale_sum,
)
from pipeline.operators import windows
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
    optional_bias,
    present,
    ranked,
    read_activation,
    single,
    symmetric_weights,
)
from pipeline.operators.windows import Pair
from pipeline.tensors import Tensor

Fields = dict[str, "int | float | np.ndarray | None"]


@dataclass(frozen=True, slots=True)
class Convolution(Operator):
    """Windows of weights that slide over height and width; over which channels each does is left open

    `floor` and `ceiling` clamp channel by channel, in this order, after the activation; `pool` then
    keeps the maximum of each window (stride = window, rows and columns that fill none are dropped).
    """

    axis: ClassVar[int]
    """Of the weights, the axis of output channels."""

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: windows.Pads = ((0, 0), (0, 0))
    activation: Activation = Activation.NONE
    floor: tuple[int, ...] | None = None
    ceiling: tuple[int, ...] | None = None
    pool: tuple[int, int] | None = None

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        x, w = present(inputs[0]), present(inputs[1])
        stride = (int(options.strideH), int(options.strideW))
        dilation = (int(options.dilationHFactor), int(options.dilationWFactor))
        size, window = (x.shape[1], x.shape[2]), (w.shape[1], w.shape[2])
        pads = windows.read_pads(options, size, window, stride, dilation)
        return cls(stride, dilation, pads, read_activation(options))

    @abstractmethod
    def misfits(self, x: Tensor, weights: Tensor) -> list[str]:
        """Why the weights (four axes) are not for this input's channels."""

    @abstractmethod
    def filters(self, weights: Tensor) -> np.ndarray:
        """(output channels, taps) of constant weights."""

    @abstractmethod
    def sums(self, p: Parameters, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sums of products (height, width, output channels) before pooling, int64."""

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input", "weights"))
        if found:
            return found
        x, w, bias = present(inputs[0]), present(inputs[1]), optional_bias(inputs)
        found = [
            *elements("input", x, self.element),
            *elements("output", output, self.element),
            *ranked("input", x, 4),
            *ranked("weights", w, 4),
            *single("input", x),
            *known_activation(self.activation),
        ]
        found = found or self.misfits(x, w)
        if found:
            return found
        channels = w.shape[self.axis]
        found = [
            *symmetric_weights(w, channels, self.axis),
            *constant_bias(bias, channels, BIAS_TYPES[self.element]),
        ]
        return (
            found
            or shape_problems(self, x, taps(inputs), channels, output)
            or self.overflows(x, w, bias, output)
        )

    def overflows(self, x: Tensor, weights: Tensor, bias: Tensor | None, output: Tensor) -> list[str]:
        """No sum of products can leave its accumulator."""
        return accumulates(x, self.filters(weights), bias, multipliers(x, weights, output)[1])

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        channels = present(inputs[1]).shape[self.axis]
        return pooled_shape(self, present(inputs[0]), taps(inputs), channels)

    def macs(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        height, width = unpooled_size(self, present(inputs[0]), taps(inputs))
        return height * width * present(inputs[1]).elements

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int]:
        height, _ = taps(inputs)
        return rows_read(self, present(inputs[0]), height, first, end)

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0, 1)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct conv_2d` and `struct depthwise_conv_2d`, in their order."""
        x, w = present(inputs[0]), present(inputs[1])
        return {
            **geometry(self, x, taps(inputs), output),
            **requantization(self, x, w, optional_bias(inputs), output),
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        return store(p, self.sums(p, *arrays))


@dataclass(frozen=True, slots=True)
class ConvolutionInt16(Convolution):
    """The same of int16: sums of 64 bits, of whose factor 15 are kept."""

    element: ClassVar[str] = "int16"

    def overflows(self, x: Tensor, weights: Tensor, bias: Tensor | None, output: Tensor) -> list[str]:
        return accumulates_int16(self.filters(weights), bias, factors(x, weights, output))

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct conv_2d_int16` and `struct depthwise_conv_2d_int16`, in their order."""
        x, w, bias = present(inputs[0]), present(inputs[1]), optional_bias(inputs)
        multiplier, shift = reduced_multipliers(factors(x, w, output))
        minimum, maximum = clamps(self, output)
        return {
            **geometry(self, x, taps(inputs), output),
            "scale_step": int(len(multiplier) > 1),
            "clamp_step": int(len(minimum) > 1),
            "bias": np.zeros(output.shape[-1], np.int64) if bias is None else constant(bias).reshape(-1),
            "multiplier": multiplier,
            "shift": shift,
            "minimum": minimum,
            "maximum": maximum,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        sums = self.sums(p, *arrays) + array(p, "bias")
        scaled = rescale_sum(sums, array(p, "multiplier"), array(p, "shift"))
        return pooled(p, np.clip(scaled, array(p, "minimum"), array(p, "maximum"))).astype(np.int16)


def unpooled_size(op: Convolution, x: Tensor, window: Pair) -> Pair:
    """Height and width of the convolution proper."""
    return windows.output_size((x.shape[1], x.shape[2]), window, op.stride, op.pads, op.dilation)


def pooled_shape(op: Convolution, x: Tensor, window: Pair, channels: int) -> tuple[int, ...]:
    """The output's shape."""
    height, width = unpooled_size(op, x, window)
    pool = op.pool or (1, 1)
    return (1, height // pool[0], width // pool[1], channels)


def shape_problems(op: Convolution, x: Tensor, window: Pair, channels: int, output: Tensor) -> list[str]:
    """Why windows, clamps, pooling and shapes do not go together."""
    found = windows.problems((x.shape[1], x.shape[2]), window, op.stride, op.pads, op.dilation)
    if found:
        return found
    for name, clamp in (("floor", op.floor), ("ceiling", op.ceiling)):
        if clamp is not None and len(clamp) != channels:
            found.append(f"its {name} has {len(clamp)} values, expected {channels}")
    shape = pooled_shape(op, x, window, channels)
    if min(shape) < 1 or shape != output.shape:
        found.append(f"its output {output.name} has the shape {list(output.shape)}, expected {list(shape)}")
    return found


def multipliers(x: Tensor, weights: Tensor, output: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Multiplier and shift per output channel, or one of each where all agree (kernel_util.cc)."""
    return quantize_multipliers(factors(x, weights, output))


def factors(x: Tensor, weights: Tensor, output: Tensor) -> list[float]:
    """What a sum of products is multiplied by, for each scale of the weights."""
    scales = weights.quantization.scale if weights.quantization is not None else ()
    return [x.scale * scale / output.scale for scale in scales]


def geometry(op: Convolution, x: Tensor, window: Pair, output: Tensor) -> Fields:
    """The first fields of both structs: sizes in elements, steps in rows and columns."""
    return {
        "input_height": x.shape[1],
        "input_width": x.shape[2],
        "input_channels": x.shape[3],
        "output_height": output.shape[1],
        "output_width": output.shape[2],
        "output_channels": output.shape[3],
        "kernel_height": window[0],
        "kernel_width": window[1],
        "stride_y": op.stride[0],
        "stride_x": op.stride[1],
        "dilation_y": op.dilation[0],
        "dilation_x": op.dilation[1],
        "pad_top": op.pads[0][0],
        "pad_left": op.pads[1][0],
        "pool_height": (op.pool or (1, 1))[0],
        "pool_width": (op.pool or (1, 1))[1],
    }


def clamps(op: Convolution, output: Tensor) -> np.ndarray:
    """The smallest and the largest integer of each channel, (2, channels or 1) of the output's type.

    The activation's clamp, then the floor, then the ceiling are together one clamp per channel.
    """
    bounds = np.array(activation_range(op.activation.value, output))[:, np.newaxis]
    if op.floor is not None:
        bounds = np.maximum(bounds, np.array(op.floor))
    if op.ceiling is not None:
        bounds = np.minimum(bounds, np.array(op.ceiling))
    if (bounds == bounds[:, :1]).all():
        bounds = bounds[:, :1]
    return bounds.astype(output.dtype)


def requantization(
    op: Convolution, x: Tensor, weights: Tensor, bias: Tensor | None, output: Tensor
) -> Fields:
    """The last fields of both structs. An array of one entry serves every channel: its step is 0."""
    multiplier, shift = multipliers(x, weights, output)
    minimum, maximum = clamps(op, output)
    return {
        "input_zero": x.zero_point,
        "output_zero": output.zero_point,
        "scale_step": int(len(multiplier) > 1),
        "clamp_step": int(len(minimum) > 1),
        "bias": np.zeros(output.shape[-1], np.int32) if bias is None else constant(bias).reshape(-1),
        "multiplier": multiplier,
        "shift": shift,
        "minimum": minimum,
        "maximum": maximum,
    }


def requantized(p: Parameters, sums: np.ndarray) -> np.ndarray:
    """What becomes of sums of products (..., channels): bias added, rescaled and clamped, int64."""
    sums = sums + array(p, "bias")
    scaled = rescale(sums, array(p, "multiplier"), array(p, "shift")) + integer(p, "output_zero")
    y: np.ndarray = np.clip(
        scaled, array(p, "minimum").astype(np.int64), array(p, "maximum").astype(np.int64)
    )
    return y


def store(p: Parameters, sums: np.ndarray) -> np.ndarray:
    """Requantized, clamped and pooled int8 output of int64 sums (height, width, channels)."""
    return pooled(p, requantized(p, sums)).astype(np.int8)


def pooled(p: Parameters, y: np.ndarray) -> np.ndarray:
    """The maximum of each window of integers (height, width, channels)."""
    height, width = integer(p, "output_height"), integer(p, "output_width")
    rows, columns = integer(p, "pool_height"), integer(p, "pool_width")
    tiles = y[: height * rows, : width * columns].reshape(1, height, rows, width, columns, -1)
    found: np.ndarray = tiles.max(axis=(2, 4))
    return found


def input_patches(p: Parameters, x: np.ndarray) -> np.ndarray:
    """What lies beneath each window, minus the zero point, as float64; padding contributes nothing.

    Products and sums of int8 and int16 stay far below 2**53, so float64 holds them exactly, and multiplies
    matrices a hundred times faster than int64.
    """
    stride = integer(p, "stride_y"), integer(p, "stride_x")
    dilation = integer(p, "dilation_y"), integer(p, "dilation_x")
    window = integer(p, "kernel_height"), integer(p, "kernel_width")
    outputs = (
        integer(p, "output_height") * integer(p, "pool_height"),
        integer(p, "output_width") * integer(p, "pool_width"),
    )
    before = integer(p, "pad_top"), integer(p, "pad_left")
    # Behind the last row and column, just enough for the windows that are wanted.
    spans = [(outputs[i] - 1) * stride[i] + (window[i] - 1) * dilation[i] + 1 - before[i] for i in (0, 1)]
    x = x[:, : max(spans[0], 0), : max(spans[1], 0)]
    pads = tuple((before[i], max(spans[i] - x.shape[1 + i], 0)) for i in (0, 1))
    # int16 lies around 0, and its kernels know of no zero point.
    shifted = x.astype(np.float64) - (integer(p, "input_zero") if "input_zero" in p else 0)
    return windows.patches(shifted, 0, window, stride, (pads[0], pads[1]), dilation)


def rows_read(op: Convolution, x: Tensor, height: int, first: int, end: int) -> Pair:
    """The input rows [low, high) that pooled output rows [first, end) are made of."""
    pool = (op.pool or (1, 1))[0]
    return windows.rows_beneath(
        first * pool, end * pool, x.shape[1], height, op.stride[0], op.pads[0][0], op.dilation[0]
    )


def taps(inputs: Sequence[Tensor | None], height: int = 1, width: int = 2) -> Pair:
    """Height and width of the weights' window."""
    shape = present(inputs[1]).shape
    return shape[height], shape[width]
