"""What the work of the portable kernels is counted by: how often each of their loops runs.

One function a C file. Counts are exact: padding that a kernel leaves out is left out here. `layers` is 1,
for what a kernel does once; features in `flash_` count bytes that are read from flash.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.operators import Operator
from pipeline.operators.convolution import taps
from pipeline.tensors import Tensor

Features = Mapping[str, float]
Inputs = Sequence[Tensor | None]

# Up to here the weights of a layer stay in the data cache of an STM32L4 (256 bytes) from one pass to the
# next; what is larger is read from flash again at each.
DATA_CACHE_BYTES = 256
# Where the cache is larger: that of an STM32U5, and the L1 data cache of a Cortex-M7.
LARGER_CACHES = {"flash_read_over_8k": 8 << 10, "flash_read_over_16k": 16 << 10}
# Weights so far apart are all in one set of the cache of an STM32U5, which has two lines for them.
WAY_BYTES = 4096
# A depthwise kernel reads as many cache lines at once as it has taps; so many fit beside its other constants.
DATA_CACHE_LINES = 7
# Of bytes that are picked one by one; longer ones run through a loop that gcc unrolls.
LONGEST_SHORT_RUN = 20


@dataclass(frozen=True, slots=True)
class _Layer:
    op: Any
    inputs: Inputs
    output: Tensor

    @property
    def x(self) -> Tensor:
        assert self.inputs[0] is not None
        return self.inputs[0]

    @property
    def weights(self) -> Tensor:
        assert self.inputs[1] is not None
        return self.inputs[1]


def portable_features(op: Operator, inputs: Inputs, output: Tensor) -> Features:
    """How often the loops of the operator's portable kernel run."""
    count = COUNTERS.get(op.kernel, _elementwise)
    return {**count(_Layer(op, inputs, output)), "layers": 1}


def _taps_inside(outputs: int, size: int, window: int, stride: int, dilation: int, before: int) -> int:
    """Taps of all windows along one axis that lie inside the input (window.h)."""
    return sum(
        0 <= output * stride - before + tap * dilation < size
        for output in range(outputs)
        for tap in range(window)
    )


