"""Bias correction: what rounding shifts on average is taken back in the biases, at no cost at run time.

Rounded weights make a layer's outputs wrong by an amount whose mean over the data is not zero, and later
layers carry it on. The mean of a layer with weights W and bias b over samples and positions is
W * E[x] + b, where E[x] is the mean of the patches that it reads: so the float layer's and the int8
layer's are both known from the mean of their inputs over the calibration samples, and the difference is
added to the bias. Layers are corrected in execution order, each with the inputs that the corrected
ones before it make, so that whatever shifted them (weights, ranges that cut, roundings) is taken back too.

Source: M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-Free Quantization Through Weight
Equalization and Bias Correction", ICCV 2019 (section 4.2; the empirical form, appendix D).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.load.samples import spread
from pipeline.progress import Progress
from pipeline.quantize.tflite_graph import Operator, TfliteGraph, run_graph
from pipeline.quantize.twins import match_operators
from pipeline.tensors import Values

SAMPLES = 64
BIAS_TYPES = (schema.TensorType.INT32, schema.TensorType.INT64)
CORRECTED = frozenset({Operator.CONV_2D, Operator.DEPTHWISE_CONV_2D, Operator.FULLY_CONNECTED})


def correct_biases(
    graph: TfliteGraph, tflite: bytes, x: Values, progress: Progress | None = None
) -> tuple[bytes, int]:
    """The int8 file with corrected biases, and of how many layers; `graph` is the float one it was made of.

    The mean is that of at most `SAMPLES` of the samples float32 (N, *input_shape), evenly spaced.
    """
    x = x[spread(len(x), SAMPLES)]
    integers = TfliteGraph(tflite)
    pairs = [
        (graph.operators[place], op)
        for op, place in match_operators(integers, graph)
        if integers.kind(op) in CORRECTED
        and _has_own_bias(integers, op)
        and graph.constant(int(graph.operators[place].inputs[1])) is not None
        and not _is_grouped(integers, op)
    ]
    means = _means(graph.pack(), x, [int(op.inputs[0]) for op, _ in pairs])
    content = bytearray(tflite)
    for number, (float_op, op) in enumerate(pairs):
        source = int(op.inputs[0])
        wanted = mean_output(graph, float_op, means[int(float_op.inputs[0])])
        held = _means(bytes(content), x, [source])[source]
        _shift_bias(content, integers, op, wanted - mean_output(integers, op, held))
        if progress:
            progress("correcting biases", number + 1, len(pairs))
    return bytes(content), len(pairs)


def _has_own_bias(integers: TfliteGraph, operator: Any) -> bool:
    """Whether its bias lies in a buffer that no other tensor shares."""
    tensors = integers.subgraph.tensors
    bias = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
    if integers.constant(bias) is None or tensors[bias].type not in BIAS_TYPES:
        return False
    return [tensor.buffer for tensor in tensors].count(tensors[bias].buffer) == 1


def _is_grouped(integers: TfliteGraph, operator: Any) -> bool:
    channels = integers.shape(int(operator.inputs[0]))[-1]
    return integers.kind(operator) == Operator.CONV_2D and (
        integers.shape(int(operator.inputs[1]))[-1] != channels
    )


def _means(content: bytes, x: Values, tensors: list[int]) -> dict[int, np.ndarray]:
    """float64: the mean over the samples of each tensor's real values."""
    sums: dict[int, np.ndarray] = {}
    for values in run_graph(content, x, list(dict.fromkeys(tensors))):
        for tensor, held in values.items():
            sums[tensor] = sums.get(tensor, 0.0) + held.astype(np.float64)
    return {tensor: total / len(x) for tensor, total in sums.items()}


def mean_output(graph: TfliteGraph, operator: Any, mean: np.ndarray) -> np.ndarray:
    """float64 (channels,): the layer's mean output before its activation, for the mean of its inputs."""
    weights = graph.real_constant(int(operator.inputs[1]))
    bias = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
    if graph.kind(operator) == Operator.FULLY_CONNECTED:
        total = weights @ mean.reshape(-1, weights.shape[1]).mean(axis=0)
    else:
        patch = _mean_patch(graph, operator, mean, weights.shape[1:3])
        if graph.kind(operator) == Operator.DEPTHWISE_CONV_2D:
            times = weights.shape[3] // patch.shape[2]
            total = (weights[0] * np.repeat(patch, times, axis=2)).sum(axis=(0, 1))
        else:
            total = np.einsum("ohwc,hwc->o", weights, patch)
    mean_output: np.ndarray = total + (graph.real_constant(bias) if bias >= 0 else 0.0)
    return mean_output


def _mean_patch(graph: TfliteGraph, operator: Any, mean: np.ndarray, window: tuple[int, ...]) -> np.ndarray:
    """float64 (window height, window width, channels): the mean of what it covers, padding included."""
    options = operator.builtinOptions
    strides = (options.strideH, options.strideW)
    dilations = (options.dilationHFactor, options.dilationWFactor)
    outputs = graph.shape(int(operator.outputs[0]))[1:3]
    pads = []
    for axis in range(2):
        reach = (outputs[axis] - 1) * strides[axis] + (window[axis] - 1) * dilations[axis] + 1
        missing = max(0, reach - mean.shape[1 + axis])
        # SAME: the odd row goes to the end.
        pads.append((missing // 2, missing - missing // 2))
    padded = np.pad(mean[0], (*pads, (0, 0)))
    patch = np.empty((*window, mean.shape[3]))
    for row in range(window[0]):
        for column in range(window[1]):
            top, left = row * dilations[0], column * dilations[1]
            covered = padded[top :: strides[0], left :: strides[1]][: outputs[0], : outputs[1]]
            patch[row, column] = covered.mean(axis=(0, 1))
    return patch


def _shift_bias(content: bytearray, integers: TfliteGraph, operator: Any, shift: np.ndarray) -> None:
    """Add a real shift (channels,) to the bias, in the file and in `integers`."""
    tensor = int(operator.inputs[2])
    held = integers.subgraph.tensors[tensor]
    bias = integers.constant(tensor)
    assert bias is not None
    steps = np.round(shift / np.asarray(held.quantization.scale, np.float64))
    limits = np.iinfo(np.int32)
    if bias.dtype == np.int32:
        steps = np.clip(bias + steps, limits.min, limits.max) - bias
    corrected = bias + steps.astype(bias.dtype)
    # In the file's own bytes: packed anew, its buffers would lose their alignment.
    schema.Model.GetRootAs(content, 0).Buffers(held.buffer).DataAsNumpy()[:] = corrected.view(np.uint8)
    integers.set_constant(tensor, corrected)
