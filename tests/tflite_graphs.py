"""Random int8 graphs as TFLite files: every operator that the registry knows, in valid order.

A graph is a seed: `python -m tests.tflite_graphs SEED` writes it to a file and lists its operators. Nothing
of the pipeline is used; scales are chosen so that most outputs spread over int8, neither saturated nor flat.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.property.cases import Dice, channel_scales, fitting_scales, spread_of
from tests.tflite_chains import Chain

ACTIVATIONS = (0, 0, 0, 0, 1, 1, 2, 3)
SAME, VALID = 0, 1
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 8, 12, 16, 16, 24)
LARGEST_MAP = 4500
"""Elements."""
MOST_MACS = 300_000
"""Of one layer."""
TYPICAL = np.arange(-70, 70)
"""Integers of a map, as far as scales are chosen by them."""


@dataclass(frozen=True)
class Map:
    """A tensor that operators may read: where in the file, and what its integers mean."""

    index: int
    shape: tuple[int, ...]
    scale: float
    zero: int
    constant: bool = False

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        return self.shape[-1]


class RandomGraph:
    """A file under construction: operators read any map made before, the newest most often.

    A `deep` one is like a network for images: larger maps, usual windows, few branches.
    """

    def __init__(self, dice: Dice, deep: bool) -> None:
        self.dice, self.chain, self.deep = dice, Chain(), deep
        self.maps: list[Map] = []
        self.read: set[int] = set()
        self.kinds: list[str] = []
        self.shared: list[tuple[np.ndarray, float, int, int]] = []
        """Vectors of int8 that were an operand: data, scale, zero point, index."""

    def new(self, shape: Sequence[int], scale: float, zero: int | None = None, dtype: str = "int8") -> Map:
        """A map that an operator is about to make; a zero point is drawn where none is given."""
        if zero is None:
            # Rarely an extreme: at -128 a ReLU keeps everything, at 127 nothing.
            extreme = self.dice.chance(0.15)
            zero = self.dice.zero_point() if extreme else self.dice.pick([-128, -30, -9, -2, 0, 5, 12, 20])
        # Products of products lead far away, where nothing can be added to anything else.
        scale = float(np.float32(min(max(scale, 1e-4), 1e2)))
        name = f"net/layer_{len(self.chain.graph.operators)}_{len(self.chain.graph.tensors)}/Op"
        quantized = dtype in {"int8", "uint8"}
        index = self.chain.tensor(
            name, tuple(int(n) for n in shape), dtype, scale=scale if quantized else None, zero_point=zero
        )
        return Map(index, tuple(int(n) for n in shape), scale, zero)

    def like(self, x: Map, shape: Sequence[int]) -> Map:
        """A map of the same scale and zero point."""
        return self.new(shape, x.scale, x.zero)

    def constant(self, data: Any, dtype: str = "int32", **quantization: Any) -> int:
        """A tensor with data."""
        data = np.asarray(data, dtype)
        return self.chain.tensor(
            f"constant_{len(self.chain.graph.tensors)}", data.shape, dtype, data=data, **quantization
        )

    def vector(self, shape: tuple[int, ...], scale: float | None = None, zero: int | None = None) -> Map:
        """A constant int8 operand; now and then one that another operator has, too."""
        for data, held_scale, held_zero, index in self.shared:
            fits = data.shape == shape and scale in {None, held_scale} and zero in {None, held_zero}
            if fits and self.dice.chance():
                return Map(index, shape, held_scale, held_zero, constant=True)
        scale = self.dice.factor(0.005, 0.5) if scale is None else scale
        zero = self.dice.zero_point() if zero is None else zero
        data = self.dice.array(shape)
        index = self.constant(data, "int8", scale=scale, zero_point=zero)
        self.shared.append((data, scale, zero, index))
        return Map(index, shape, scale, zero, constant=True)

    def pick(self, fits: Callable[[Map], bool] = lambda x: True, rank: int | None = None) -> Map | None:
        """A map that was made before and fits, the newest most often; it counts as read."""
        fitting = [x for x in self.maps if rank in {None, len(x.shape)} and fits(x)]
        if not fitting:
            return None
        chosen = fitting[-1] if self.dice.chance(0.95 if self.deep else 0.7) else self.dice.pick(fitting)
        self.read.add(chosen.index)
        return chosen

    def add(self, kind: str, inputs: Sequence[Map | int], output: Map | Sequence[Map], options: Any) -> bool:
        """An operator, whose outputs later ones may read."""
        made = [output] if isinstance(output, Map) else list(output)
        self.chain.operator(
            kind,
            [x.index if isinstance(x, Map) else x for x in inputs],
            [y.index for y in made],
            options,
        )
        self.kinds.append(kind)
        self.maps += made
        return True


Maker = Callable[[RandomGraph], bool]
MAKERS: dict[str, Maker] = {}
"""By TFLite's name: adds one operator, or says that no map fits."""
ENDINGS: dict[str, Maker] = {}
"""The same for those whose output no int8 operator can read."""


