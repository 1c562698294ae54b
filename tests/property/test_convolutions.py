"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED against TFLite's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from c_kernels import Kernels
from cases import check, factors, integers_like, zero_points
from hypothesis import given
from hypothesis import strategies as st
from tflite_builder import Spec

from pipeline.operators import BY_TFLITE_NAME
from pipeline.tensors import Quantization, Tensor

ACTIVATIONS = (0, 1, 2, 3)
SAME, VALID = 0, 1


@st.composite
def biases(draw: Any, channels: int, spread: float) -> np.ndarray | None:
    kind = draw(st.sampled_from(["none", "zero", "random", "large"]))
    if kind == "none":
        return None
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reach = {"zero": 0, "random": int(spread) + 1, "large": 2**24}[kind]
    return random.integers(-reach, reach + 1, channels).astype(np.int32)


@st.composite
def output_scales(draw: Any, product: float, spread: float) -> float:
    """A scale at which sums of this spread fill the int8 range more or less, sometimes making ties."""
    wanted = product * spread / draw(st.sampled_from([4.0, 20.0, 60.0, 200.0, 2000.0]))
    if draw(st.booleans()):
        return float(product * 2.0 ** np.round(np.log2(wanted / product)))
    return float(np.float32(wanted * draw(st.floats(0.7, 1.4))))


@st.composite
def channel_clamps(draw: Any, channels: int) -> tuple[int, ...] | None:
    if draw(st.booleans()):
        return None
    return tuple(draw(st.lists(st.integers(-128, 127), min_size=channels, max_size=channels)))


@st.composite
def convolutions(draw: Any, depthwise: bool) -> dict[str, Any]:
    window = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3))) if draw(st.booleans()) else (1, 1)
    padding = draw(st.sampled_from([SAME, VALID]))
    reach = [(window[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    least = reach if padding == VALID else (1, 1)
    size = tuple(draw(st.integers(least[i], least[i] + 7)) for i in (0, 1))
    channels = draw(st.integers(1, 9))
    filters = channels * draw(st.integers(1, 3)) if depthwise else draw(st.integers(1, 9))
    shape = (1, *window, filters) if depthwise else (filters, *window, channels)
    taps = window[0] * window[1] * (1 if depthwise else channels)
    spread = 74.0 * 74.0 * np.sqrt(taps)
    x_scale = draw(factors())
    w_scale = draw(factors())
    scales: Any = w_scale
    if draw(st.booleans()):
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        scales = tuple(float(np.float32(w_scale * f)) for f in random.uniform(0.5, 2.0, filters))
    out = [
        -(-size[i] // stride[i]) if padding == SAME else (size[i] - reach[i]) // stride[i] + 1 for i in (0, 1)
    ]
    fused = {"floor": draw(channel_clamps(filters)), "ceiling": draw(channel_clamps(filters)), "pool": None}
    if draw(st.booleans()):
        fused["pool"] = (draw(st.integers(1, min(3, out[0]))), draw(st.integers(1, min(3, out[1]))))
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = stride
    options.dilationHFactor, options.dilationWFactor = dilation
    options.fusedActivationFunction = draw(st.sampled_from(ACTIVATIONS))
    if depthwise:
        options.depthMultiplier = filters // channels
    w = np.maximum(draw(integers_like(shape)), -127)
    # TFLite's convolutions insist on a bias.
    bias = draw(biases(filters, spread).map(lambda b: np.zeros(filters, np.int32) if b is None else b))
    inputs = [
        Spec((1, *size, channels), scale=x_scale, zero_point=draw(zero_points())),
        Spec(shape, scale=scales, axis=3 if depthwise else 0, data=w),
        Spec((filters,), "int32", x_scale * w_scale, data=bias),
    ]
    scale = draw(output_scales(x_scale * w_scale, spread))
    return {
        "options": options,
        "inputs": inputs,
        "output": Spec((1, *out, filters), scale=scale, zero_point=draw(zero_points())),
        "arrays": [draw(integers_like((1, *size, channels)))],
        "fused": fused if any(value is not None for value in fused.values()) else None,
    }


@given(case=convolutions(depthwise=False))
def test_conv_2d(kernels: Kernels, case: dict[str, Any]) -> None:
    check(kernels, "CONV_2D", **case)


@given(case=convolutions(depthwise=True))
def test_depthwise_conv_2d(kernels: Kernels, case: dict[str, Any]) -> None:
    check(kernels, "DEPTHWISE_CONV_2D", **case)


@st.composite
def dense(draw: Any) -> dict[str, Any]:
    depth, outputs = draw(st.integers(1, 70)), draw(st.integers(1, 11))
    keep = draw(st.booleans())
    rows = draw(st.integers(1, 3))
    shape = (1, rows, depth) if keep else (rows, depth)
    spread = 74.0 * 74.0 * np.sqrt(depth)
    x_scale, w_scale = draw(factors()), draw(factors())
    scales: Any = w_scale
    if draw(st.booleans()):
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        scales = tuple(float(np.float32(w_scale * f)) for f in random.uniform(0.5, 2.0, outputs))
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = keep
    options.fusedActivationFunction = draw(st.sampled_from(ACTIVATIONS))
    bias = draw(biases(outputs, spread))
    inputs = [
        Spec(shape, scale=x_scale, zero_point=draw(zero_points())),
        Spec((outputs, depth), scale=scales, data=draw(integers_like((outputs, depth)))),
        None if bias is None else Spec((outputs,), "int32", x_scale * w_scale, data=bias),
    ]
    return {
        "options": options,
        "inputs": inputs,
        "output": Spec(
            (*shape[:-1], outputs),
            scale=draw(output_scales(x_scale * w_scale, spread)),
            zero_point=draw(zero_points()),
        ),
        "arrays": [draw(integers_like(shape))],
    }


@given(case=dense())
def test_fully_connected(kernels: Kernels, case: dict[str, Any]) -> None:
    check(kernels, "FULLY_CONNECTED", **case)


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
@given(data=st.data())
def test_sums_on_and_beside_the_ties(kernels: Kernels, name: str, data: st.DataObject) -> None:
    """Sums that lie at a half of the output's scale or one off, set by the bias; all inputs are real 0."""
    outputs = 200
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x_scale, w_scale = data.draw(factors(1e-3, 0.5)), data.draw(factors(1e-3, 0.5))
    scale = float(np.float32(x_scale * w_scale / data.draw(factors(2e-5, 0.9))))
    scales: Any = w_scale
    if data.draw(st.booleans()):
        scales = tuple(float(np.float32(w_scale * f)) for f in random.uniform(0.5, 1.0, outputs))
    real = x_scale * np.array(scales) / scale
    halves = random.integers(-130, 130, outputs) + 0.5
    bias = (np.round(halves / real) + random.integers(-1, 2, outputs)).astype(np.int32)
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
    zero = data.draw(zero_points())
    inputs = [
        Spec(shapes[0], scale=x_scale, zero_point=zero),
        Spec(shapes[1], scale=scales, axis=axis, data=np.ones(shapes[1], np.int8)),
        Spec((outputs,), "int32", x_scale * w_scale, data=bias),
    ]
    output = Spec(shapes[2], scale=scale, zero_point=data.draw(st.sampled_from([0, -3, 5])))
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
        assert parameters["bias"] is None
        np.testing.assert_array_equal(op.reference(parameters, image, data), wanted)
        np.testing.assert_array_equal(kernels.run("conv_2d", parameters, [image, data], wanted), wanted)
