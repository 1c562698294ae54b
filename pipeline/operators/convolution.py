"""What CONV_2D and DEPTHWISE_CONV_2D share: windows, scales per channel, clamps, fused pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pipeline.arithmetic import activation_range, quantize_multipliers, rescale
from pipeline.operators import windows
from pipeline.operators.base import Activation, Parameters
from pipeline.operators.checks import array, constant, integer, present
from pipeline.operators.windows import Pads, Pair
from pipeline.tensors import Tensor

Fields = dict[str, "int | float | np.ndarray | None"]


class Convolution(Protocol):
    """The attributes of either operator."""

    @property
    def stride(self) -> Pair: ...
    @property
    def dilation(self) -> Pair: ...
    @property
    def pads(self) -> Pads: ...
    @property
    def activation(self) -> Activation: ...
    @property
    def floor(self) -> tuple[int, ...] | None: ...
    @property
    def ceiling(self) -> tuple[int, ...] | None: ...
    @property
    def pool(self) -> Pair | None: ...


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
    quantization = weights.quantization
    scales = quantization.scale if quantization is not None else ()
    return quantize_multipliers(x.scale * scale / output.scale for scale in scales)


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


def requantization(
    op: Convolution, x: Tensor, weights: Tensor, bias: Tensor | None, output: Tensor
) -> Fields:
    """The last fields of both structs. An array of one entry serves every channel: its step is 0.

    The activation's clamp, then the floor, then the ceiling are together one clamp per channel.
    """
    multiplier, shift = multipliers(x, weights, output)
    bounds = np.array(activation_range(op.activation.value, output))[:, np.newaxis]
    if op.floor is not None:
        bounds = np.maximum(bounds, np.array(op.floor))
    if op.ceiling is not None:
        bounds = np.minimum(bounds, np.array(op.ceiling))
    if (bounds == bounds[:, :1]).all():
        bounds = bounds[:, :1]
    minimum, maximum = bounds.astype(np.int8)
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
    y = requantized(p, sums)
    height, width = integer(p, "output_height"), integer(p, "output_width")
    rows, columns = integer(p, "pool_height"), integer(p, "pool_width")
    tiles = y[: height * rows, : width * columns].reshape(1, height, rows, width, columns, -1)
    stored: np.ndarray = tiles.max(axis=(2, 4)).astype(np.int8)
    return stored


def input_patches(p: Parameters, x: np.ndarray) -> np.ndarray:
    """What lies beneath each window, minus the zero point, as float64; padding contributes nothing.

    Products and sums of int8 stay far below 2**53, so float64 holds them exactly, and multiplies
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
    shifted = x.astype(np.float64) - integer(p, "input_zero")
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
