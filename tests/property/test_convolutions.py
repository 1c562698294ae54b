"""Convolutions and products of matrices against TFLite's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given

from pipeline.operators import BY_TFLITE_NAME
from pipeline.read_tflite import read_tflite
from pipeline.tensors import Quantization, Tensor
from tests.property.c_kernels import Kernels
from tests.property.cases import (
    DICE,
    Dice,
    bias_of,
    channel_clamp,
    channel_scales,
    check,
    finer,
    fitting_scales,
    spread_of,
)
from tests.property.oracle import run_reference
from tests.property.tflite_builder import Spec, build

ACTIVATIONS = (0, 1, 2, 3)
SAME, VALID = 0, 1


def convolution(dice: Dice, depthwise: bool, groups: int = 1, element: str = "int8") -> dict[str, Any]:
    window = (dice.length(1, 4), dice.length(1, 4))
    stride = (dice.integer(1, 3), dice.integer(1, 3))
    dilation = (dice.integer(1, 3), dice.integer(1, 3)) if dice.chance(0.4) else (1, 1)
    padding = dice.pick([SAME, VALID])
    reach = [(window[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    least = reach if padding == VALID else [1, 1]
    size = (dice.length(least[0], least[0] + 10), dice.length(least[1], least[1] + 10))
    channels = groups * dice.length(1, 12 // groups)
    filters = channels * dice.pick([1, 1, 2, 3]) if depthwise else groups * dice.length(1, 12 // groups)
    shape = (1, *window, filters) if depthwise else (filters, *window, channels // groups)
    out = [
        -(-size[i] // stride[i]) if padding == SAME else (size[i] - reach[i]) // stride[i] + 1 for i in (0, 1)
    ]
    fused = {
        "floor": channel_clamp(dice, filters, -128 * finer(element), 20 * finer(element)),
        "ceiling": channel_clamp(dice, filters, -20 * finer(element), 127 * finer(element)),
        "pool": (dice.integer(1, min(3, out[0])), dice.integer(1, min(3, out[1]))) if dice.chance() else None,
    }
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = stride
    options.dilationHFactor, options.dilationWFactor = dilation
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    if depthwise:
        options.depthMultiplier = filters // channels
    zero, x = dice.zero_point(element), dice.array((1, *size, channels), element)
    w = np.maximum(dice.array(shape), -127)
    spread = spread_of(x, zero, w, window[0] * window[1] * (1 if depthwise else channels))
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread, element)
    # TFLite's convolutions insist on a bias.
    inputs = [
        Spec((1, *size, channels), element, x_scale, zero),
        Spec(shape, scale=channel_scales(dice, w_scale, filters), axis=3 if depthwise else 0, data=w),
        bias_spec(dice, filters, x_scale * w_scale, spread, element),
    ]
    return {
        "options": options,
        "inputs": inputs,
        "output": Spec((1, *out, filters), element, scale, dice.zero_point(element)),
        "arrays": [x],
        "fused": fused if any(value is not None for value in fused.values()) else None,
    }


def bias_spec(dice: Dice, channels: int, scale: float, spread: float, element: str) -> Spec:
    """A bias as TFLite has it beside activations of this type."""
    dtype = "int64" if element == "int16" else "int32"
    return Spec((channels,), dtype, scale, data=bias_of(dice, channels, spread, dtype))


@given(dice=DICE)
def test_conv_2d(kernels: Kernels, dice: Dice) -> None:
    check(kernels, "CONV_2D", **convolution(dice, depthwise=False))


@given(dice=DICE)
def test_conv_2d_in_groups(dice: Dice) -> None:
    """Its weights are read as those of one group, zero where a group does not look."""
    case = convolution(dice, depthwise=False, groups=dice.integer(2, 4))
    tflite = build("CONV_2D", case["options"], case["inputs"], case["output"])
    graph = read_tflite(tflite, "grouped")
    (node,) = graph.nodes
    operands = graph.operands(node)
    (x,), weights = case["arrays"], operands[1]
    assert weights is not None
    assert weights.shape[3] == x.shape[3]
    p = node.op.parameters(operands, graph.tensors[node.output])
    np.testing.assert_array_equal(node.op.reference(p, x, weights.data), run_reference(tflite, [x]))


@given(dice=DICE)
def test_depthwise_conv_2d(kernels: Kernels, dice: Dice) -> None:
    check(kernels, "DEPTHWISE_CONV_2D", **convolution(dice, depthwise=True))


@given(dice=DICE)
def test_fully_connected(kernels: Kernels, dice: Dice) -> None:
    check(kernels, "FULLY_CONNECTED", **dense(dice))


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
@given(dice=DICE)
def test_weights_of_four_bits(kernels: Kernels, name: str, dice: Dice) -> None:
    """Two weights lie in a byte of the file; of an odd number the last half byte is empty."""
    case = dense(dice) if name == "FULLY_CONNECTED" else convolution(dice, name == "DEPTHWISE_CONV_2D")
    x, weights, *bias = case["inputs"]
    few = replace(weights, dtype="int4", data=np.maximum(weights.data >> 4, -7))
    check(kernels, name, **case | {"inputs": [x, few, *bias]})


def dense(dice: Dice, element: str = "int8") -> dict[str, Any]:
    depth, outputs, rows = dice.integer(1, 10 * dice.size), dice.length(1, 11), dice.length(1, 3)
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = dice.chance()
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    shape = (1, rows, depth) if options.keepNumDims else (rows, depth)
    zero, x, w = dice.zero_point(element), dice.array(shape, element), dice.array((outputs, depth))
    spread = spread_of(x, zero, w, depth)
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread, element)
    bias = bias_spec(dice, outputs, x_scale * w_scale, spread, element)
    inputs = [
        Spec(shape, element, x_scale, zero),
        Spec((outputs, depth), scale=channel_scales(dice, w_scale, outputs), data=w),
        dice.pick([bias, bias, None]),
    ]
    output = Spec((*shape[:-1], outputs), element, scale, dice.zero_point(element))
    return {"options": options, "inputs": inputs, "output": output, "arrays": [x]}


@given(dice=DICE)
def test_transpose_conv(kernels: Kernels, dice: Dice) -> None:
    check(kernels, "TRANSPOSE_CONV", **transposed(dice))


def transposed(dice: Dice, element: str = "int8") -> dict[str, Any]:
    window = (dice.length(1, 5), dice.length(1, 5))
    stride = (dice.integer(1, 3), dice.integer(1, 3))
    size, padding = (dice.length(1, 6), dice.length(1, 6)), dice.pick([SAME, VALID])
    # With VALID a window that does not reach the next one leaves a gap; TFLite then wants one more row.
    out = [size[i] * stride[i] + (max(window[i] - stride[i], 0) if padding == VALID else 0) for i in (0, 1)]
    channels, filters = dice.length(1, 8), dice.length(1, 8)
    options = schema.TransposeConvOptionsT()
    options.padding = padding
    options.strideH, options.strideW = stride
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    zero, x = dice.zero_point(element), dice.array((1, *size, channels), element)
    w = np.maximum(dice.array((filters, *window, channels)), -127)
    taps = channels * max(1, window[0] // stride[0]) * max(1, window[1] // stride[1])
    spread = spread_of(x, zero, w, taps)
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread, element)
    shape = (1, *out, filters)
    inputs = [
        Spec((4,), "int32", data=np.array(shape, np.int32)),
        Spec(w.shape, scale=channel_scales(dice, w_scale, filters), data=w),
        Spec(x.shape, element, x_scale, zero),
    ]
    if dice.chance(0.7):
        inputs.append(bias_spec(dice, filters, x_scale * w_scale, spread, element))
    output = Spec(shape, element, scale, dice.zero_point(element))
    return {"options": options, "inputs": inputs, "output": output, "arrays": [x]}


@given(dice=DICE)
def test_batch_matmul(kernels: Kernels, dice: Dice) -> None:
    check(kernels, "BATCH_MATMUL", **product(dice))


def product(dice: Dice, element: str = "int8") -> dict[str, Any]:
    rows, depth, columns = dice.length(1, 7), dice.length(1, 12), dice.length(1, 7)
    batch = tuple(dice.length(1, 3) for _ in range(dice.integer(0, 2)))
    options = schema.BatchMatMulOptionsT()
    options.adjX, options.adjY = dice.chance(), dice.chance()
    other = dice.pick([batch, batch, batch[1:], tuple(1 if dice.chance() else n for n in batch)])
    batches = [batch, other] if dice.chance() else [other, batch]
    shapes = [
        (*batches[0], *((depth, rows) if options.adjX else (rows, depth))),
        (*batches[1], *((columns, depth) if options.adjY else (depth, columns))),
    ]
    arrays = [dice.array(shape, element) for shape in shapes]
    zeros, scales = [dice.zero_point(element) for _ in range(3)], [dice.factor(1e-3) for _ in range(2)]
    spread = spread_of(arrays[0], zeros[0], arrays[1].astype(float) - zeros[1], depth)
    scale = float(
        np.float32(scales[0] * scales[1] * spread / dice.pick([60.0, 100.0, 64.0]) / finer(element))
    )
    constant = dice.chance(0.3)
    inputs = [
        Spec(shapes[0], element, scales[0], zeros[0]),
        Spec(shapes[1], element, scales[1], zeros[1], data=arrays[1] if constant else None),
    ]
    output = Spec((*np.broadcast_shapes(*batches), rows, columns), element, scale, zeros[2])
    given = arrays[: 1 if constant else 2]
    return {"options": options, "inputs": inputs, "output": output, "arrays": given}


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
@given(dice=DICE)
def test_sums_on_and_beside_the_ties(kernels: Kernels, name: str, dice: Dice) -> None:
    """Sums that lie at a half of the output's scale or one off, set by the bias; all inputs are real 0."""
    outputs = 200
    x_scale, w_scale = dice.factor(1e-3, 0.5), dice.factor(1e-3, 0.5)
    scale = float(np.float32(x_scale * w_scale / dice.factor(4e-7, 0.9)))
    scales: Any = w_scale
    if dice.chance():
        scales = tuple(float(np.float32(w_scale * f)) for f in dice.random.uniform(0.5, 1.0, outputs))
    real = x_scale * np.array(scales) / scale
    halves = dice.random.integers(-130, 130, outputs) + 0.5
    bias = (np.round(halves / real) + dice.random.integers(-1, 2, outputs)).astype(np.int32)
    if name == "FULLY_CONNECTED":
        options: Any = schema.FullyConnectedOptionsT()
        shapes, axis = ((1, 1), (outputs, 1), (1, outputs)), 0
    else:
        depthwise = name == "DEPTHWISE_CONV_2D"
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.strideH = options.strideW = 1
        options.depthMultiplier = outputs
        shapes = ((1, 1, 1, 1), (1, 1, 1, outputs) if depthwise else (outputs, 1, 1, 1), (1, 1, 1, outputs))
        axis = 3 if depthwise else 0
    zero = dice.zero_point()
    inputs = [
        Spec(shapes[0], scale=x_scale, zero_point=zero),
        Spec(shapes[1], scale=scales, axis=axis, data=np.ones(shapes[1], np.int8)),
        Spec((outputs,), "int32", x_scale * w_scale, data=bias),
    ]
    output = Spec(shapes[2], scale=scale, zero_point=dice.pick([0, -3, 5]))
    check(kernels, name, options, inputs, output, [np.full(shapes[0], zero, np.int8)])


def test_a_convolution_without_bias_has_a_bias_of_zero(kernels: Kernels) -> None:
    """TFLite refuses it, other converters may not."""
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = 1
    x = Tensor("x", (1, 4, 4, 3), "int8", Quantization((0.1,), (3,)))
    data = np.arange(5 * 9 * 3, dtype=np.int64).astype(np.int8).reshape(5, 3, 3, 3)
    w = Tensor("w", data.shape, "int8", Quantization((0.02,), (0,)), data)
    y = Tensor("y", (1, 4, 4, 5), "int8", Quantization((0.5,), (-7,)))
    zeros = Tensor("b", (5,), "int32", None, np.zeros(5, np.int32))
    op = BY_TFLITE_NAME["CONV_2D"].read(options, [x, w], y)
    image = np.arange(-24, 24, dtype=np.int8).reshape(1, 4, 4, 3)
    wanted = op.reference(op.parameters([x, w, zeros], y), image, data)
    for inputs in ([x, w], [x, w, None]):
        assert op.problems(inputs, y) == []
        parameters = op.parameters(inputs, y)
        np.testing.assert_array_equal(op.reference(parameters, image, data), wanted)
        np.testing.assert_array_equal(kernels.run("conv_2d", parameters, [image, data], wanted), wanted)
