"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED against TFLite's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from c_kernels import Kernels
from cases import check, factors, integers_like, zero_points
from hypothesis import given
from hypothesis import strategies as st
from tflite_builder import Spec

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