def makes(
    *kinds: str, where: dict[str, Maker] = MAKERS
) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    """Register the maker of one operator, or of several that take the operator's name as well."""

    def register(maker: Callable[..., bool]) -> Callable[..., bool]:
        for kind in kinds:
            where[kind] = (lambda graph, kind=kind: maker(graph, kind)) if len(kinds) > 1 else maker
        return maker

    return register


# --- sums of products ---------------------------------------------------------------------------------


def weights_of(graph: RandomGraph, shape: tuple[int, ...], outputs: int, inputs: int | None) -> np.ndarray:
    """int8 weights; now and then whole output or input channels of them are zero."""
    dice = graph.dice
    w = dice.random.integers(-127, 128, shape).astype(np.int8) if dice.chance(0.8) else dice.array(shape)
    for axis, share in ((outputs, 0.3), (inputs, 0.2)):
        if axis is not None and dice.chance(2 * share if graph.deep else share):
            dead = dice.random.random(shape[axis]) < dice.pick([0.3, 0.5, 0.5, 1.0])
            np.moveaxis(w, axis, 0)[dead] = 0
    return w


def sums_of_products(
    graph: RandomGraph, x: Map, w: np.ndarray, taps: int, axis: int
) -> tuple[int, int, float]:
    """Weights and bias of w's channels along `axis` as constants, and a fitting scale for the output."""
    dice, outputs = graph.dice, w.shape[axis]
    spread = spread_of(TYPICAL, x.zero, w, taps)
    w_scale, scale = fitting_scales(dice, x.scale, spread)
    scales = channel_scales(dice, w_scale, outputs)
    each = list(scales) if isinstance(scales, tuple) else [scales]
    weights = graph.constant(w, "int8", scale=each, axis=axis)
    reach = int(min(spread * dice.pick([0.0, *[0.5] * 8, *[1.0] * 8, 1000.0]), 2**26))
    bias = graph.constant(dice.random.integers(-reach, reach + 1, outputs), scale=[x.scale * s for s in each])
    return weights, bias, scale