def _inside(op: Any, x: Tensor, window: tuple[int, int], outputs: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns inside the input, each summed over the windows of its axis."""
    rows, columns = (
        _taps_inside(
            outputs[axis],
            x.shape[1 + axis],
            window[axis],
            op.stride[axis],
            getattr(op, "dilation", (1, 1))[axis],
            op.pads[axis][0],
        )
        for axis in (0, 1)
    )
    return rows, columns


def _read_over(read: float, weights: Tensor) -> dict[str, float]:
    """Bytes that are read of weights which a larger cache cannot keep."""
    return {name: read if weights.nbytes > size else 0 for name, size in LARGER_CACHES.items()}


def _conv_2d(layer: _Layer) -> dict[str, float]:
    op, x, w, output = layer.op, layer.x, layer.weights, layer.output
    window, pool = taps(layer.inputs), op.pool or (1, 1)
    outputs = (output.shape[1] * pool[0], output.shape[2] * pool[1])
    rows, columns = _inside(op, x, window, outputs)
    quads, singles = divmod(output.shape[3], 4)
    pixels, windows = output.shape[1] * output.shape[2], math.prod(outputs)
    # A stretch is contiguous in x: a row of the window, or one tap of a dilated one.
    stretches = rows * (outputs[1] if op.dilation[1] == 1 else columns)
    macs = rows * columns * x.shape[3]
    # Within one pixel the windows of a pool read the same filters.
    passes = math.prod(pool) if 4 * math.prod(w.shape[1:]) <= DATA_CACHE_BYTES else 1
    read = macs * output.shape[3] * passes / math.prod(pool)
    return {
        "macs_of_4": 4 * quads * macs,
        "macs_of_1": singles * macs,
        "stretches_of_4": quads * stretches,
        "stretches_of_1": singles * stretches,
        "windows_of_4": quads * windows,
        "windows_of_1": singles * windows,
        "patches": pixels if pool == (1, 1) else windows * (quads + singles),
        "switches": pixels if quads and singles else 0,
        "results": output.elements,
        "flash_read": read if w.nbytes > DATA_CACHE_BYTES else 0,
        **_read_over(read, w),
    }


def _depthwise_conv_2d(layer: _Layer) -> dict[str, float]:
    op, x, w, output = layer.op, layer.x, layer.weights, layer.output
    window, pool = taps(layer.inputs), op.pool or (1, 1)
    outputs = (output.shape[1] * pool[0], output.shape[2] * pool[1])
    rows, columns = _inside(op, x, window, outputs)
    quads, singles = divmod(output.shape[3], 4) if output.shape[3] == x.shape[3] else (0, output.shape[3])
    pixels, windows = output.shape[1] * output.shape[2], math.prod(outputs)
    macs = rows * columns * output.shape[3]
    large, wide = w.nbytes > DATA_CACHE_BYTES, math.prod(window) > DATA_CACHE_LINES
    return {
        "taps_of_4": quads * rows * columns,
        "macs_of_1": singles * rows * columns,
        "stretches": (quads + singles) * rows * outputs[1],
        "windows_of_4": quads * windows,
        "windows_of_1": singles * windows,
        "patches": pixels if pool == (1, 1) else windows * (quads + singles),
        "results": output.elements,
        "flash_read": macs if large and not wide else 0,
        "flash_missed": macs if large and wide else 0,
        **_read_over(macs, w),
    }


def _fully_connected(layer: _Layer) -> dict[str, float]:
    w = layer.weights
    outputs, depth = w.shape
    rows = layer.output.elements // outputs
    quads, singles = divmod(outputs, 4)
    return {
        "macs_of_4": rows * 4 * quads * depth,
        "macs_of_1": rows * singles * depth,
        "quads": rows * quads,
        "singles": rows * singles,
        "switches": rows if quads and singles else 0,
        "flash_read": rows * w.elements if rows == 1 or w.nbytes > DATA_CACHE_BYTES else 0,
        **_read_over(rows * w.elements, w),
        "flash_conflicts": rows * w.elements if depth % WAY_BYTES == 0 else 0,
    }


def _conv_2d_int16(layer: _Layer) -> dict[str, float]:
    op, x, w, output = layer.op, layer.x, layer.weights, layer.output
    window, pool = taps(layer.inputs), op.pool or (1, 1)
    outputs = (output.shape[1] * pool[0], output.shape[2] * pool[1])
    rows, columns = _inside(op, x, window, outputs)
    # Two filters at a time; a last one without a neighbour counts as two.
    pairs = -(-output.shape[3] // 2)
    windows = math.prod(outputs)
    macs = 2 * pairs * rows * columns * x.shape[3]
    return {
        "macs": macs,
        "stretches": pairs * rows * (outputs[1] if op.dilation[1] == 1 else columns),
        "windows": pairs * windows,
        "patches": output.shape[1] * output.shape[2] if pool == (1, 1) else windows * pairs,
        "results": output.elements,
        "flash_read": macs if w.nbytes > DATA_CACHE_BYTES else 0,
        **_read_over(macs, w),
    }


def _depthwise_conv_2d_int16(layer: _Layer) -> dict[str, float]:
    op, x, w, output = layer.op, layer.x, layer.weights, layer.output
    window, pool = taps(layer.inputs), op.pool or (1, 1)
    outputs = (output.shape[1] * pool[0], output.shape[2] * pool[1])
    rows, columns = _inside(op, x, window, outputs)
    channels, windows = output.shape[3], math.prod(outputs)
    macs = rows * columns * channels
    large, wide = w.nbytes > DATA_CACHE_BYTES, math.prod(window) > DATA_CACHE_LINES
    return {
        "macs": macs,
        "stretches": channels * rows * outputs[1],
        "windows": channels * windows,
        "patches": output.shape[1] * output.shape[2] if pool == (1, 1) else windows * channels,
        "results": output.elements,
        "flash_read": macs if large and not wide else 0,
        "flash_missed": macs if large and wide else 0,
        **_read_over(macs, w),
    }


def _fully_connected_int16(layer: _Layer) -> dict[str, float]:
    w = layer.weights
    outputs, depth = w.shape
    rows, pairs = layer.output.elements // outputs, -(-outputs // 2)
    return {
        "macs": rows * 2 * pairs * depth,
        "pairs": rows * pairs,
        "singles": rows * (outputs % 2),
        "results": layer.output.elements,
        "flash_read": rows * w.elements if rows == 1 or w.nbytes > DATA_CACHE_BYTES else 0,
        **_read_over(rows * w.elements, w),
    }


def _binary(layer: _Layer) -> dict[str, float]:
    walk = layer.op.walk(layer.inputs)
    constant = layer.x.is_constant or layer.weights.is_constant
    return {
        "results": layer.output.elements,
        "loops": walk["outer"] * walk["middle"],
        "flash_constants": layer.output.elements if constant else 0,
    }


def _pooling(layer: _Layer) -> dict[str, float]:
    op, output = layer.op, layer.output
    rows, columns = _inside(op, layer.x, op.window, (output.shape[1], output.shape[2]))
    channels = output.shape[3]
    return {
        "reads": rows * columns * channels,
        "stretches": rows * output.shape[2] * channels,
        "results": output.elements,
        "windows": output.shape[1] * output.shape[2],
    }


def _mean(layer: _Layer) -> dict[str, float]:
    walk = layer.op.parameters(layer.inputs, layer.output)
    return {"reads": layer.x.elements, "results": layer.output.elements, "loops": walk["outer"]}


def _softmax(layer: _Layer) -> dict[str, float]:
    output = layer.output
    return {"results": output.elements, "rows": output.elements // output.shape[-1]}


def _pad(layer: _Layer) -> dict[str, float]:
    p = layer.op.parameters(layer.inputs, layer.output)
    pixels, channels = p["height"] * p["width"], p["channels"]
    pixel = p["front"] + channels + p["back"]
    row = (p["left"] + p["width"] + p["right"]) * pixel
    # newlib moves 16 bytes at a time, then words, then bytes; a few that are not aligned byte by byte.
    short = channels < 8 and pixel % 4 != 0
    fills = [
        (p["top"] * row, 1),
        (p["bottom"] * row, 1),
        (p["left"] * pixel, p["height"]),
        (p["right"] * pixel, p["height"]),
        (p["front"], pixels),
        (p["back"], pixels),
    ]
    return {
        "pixels": pixels,
        "rows": p["height"],
        "copied_blocks": pixels * (channels // 16),
        "copied_words": 0 if short else pixels * (channels % 16 // 4),
        "copied_bytes": pixels * (channels if short else channels % 4),
        "filled_blocks": sum(count * (size // 16) for size, count in fills),
        "filled_words": sum(count * (size % 16 // 4) for size, count in fills),
        "filled_bytes": sum(count * (size % 4) for size, count in fills),
    }


def _concatenation(layer: _Layer) -> dict[str, float]:
    p = layer.op.parameters(layer.inputs, layer.output)
    outer, sizes = p["outer"], [int(size) for size in p["bytes"]]
    # As in a padding; words that lie across two take longer.
    odd = [size for size in sizes if size % 4 or p["pitch"] % 4]
    short = [size for size in odd if size < 8]
    others = [size for size in sizes if size not in short]
    return {
        "pieces": outer * len(sizes),
        "odd_pieces": outer * len(odd),
        "odd_words": outer * sum(size // 4 for size in odd),
        "inputs": len(sizes),
        "copied_blocks": outer * sum(size // 16 for size in others),
        "copied_words": outer * sum(size % 16 // 4 for size in others),
        "copied_bytes": outer * (sum(size % 4 for size in others) + sum(short)),
    }


def _moved(count: int, size: int, *places: int) -> dict[str, float]:
    """So many memcpy of so many bytes, as in a padding; `places` are distances between where they begin."""
    odd = any(place % 4 for place in (size, *places))
    short = odd and size < 8
    return {
        "copied_blocks": 0 if short else count * (size // 16),
        "copied_words": 0 if short else count * (size % 16 // 4),
        "copied_bytes": count * (size if short else size % 4),
        "odd_words": count * (size // 4) if odd and not short else 0,
    }


def _strided_copy(layer: _Layer) -> dict[str, float]:
    p = layer.op.parameters(layer.inputs, layer.output)
    *outer, run = p["counts"].tolist()
    *steps, step = p["steps"].tolist()
    runs = math.prod(outer)
    # After each run the loops around it go on: the next one, and those that begin anew.
    turns = sum(math.prod(outer[:depth]) for depth in range(1, len(outer) + 1))
    if step == 1:
        return {"runs": runs, "turns": turns, **_moved(runs, run, p["start"], *steps)}
    long = "long_" if run > LONGEST_SHORT_RUN else ""
    return {f"{long}strided_runs": runs, "turns": turns, f"{long}picked_bytes": runs * run}


def _select(layer: _Layer) -> dict[str, float]:
    p = layer.op.parameters(layer.inputs, layer.output)
    pixels, channels = p["height"] * p["width"], p["channels"]
    moved = _moved(pixels, channels) if p["sources"] is None else {"picked_bytes": pixels * channels}
    return {"rows": p["height"], "pixels": pixels, **moved}


def _resize_bilinear(layer: _Layer) -> dict[str, float]:
    _, height, width, _ = layer.output.shape
    return {"rows": height, "pixels": height * width, "results": layer.output.elements}


def _arg_max(layer: _Layer) -> dict[str, float]:
    return {"reads": layer.x.elements, "results": layer.output.elements}


def _batch_matmul(layer: _Layer) -> dict[str, float]:
    p = layer.op.parameters(layer.inputs, layer.output)
    macs = layer.output.elements * p["depth"]
    constant = layer.x.is_constant or layer.weights.is_constant
    # Where both run along their rows, compilers have a loop of its own for them.
    along = p["a_depth"] == p["b_depth"] == 1
    return {
        "macs_along": macs if along else 0,
        "macs_across": 0 if along else macs,
        "results": layer.output.elements,
        "rows": layer.output.elements // p["columns"],
        "flash_constants": macs if constant else 0,
    }


def _transpose_conv(layer: _Layer) -> dict[str, float]:
    op, w, output = layer.op, layer.weights, layer.output
    x = layer.inputs[2]
    assert x is not None
    channels, window, depth = output.shape[3], w.shape[1:3], w.shape[3]

    def covering(axis: int) -> int:
        """Taps along one axis that reach a pixel of the input, over all pixels of the output."""
        places = [place + op.pads[axis][0] for place in range(output.shape[1 + axis])]
        return sum(
            place >= tap and (place - tap) // op.stride[axis] < x.shape[1 + axis]
            for place in places
            for tap in range(place % op.stride[axis], window[axis], op.stride[axis])
        )

    rows, columns = covering(0), covering(1)
    macs = rows * columns * depth * channels
    return {
        "macs": macs,
        "taps": rows * columns * channels,
        "tap_rows": rows * output.shape[2] * channels,
        "results": output.elements,
        "flash_read": macs if w.nbytes > DATA_CACHE_BYTES else 0,
        **{name: macs if w.nbytes > size else 0 for name, size in LARGER_CACHES.items()},
    }


def _lstm(layer: _Layer) -> dict[str, float]:
    steps, values = layer.x.shape[-2:]
    units = layer.output.shape[-1]
    # In the first step there is no state to multiply.
    macs = 4 * units * (steps * values + (steps - 1) * units)
    weights = 4 * units * (values + units)
    return {
        "macs": macs,
        "sums": 4 * units * (2 * steps - 1),
        "results": layer.output.elements,
        "flash_read": macs if weights > DATA_CACHE_BYTES else 0,
        **{name: macs if weights > size else 0 for name, size in LARGER_CACHES.items()},
    }


def _elementwise(layer: _Layer) -> dict[str, float]:
    return {"results": layer.output.elements}


COUNTERS: Mapping[str, Callable[[_Layer], dict[str, float]]] = {
    "add": _binary,
    "add_int16": _binary,
    "arg_max": _arg_max,
    "average_pool_2d": _pooling,
    "average_pool_2d_int16": _pooling,
    "batch_matmul": _batch_matmul,
    "batch_matmul_int16": _batch_matmul,
    "concatenation": _concatenation,
    "conv_2d": _conv_2d,
    "conv_2d_int16": _conv_2d_int16,
    "depthwise_conv_2d": _depthwise_conv_2d,
    "depthwise_conv_2d_int16": _depthwise_conv_2d_int16,
    "dequantize": _elementwise,
    "fully_connected": _fully_connected,
    "fully_connected_int16": _fully_connected_int16,
    "lookup": _elementwise,
    "max_pool_2d": _pooling,
    "max_pool_2d_int16": _pooling,
    "maximum": _binary,
    "maximum_int16": _binary,
    "mean": _mean,
    "mean_int16": _mean,
    "minimum": _binary,
    "minimum_int16": _binary,
    "mul": _binary,
    "mul_int16": _binary,
    "pad": _pad,
    "prelu": _binary,
    "quantize": _elementwise,
    "reduce_max": _mean,
    "reduce_max_int16": _mean,
    "reduce_min": _mean,
    "reduce_min_int16": _mean,
    "requantize": _elementwise,
    "resize_bilinear": _resize_bilinear,
    "resize_bilinear_int16": _resize_bilinear,
    "select": _select,
    "softmax": _softmax,
    "softmax_int16": _softmax,
    "strided_copy": _strided_copy,
    "transpose_conv": _transpose_conv,
    "transpose_conv_int16": _transpose_conv,
    "unidirectional_sequence_lstm": _lstm,
}
