"""int16 activations as TFLite's kernels take them, where its quantizer leaves something else."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.quantize.tflite_graph import Operator, TfliteGraph

WITH_BIAS = {
    Operator.CONV_2D: 2,
    Operator.DEPTHWISE_CONV_2D: 2,
    Operator.FULLY_CONNECTED: 2,
    Operator.TRANSPOSE_CONV: 3,
}
"""At which place each reads its bias."""
SCALED_BY = {2: (0, 1), 3: (2, 1)}
"""Whose scales make that of a bias at this place: the input's and the weights'."""
LARGEST_BIAS = 2**46
"""Sums of more than 47 bits leave the kernels' 64 no room for their factor."""


def as_kernels_take_it(tflite: bytes, floats: bytes) -> bytes:
    """A file that the quantizer made of a float one: zero points of 0, biases of 64 bits.

    It lets a range reach as far below real 0 as above, in 65,535 steps: 0 is then half a step beside an
    integer, and rounded to either side; kernels take it for 0. What is never negative, such as a sigmoid,
    starts at the lowest integer; kernels want it at 0 as well, in steps twice as coarse. It makes biases
    of 32 bits, with which kernels sum in 32 bits, where nothing keeps sums of int16 from overflowing.
    """
    graph, real = TfliteGraph(tflite), TfliteGraph(floats)
    for index, tensor in enumerate(graph.subgraph.tensors):
        held = tensor.quantization
        if tensor.type == schema.TensorType.INT16 and held is not None and np.any(held.zeroPoint):
            _centre(graph, index)
    written = {real.name(int(operator.outputs[0])): operator for operator in real.operators}
    for operator in graph.operators:
        place = WITH_BIAS.get(graph.kind(operator))
        if place is not None and place < len(operator.inputs) and operator.inputs[place] >= 0:
            same = written.get(graph.name(int(operator.outputs[0])))
            values = None if same is None else _bias(real, same, place)
            _widen_bias(graph, operator, place, values)
    return graph.pack()


def _centre(graph: TfliteGraph, index: int) -> None:
    held, data = graph.subgraph.tensors[index].quantization, graph.constant(index)
    zero_point, coarser = int(held.zeroPoint[0]), 1 if abs(int(held.zeroPoint[0])) == 1 else 2
    if data is not None:
        bounds = np.iinfo(np.int16)
        moved = np.round((data.astype(np.int32) - zero_point) / coarser)
        graph.set_constant(index, np.clip(moved, bounds.min, bounds.max))
    held.scale = np.asarray(held.scale, np.float32) * np.float32(coarser)
    held.zeroPoint = np.zeros(1, np.int64)


def _bias(real: TfliteGraph, operator: Any, place: int) -> np.ndarray | None:
    return real.constant(int(operator.inputs[place])) if place < len(operator.inputs) else None


def _widen_bias(graph: TfliteGraph, operator: Any, place: int, real: np.ndarray | None) -> None:
    """Make a bias int64: of its real values, since int32 may have cut them, or else of its integers."""
    tensors, index = graph.subgraph.tensors, int(operator.inputs[place])
    tensor, data = tensors[index], graph.constant(index)
    if data is None or tensor.type != schema.TensorType.INT32:
        return
    steps = np.asarray(tensor.quantization.scale, np.float64)
    if real is None or real.dtype.kind != "f" or real.size != data.size:
        real = data * steps
    x, weights = (tensors[int(operator.inputs[i])].quantization.scale for i in SCALED_BY[place])
    scale = np.asarray(x, np.float64) * np.asarray(weights, np.float64)
    exact = np.round(real.astype(np.float64).reshape(data.shape) / scale)
    tensor.type, tensor.quantization.scale = schema.TensorType.INT64, scale.astype(np.float32)
    graph.set_constant(index, np.clip(exact, -LARGEST_BIAS, LARGEST_BIAS).astype(np.int64))