def slide(
    graph: RandomGraph, x: Map, options: Any, dilates: bool
) -> tuple[tuple[int, int], list[int]] | None:
    """Window, stride, dilation and padding drawn into the options; the window and the output's size."""
    dice = graph.dice
    size = x.shape[1:3]
    window, stride, dilation = (
        dice.pick([(1, 1), (3, 3), (3, 3), (2, 2)]),
        dice.pick([(1, 1), (1, 1), (2, 2)]),
        (1, 1),
    )
    if dice.chance(0.1 if graph.deep else 0.3):
        window, stride = (dice.integer(1, 5), dice.integer(1, 5)), (dice.integer(1, 3), dice.integer(1, 3))
    if dilates and dice.chance(0.05 if graph.deep else 0.15):
        dilation = dice.integer(1, 2), dice.integer(1, 3)
    reach = [(window[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    options.padding = dice.pick([SAME, VALID])
    if options.padding == VALID and (size[0] < reach[0] or size[1] < reach[1]):
        options.padding = SAME
    options.strideH, options.strideW = stride
    if dilates:
        options.dilationHFactor, options.dilationWFactor = dilation
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    out = [
        -(-size[i] // stride[i]) if options.padding == SAME else (size[i] - reach[i]) // stride[i] + 1
        for i in (0, 1)
    ]
    return window, out


@makes("CONV_2D")
def conv_2d(graph: RandomGraph) -> bool:
    x = graph.pick(rank=4)
    if x is None:
        return False
    options = schema.Conv2DOptionsT()
    window, out = slide(graph, x, options, dilates=True)
    filters = graph.dice.pick(CHANNELS)
    if math.prod((*out, *window, filters, x.channels)) > MOST_MACS or math.prod(out) * filters > LARGEST_MAP:
        return False
    w = weights_of(graph, (filters, *window, x.channels), 0, 3)
    weights, bias, scale = sums_of_products(graph, x, w, w[0].size, 0)
    return graph.add("CONV_2D", [x, weights, bias], graph.new((1, *out, filters), scale), options)


@makes("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(graph: RandomGraph) -> bool:
    x = graph.pick(rank=4)
    if x is None:
        return False
    options = schema.DepthwiseConv2DOptionsT()
    window, out = slide(graph, x, options, dilates=True)
    options.depthMultiplier = graph.dice.pick([1, 1, 1, 2, 3])
    filters = x.channels * options.depthMultiplier
    if math.prod(out) * filters > LARGEST_MAP:
        return False
    w = weights_of(graph, (1, *window, filters), 3, None)
    weights, bias, scale = sums_of_products(graph, x, w, math.prod(window), 3)
    return graph.add("DEPTHWISE_CONV_2D", [x, weights, bias], graph.new((1, *out, filters), scale), options)


@makes("FULLY_CONNECTED")
def fully_connected(graph: RandomGraph) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: len(x.shape) >= 2)
    if x is None:
        return False
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = dice.chance(0.3)
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    depth = x.channels if options.keepNumDims or dice.chance(0.3) else x.elements
    outputs = dice.pick(CHANNELS)
    if x.elements * outputs > MOST_MACS or x.elements // depth * outputs > LARGEST_MAP:
        return False
    w = weights_of(graph, (outputs, depth), 0, 1)
    weights, bias, scale = sums_of_products(graph, x, w, depth, 0)
    shape = (*x.shape[:-1], outputs) if options.keepNumDims else (x.elements // depth, outputs)
    inputs = [x, weights, -1 if dice.chance(0.1) else bias]
    return graph.add("FULLY_CONNECTED", inputs, graph.new(shape, scale), options)


@makes("TRANSPOSE_CONV")
def transpose_conv(graph: RandomGraph) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: x.elements <= 400, rank=4)
    if x is None:
        return False
    window = (dice.integer(1, 4), dice.integer(1, 4))
    stride = (dice.integer(1, 3), dice.integer(1, 3))
    options = schema.TransposeConvOptionsT()
    options.padding = dice.pick([SAME, VALID])
    options.strideH, options.strideW = stride
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    more = [max(window[i] - stride[i], 0) if options.padding == VALID else 0 for i in (0, 1)]
    out = [x.shape[1 + i] * stride[i] + more[i] for i in (0, 1)]
    filters = dice.pick(CHANNELS[:7])
    if math.prod(out) * filters > LARGEST_MAP:
        return False
    w = weights_of(graph, (filters, *window, x.channels), 0, 3)
    taps = x.channels * math.prod(max(1, window[i] // stride[i]) for i in (0, 1))
    weights, bias, scale = sums_of_products(graph, x, w, taps, 0)
    shape = (1, *out, filters)
    inputs = [graph.constant(shape), weights, x, *([bias] if dice.chance(0.8) else [])]
    return graph.add("TRANSPOSE_CONV", inputs, graph.new(shape, scale), options)


@makes("BATCH_MATMUL")
def batch_matmul(graph: RandomGraph) -> bool:
    dice = graph.dice
    a = graph.pick(lambda x: len(x.shape) in {2, 3, 4})
    if a is None:
        return False
    options = schema.BatchMatMulOptionsT()
    options.adjX, options.adjY = dice.chance(0.3), dice.chance(0.3)
    rows, depth = a.shape[-2:][::-1] if options.adjX else a.shape[-2:]
    columns = dice.integer(1, 8)
    shape = (columns, depth) if options.adjY else (depth, columns)
    b = (
        graph.pick(lambda x: x.shape[:-2] == a.shape[:-2] and x.shape[-2:] == shape)
        if dice.chance()
        else None
    )
    b = b or graph.vector(shape)
    if a.elements * columns > MOST_MACS or a.elements // depth * columns > LARGEST_MAP:
        return False
    spread = spread_of(TYPICAL, a.zero, TYPICAL.astype(float) - b.zero, depth)
    y = graph.new((*a.shape[:-2], rows, columns), a.scale * b.scale * spread / dice.between(60.0, 100.0))
    return graph.add("BATCH_MATMUL", [a, b], y, options)


@makes("UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm(graph: RandomGraph) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: len(x.shape) >= 2 and x.elements <= 200)
    if x is None:
        return False
    steps = dice.pick([n for n in range(1, 9) if x.elements % n == 0])
    inputs, units = x.elements // steps, dice.pick(CHANNELS[:8])
    source = graph.like(x, (1, steps, inputs))
    graph.add("RESHAPE", [x, graph.constant(source.shape)], source, schema.ReshapeOptionsT())
    scale = float(np.float32(dice.pick([1 / 128, dice.between(0.001, 0.02)])))
    y = graph.new((1, steps, units), scale)
    operands: list[Map | int] = [source]
    scales = {}
    for part, columns, read in (("input", inputs, source.scale), ("state", units, y.scale)):
        # A gate has 12 fractional bits, of which a sigmoid or tanh uses some thousands.
        scales[part] = float(np.float32(3000 / (5000 * np.sqrt(columns)) * 2.0**-12 / read))
        for _ in range(4):
            weights = dice.random.integers(-127, 128, (units, columns))
            operands.append(graph.constant(weights, "int8", scale=scales[part]))
    operands += [-1] * 3
    for _ in range(4):
        biases = dice.random.integers(-2000, 2001, units)
        operands.append(graph.constant(biases, scale=source.scale * scales["input"]))
    state = graph.chain.tensor(f"state_{y.index}", (1, units), scale=y.scale, zero_point=y.zero)
    cell = graph.chain.tensor(f"cell_{y.index}", (1, units), "int16", scale=2.0 ** dice.integer(-13, -9))
    for variable in (state, cell):
        graph.chain.graph.tensors[variable].isVariable = True
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction, options.timeMajor = 4, False
    options.cellClip, options.projClip = dice.pick([0.0, 10.0]), 0.0
    graph.add("UNIDIRECTIONAL_SEQUENCE_LSTM", [*operands, -1, -1, state, cell, *[-1] * 4], y, options)
    hidden = [graph.chain.tensor(f"gate_{k}_{y.index}", (0,), "float32") for k in range(4)]
    hidden.append(graph.chain.tensor(f"hidden_{y.index}", (0,), scale=y.scale, zero_point=y.zero))
    graph.chain.graph.operators[-1].intermediates = hidden
    return True


# --- element by element -------------------------------------------------------------------------------


def second_operand(graph: RandomGraph, x: Map, alike: bool = False) -> Map:
    """Another map of the shape, or a constant that is broadcast; `alike`: of the same scale, too."""

    def fits(y: Map) -> bool:
        return y.shape == x.shape and (not alike or (y.scale, y.zero) == (x.scale, x.zero))

    if graph.dice.chance(0.6):
        other = graph.pick(fits)
        if other is not None:
            return other
    ones = (1,) * (len(x.shape) - 1)
    shape = graph.dice.pick([(x.channels,), (x.channels,), (1,), (), (*ones, x.channels), x.shape])
    if alike:
        return graph.vector(shape, x.scale, x.zero)
    return graph.vector(
        shape, float(np.float32(x.scale * graph.dice.pick([1.0, graph.dice.between(0.2, 2.0)])))
    )


def in_any_order(graph: RandomGraph, a: Map, b: Map) -> list[Map]:
    return [a, b] if graph.dice.chance(0.7) else [b, a]


@makes("ADD", "SUB")
def add_and_sub(graph: RandomGraph, kind: str) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: x.shape)
    if x is None:
        return False
    y = second_operand(graph, x)
    options = schema.AddOptionsT() if kind == "ADD" else schema.SubOptionsT()
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    scale = max(x.scale, y.scale) * dice.pick([1.0, 1.0, 2.0, dice.between(0.5, 3.0)])
    return graph.add(kind, in_any_order(graph, x, y), graph.new(x.shape, scale), options)


@makes("MUL")
def mul(graph: RandomGraph) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: x.shape)
    if x is None:
        return False
    y = second_operand(graph, x)
    options = schema.MulOptionsT()
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    scale = x.scale * y.scale * dice.pick([64, 100.0, 128, dice.between(40.0, 200.0)])
    return graph.add("MUL", in_any_order(graph, x, y), graph.new(x.shape, scale), options)


@makes("MAXIMUM", "MINIMUM")
def maximum_and_minimum(graph: RandomGraph, kind: str) -> bool:
    x = graph.pick(lambda x: x.shape)
    if x is None:
        return False
    operands = in_any_order(graph, x, second_operand(graph, x, alike=True))
    return graph.add(kind, operands, graph.like(x, x.shape), schema.MaximumMinimumOptionsT())


@makes("PRELU")
def prelu(graph: RandomGraph) -> bool:
    x = graph.pick(lambda x: x.shape)
    if x is None:
        return False
    alpha = graph.vector(graph.dice.pick([x.shape[1:], x.shape[-1:], (1,) * len(x.shape)]))
    y = graph.new(x.shape, x.scale * graph.dice.pick([1.0, 0.5, graph.dice.between(0.3, 2.0)]))
    return graph.add("PRELU", [x, alpha], y, None)


@makes("RELU", "RELU6", "RELU_N1_TO_1", "QUANTIZE")
def rescaled(graph: RandomGraph, kind: str) -> bool:
    dice = graph.dice
    x = graph.pick()
    if x is None:
        return False
    y = graph.like(x, x.shape) if dice.chance() else graph.new(x.shape, x.scale * dice.between(0.4, 2.5))
    return graph.add(kind, [x], y, schema.QuantizeOptionsT() if kind == "QUANTIZE" else None)


@makes("ABS", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "RSQRT", "SQRT", "TANH")
def unary(graph: RandomGraph, kind: str) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: kind != "EXP" or x.scale < 0.05)
    if x is None:
        return False
    if kind in {"LOG", "RSQRT", "SQRT"} and x.zero != -128:
        # Of nothing negative.
        source, x = x, graph.new(x.shape, x.scale, -128)
        if not graph.add("QUANTIZE", [source], x, schema.QuantizeOptionsT()):
            return False
    scale, zero, options = x.scale * dice.between(0.3, 2.0), None, None
    if kind == "EXP":
        scale = float(np.exp(x.scale * dice.integer(1, 128))) / 128
    elif kind == "LOG":
        scale = float(np.abs(np.log([x.scale, 255 * x.scale])).max()) / dice.between(50.0, 300.0)
    elif kind == "RSQRT":
        scale = x.scale**-0.5 / dice.between(20.0, 300.0)
    elif kind == "SQRT":
        scale = (255 * x.scale) ** 0.5 / dice.between(100.0, 300.0)
    elif kind == "GELU":
        options = schema.GeluOptionsT()
        options.approximate = dice.chance()
    elif kind == "LEAKY_RELU":
        options = schema.LeakyReluOptionsT()
        options.alpha = dice.pick([0.0, 0.01, 0.1, 0.2, 0.5, 1.0, dice.between(0.0, 1.0)])
    elif kind in {"LOGISTIC", "TANH"}:
        scale, zero = (1 / 256, -128) if kind == "LOGISTIC" else (1 / 128, 0)
    return graph.add(kind, [x], graph.new(x.shape, scale, zero), options)


@makes("SOFTMAX")
def softmax(graph: RandomGraph) -> bool:
    # From 512 equal inputs on TFLite ends the process.
    x = graph.pick(lambda x: x.shape and x.channels < 500)
    if x is None:
        return False
    options = schema.SoftmaxOptionsT()
    options.beta = graph.dice.pick([1.0, 1.0, 0.5, 2.0])
    return graph.add("SOFTMAX", [x], graph.new(x.shape, 1 / 256, -128), options)


# --- windows and reductions ---------------------------------------------------------------------------


@makes("MAX_POOL_2D", "AVERAGE_POOL_2D")
def pool(graph: RandomGraph, kind: str) -> bool:
    x = graph.pick(rank=4)
    if x is None:
        return False
    options = schema.Pool2DOptionsT()
    window, out = slide(graph, x, options, dilates=False)
    options.filterHeight, options.filterWidth = window
    return graph.add(kind, [x], graph.like(x, (1, *out, x.channels)), options)


@makes("MEAN", "REDUCE_MAX", "REDUCE_MIN")
def reduction(graph: RandomGraph, kind: str) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: len(x.shape) >= 2)
    if x is None:
        return False
    rank = len(x.shape)
    first = dice.integer(1, rank - 1)
    axes = [1, 2] if rank == 4 and dice.chance() else list(range(first, dice.integer(first, rank - 1) + 1))
    options = schema.ReducerOptionsT()
    options.keepDims = dice.chance()
    if options.keepDims:
        shape = [1 if i in axes else size for i, size in enumerate(x.shape)]
    else:
        shape = [size for i, size in enumerate(x.shape) if i not in axes]
    signed = [axis - rank if dice.chance(0.2) else axis for axis in axes]
    mean = kind == "MEAN" and dice.chance(0.6)
    y = graph.new(shape, x.scale * dice.between(0.1, 1.0)) if mean else graph.like(x, shape)
    return graph.add(kind, [x, graph.constant(signed)], y, options)


@makes("ARG_MAX", "ARG_MIN", where=ENDINGS)
def arg_max(graph: RandomGraph, kind: str) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: len(x.shape) >= 2)
    if x is None:
        return False
    axis = dice.integer(1, len(x.shape) - 1)
    options = schema.ArgMaxOptionsT() if kind == "ARG_MAX" else schema.ArgMinOptionsT()
    dtype = dice.pick(["int32", "int64"])
    options.outputType = getattr(schema.TensorType, dtype.upper())
    y = graph.new(x.shape[:axis] + x.shape[axis + 1 :], 1.0, 0, dtype)
    return graph.add(kind, [x, graph.constant(axis)], y, options)


@makes("DEQUANTIZE", where=ENDINGS)
def dequantize(graph: RandomGraph) -> bool:
    x = graph.pick()
    if x is None:
        return False
    return graph.add("DEQUANTIZE", [x], graph.new(x.shape, 1.0, 0, "float32"), schema.DequantizeOptionsT())


# --- elements moved -----------------------------------------------------------------------------------


@makes("RESHAPE")
def reshape(graph: RandomGraph) -> bool:
    dice = graph.dice
    x = graph.pick()
    if x is None:
        return False
    factors = [n for n in range(1, x.elements + 1) if x.elements % n == 0]
    height = dice.pick(factors)
    width = dice.pick([n for n in factors if x.elements // height % n == 0])
    image = (1, height, width, x.elements // height // width)
    shape = dice.pick([(1, x.elements), x.shape, image, image, (x.elements // factors[-1], x.elements)])
    options = schema.ReshapeOptionsT()
    options.newShape = list(shape)
    return graph.add("RESHAPE", [x, graph.constant(shape)], graph.like(x, shape), options)


@makes("EXPAND_DIMS")
def expand_dims(graph: RandomGraph) -> bool:
    x = graph.pick(lambda x: len(x.shape) <= 3)
    if x is None:
        return False
    axis = graph.dice.integer(0, len(x.shape)) if len(x.shape) < 3 else 0
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    return graph.add(
        "EXPAND_DIMS", [x, graph.constant([axis])], graph.like(x, shape), schema.ExpandDimsOptionsT()
    )


@makes("SQUEEZE")
def squeeze(graph: RandomGraph) -> bool:
    x = graph.pick(lambda x: 1 in x.shape)
    if x is None:
        return False
    axis = graph.dice.pick([i for i, size in enumerate(x.shape) if size == 1])
    options = schema.SqueezeOptionsT()
    options.squeezeDims = [axis]
    return graph.add("SQUEEZE", [x], graph.like(x, x.shape[:axis] + x.shape[axis + 1 :]), options)


@makes("TRANSPOSE")
def transpose(graph: RandomGraph) -> bool:
    x = graph.pick(lambda x: x.shape)
    if x is None:
        return False
    order = [0, *(1 + graph.dice.random.permutation(len(x.shape) - 1))]
    shape = [x.shape[axis] for axis in order]
    return graph.add(
        "TRANSPOSE", [x, graph.constant(order)], graph.like(x, shape), schema.TransposeOptionsT()
    )


@makes("SLICE")
def slice_(graph: RandomGraph) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: x.shape)
    if x is None:
        return False
    begin = [dice.integer(0, size - 1) if dice.chance(0.4) else 0 for size in x.shape]
    most = [length - first for first, length in zip(begin, x.shape, strict=True)]
    size = [dice.integer(1, n) if dice.chance(0.4) else n for n in most]
    y = graph.like(x, size)
    return graph.add("SLICE", [x, graph.constant(begin), graph.constant(size)], y, schema.SliceOptionsT())


@makes("STRIDED_SLICE")
def strided_slice(graph: RandomGraph) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: 1 <= len(x.shape) <= 4)
    if x is None:
        return False
    ranges = [range(n)[:: dice.pick([1, 1, 1, 2, -1])] for n in x.shape]
    begin, stride = [each[0] for each in ranges], [each.step for each in ranges]
    end = [each[-1] + (1 if each.step > 0 else -1) for each in ranges]
    options = schema.StridedSliceOptionsT()
    options.beginMask = options.shrinkAxisMask = options.ellipsisMask = options.newAxisMask = 0
    # An end of -1 means the last element to a slice; only the mask says "all of it".
    options.endMask = sum((end[i] < 0) << i for i in range(len(end)))
    operands = [graph.constant(each) for each in (begin, end, stride)]
    return graph.add("STRIDED_SLICE", [x, *operands], graph.like(x, [len(r) for r in ranges]), options)


@makes("SPLIT", "SPLIT_V", "UNPACK")
def split(graph: RandomGraph, kind: str) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: len(x.shape) >= 2 and max(x.shape[1:]) > 1)
    if x is None:
        return False
    axis = dice.pick([i for i in range(1, len(x.shape)) if x.shape[i] > 1])
    length = x.shape[axis]
    if kind == "UNPACK":
        if length > 5:
            return False
        options: Any = schema.UnpackOptionsT()
        options.num, options.axis = length, axis
        shape = x.shape[:axis] + x.shape[axis + 1 :]
        return graph.add(kind, [x], [graph.like(x, shape) for _ in range(length)], options)
    if kind == "SPLIT":
        count = dice.pick([n for n in range(1, 5) if length % n == 0])
        lengths, options = [length // count] * count, schema.SplitOptionsT()
        operands: list[Map | int] = [graph.constant(axis), x]
    else:
        first = dice.integer(1, length - 1)
        lengths, options = [first, length - first], schema.SplitVOptionsT()
        operands = [x, graph.constant(lengths), graph.constant(axis)]
    options.numSplits = len(lengths)
    parts = [graph.like(x, (*x.shape[:axis], n, *x.shape[axis + 1 :])) for n in lengths]
    return graph.add(kind, operands, parts, options)


@makes("CONCATENATION", "PACK")
def join(graph: RandomGraph, kind: str) -> bool:
    dice = graph.dice
    x = graph.pick(
        lambda x: x.shape and x.elements <= LARGEST_MAP // 4 and (kind != "PACK" or len(x.shape) == 2)
    )
    if x is None:
        return False
    joined = kind == "CONCATENATION"
    axis = dice.integer(min(1, len(x.shape) - 1), len(x.shape) - 1) if joined else dice.integer(0, 2)
    if dice.chance() and joined:
        axis = len(x.shape) - 1

    def fits(y: Map) -> bool:
        alike = (y.scale, y.zero) == (x.scale, x.zero)
        if joined:
            shapes = len(y.shape) == len(x.shape) and all(
                a == b for i, (a, b) in enumerate(zip(x.shape, y.shape, strict=True)) if i != axis
            )
        else:
            shapes = y.shape == x.shape
        return alike and shapes and y.elements <= LARGEST_MAP // 4

    inputs = [x]
    for _ in range(dice.integer(0, 3)):
        other = graph.pick(fits) if dice.chance(0.7) else graph.vector(x.shape, x.scale, x.zero)
        inputs.append(other or x)
    if joined:
        length = sum(each.shape[axis] for each in inputs)
        shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
        options: Any = schema.ConcatenationOptionsT()
        options.fusedActivationFunction = 0
    else:
        shape = (*x.shape[:axis], len(inputs), *x.shape[axis:])
        options = schema.PackOptionsT()
        options.valuesCount = len(inputs)
    options.axis = axis - len(shape) if dice.chance(0.3) else axis
    return graph.add(kind, inputs, graph.like(x, shape), options)


@makes("PAD", "PADV2", "MIRROR_PAD")
def pad(graph: RandomGraph, kind: str) -> bool:
    dice = graph.dice
    x = graph.pick(lambda x: 1 <= len(x.shape) <= 4)
    if x is None:
        return False
    mirrors = kind == "MIRROR_PAD"
    options: Any = schema.MirrorPadOptionsT() if mirrors else schema.PadOptionsT()
    if kind == "PADV2":
        options = schema.PadV2OptionsT()
    if mirrors:
        options.mode = dice.pick([0, 1])
    pads = np.zeros((len(x.shape), 2), np.int32)
    for axis, size in enumerate(x.shape):
        most = min(2, size - 1 + options.mode) if mirrors else 2
        channels = axis == len(x.shape) - 1
        if axis > 0 and dice.chance(0.15 if channels else 0.7):
            pads[axis] = dice.integer(0, most), dice.integer(0, most)
    shape = [size + int(sum(pair)) for size, pair in zip(x.shape, pads, strict=True)]
    if math.prod(shape) > LARGEST_MAP:
        return False
    operands: list[Map | int] = [x, graph.constant(pads)]
    if kind == "PADV2":
        value = x.zero if dice.chance(0.3) else dice.integer(-128, 127)
        operands.append(graph.constant([value], "int8", scale=x.scale, zero_point=x.zero))
    return graph.add(kind, operands, graph.like(x, shape), options)


@makes("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR")
def resize(graph: RandomGraph, kind: str) -> bool:
    dice = graph.dice
    x = graph.pick(rank=4)
    if x is None:
        return False
    nearest = kind == "RESIZE_NEAREST_NEIGHBOR"
    options: Any = schema.ResizeNearestNeighborOptionsT() if nearest else schema.ResizeBilinearOptionsT()
    options.alignCorners, options.halfPixelCenters = dice.pick([(False, False), (True, False), (False, True)])
    size = [dice.pick([n, 2 * n, max(1, n // 2), dice.integer(1, 2 * n)]) for n in x.shape[1:3]]
    if math.prod(size) * x.channels > LARGEST_MAP:
        return False
    return graph.add(kind, [x, graph.constant(size)], graph.like(x, (1, *size, x.channels)), options)


@makes("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def depth_and_space(graph: RandomGraph, kind: str) -> bool:
    block = graph.dice.pick([1, 2, 2, 3])
    deep = kind == "DEPTH_TO_SPACE"
    x = graph.pick(
        lambda x: x.channels % block**2 == 0 if deep else x.shape[1] % block == x.shape[2] % block == 0,
        rank=4,
    )
    if x is None:
        return False
    options = schema.DepthToSpaceOptionsT() if deep else schema.SpaceToDepthOptionsT()
    options.blockSize = block
    _, height, width, channels = x.shape
    wide, narrow = (height * block, width * block), (height // block, width // block)
    shape = (1, *wide, channels // block**2) if deep else (1, *narrow, channels * block**2)
    return graph.add(kind, [x], graph.like(x, shape), options)


# --- whole graphs -------------------------------------------------------------------------------------

IMAGE_KINDS = (
    "CONV_2D CONV_2D CONV_2D DEPTHWISE_CONV_2D DEPTHWISE_CONV_2D ADD ADD MUL RELU RELU6 MAXIMUM PAD "
    "MAX_POOL_2D AVERAGE_POOL_2D CONCATENATION HARD_SWISH"
).split()
"""What a network for images is mostly made of."""
LIKELY = {"CONV_2D": 8, "DEPTHWISE_CONV_2D": 5, "ADD": 3, "EXPAND_DIMS": 3} | dict.fromkeys(
    ("FULLY_CONNECTED", "CONCATENATION", "MUL"), 2
)
"""How often an operator is tried against the others."""


@dataclass(frozen=True)
class Drawn:
    """A finished file, and what is in it."""

    seed: int
    tflite: bytes
    kinds: tuple[str, ...]
    inputs: tuple[tuple[tuple[int, ...], str], ...]
    """Shape and type of each."""

    def feeds(self, count: int) -> list[list[np.ndarray]]:
        """So many times an array for each input: uniform ones, and now and then extreme ones."""
        dice = Dice(self.seed + 1, 8)
        return [
            [
                dice.random.normal(0, 3, shape).astype(np.float32)
                if dtype == "float32"
                else dice.array(shape, dtype)
                for shape, dtype in self.inputs
            ]
            for _ in range(count)
        ]


def random_graph(seed: int, operators: int | None = None) -> Drawn:
    """The graph of this seed: images or vectors, some operators, and outputs that show the loose ends."""
    dice = Dice(seed, 8)
    graph = RandomGraph(dice, deep=dice.chance(0.3))
    inputs = [_draw_input(graph) for _ in range(dice.pick([1] * 6 + [2]))]
    if dice.chance(0.15):
        # What is read of it alone does not depend on the input.
        graph.maps.insert(0, graph.vector((1, 6, 5, dice.pick(CHANNELS[:7]))))
    wanted = operators or dice.integer(1, 12)
    kinds = IMAGE_KINDS if graph.deep else [kind for kind in MAKERS for _ in range(LIKELY.get(kind, 1))]
    for _ in range(40 * wanted):
        if len(graph.kinds) >= wanted:
            break
        if len(graph.kinds) > 1 and dice.chance(0.08):
            _repeat(graph)
        else:
            MAKERS[dice.pick(kinds)](graph)
    if graph.deep and dice.chance():
        MAKERS["FULLY_CONNECTED"](graph)
    outputs = _draw_outputs(graph, {index for index, _, _ in inputs})
    tflite = graph.chain.finish([index for index, _, _ in inputs], [y.index for y in outputs])
    return Drawn(seed, tflite, tuple(graph.kinds), tuple((shape, dtype) for _, shape, dtype in inputs))


def _draw_input(graph: RandomGraph) -> tuple[int, tuple[int, ...], str]:
    """An input: mostly an int8 image; also vectors, and uint8 or float32 that is quantized first."""
    dice = graph.dice
    side = dice.pick([12, 16, 19, 24]) if graph.deep else dice.pick([1, 3, 4, 6, 8, 8, 11, 12, 16])
    image = (1, side, dice.pick([side, side, 1, 5, 9]), dice.pick(CHANNELS[:8]))
    shape = image if graph.deep or dice.chance(0.85) else (1, dice.integer(1, 60))
    dtype = dice.pick(["int8"] * 8 + ["uint8", "float32"])
    if dtype == "int8":
        x = graph.new(shape, dice.factor(0.005, 0.5))
        graph.maps.append(x)
    else:
        scale = dice.factor(0.01, 0.2)
        x = graph.new(shape, scale, dice.zero_point("uint8") if dtype == "uint8" else 0, dtype)
        graph.add("QUANTIZE", [x], graph.new(shape, scale), schema.QuantizeOptionsT())
    return x.index, shape, dtype


def _repeat(graph: RandomGraph) -> None:
    """Some operator of the file once more, on the very same operands."""
    operators = graph.chain.graph.operators
    at = graph.dice.integer(0, len(operators) - 1)
    operator = operators[at]
    if graph.kinds[at] == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return  # the two would share a state
    made = {x.index: x for x in graph.maps}
    outputs = [graph.like(made[i], made[i].shape) for i in operator.outputs]
    kind = graph.kinds[at]
    graph.add(kind, list(operator.inputs), outputs, operator.builtinOptions)


def _draw_outputs(graph: RandomGraph, inputs: set[int]) -> list[Map]:
    """Outputs that every map which nobody reads has a part in; a few are left unread all the same.

    Mostly one. Now and then they are outputs each, or one that is read is an output besides.
    """
    dice = graph.dice
    if set(graph.kinds) <= {"QUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"}:
        # A model that computes nothing is refused.
        x = graph.maps[-1]
        graph.read.add(x.index)
        graph.add("RELU", [x], graph.new(x.shape, x.scale * 1.3, -30), None)
    made = [x for x in graph.maps if not x.constant and x.index not in inputs]
    unread = [x for x in made if x.index not in graph.read and dice.chance(0.9)] or made[-1:]
    if len(unread) > 4 or (len(unread) > 1 and dice.chance(0.7)):
        unread = [_joined(graph, unread)]
    if dice.chance(0.1):
        unread += [x for x in made if x not in unread][:1]
    if dice.chance(0.15):
        graph.maps = unread[-1:]
        ENDINGS[dice.pick(sorted(ENDINGS))](graph)
        unread[-1] = graph.maps[-1]
    return unread


def _joined(graph: RandomGraph, maps: Sequence[Map]) -> Map:
    """All elements of these maps in a row."""
    joined = graph.new((1, sum(x.elements for x in maps)), sorted(x.scale for x in maps)[len(maps) // 2])
    flat = []
    for x in maps:
        y = graph.like(x, (1, x.elements))
        graph.add("RESHAPE", [x, graph.constant(y.shape)], y, schema.ReshapeOptionsT())
        z = graph.like(joined, y.shape)
        graph.add("QUANTIZE", [y], z, schema.QuantizeOptionsT())
        flat.append(z)
    options = schema.ConcatenationOptionsT()
    options.axis, options.fusedActivationFunction = 1, 0
    graph.add("CONCATENATION", flat, joined, options)
    return joined


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--write", type=Path, help="the file to write, by default graph_SEED.tflite")
    given = parser.parse_args()
    drawn = random_graph(given.seed)
    path = given.write or Path(f"graph_{given.seed}.tflite")
    path.write_bytes(drawn.tflite)
    inputs = ", ".join(f"{dtype}{list(shape)}" for shape, dtype in drawn.inputs)
    print(f"{path}: {inputs} -> {' '.join(drawn.kinds)}")


if __name__ == "__main__":
    main()
