"""int16 activations as TFLite's kernels take them, where its quantizer makes something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.arithmetic import quantize_real
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
WITH_OPERANDS = frozenset({Operator.ADD, Operator.SUB, Operator.MUL, Operator.MAXIMUM, Operator.MINIMUM})
"""Operators of which TFLite wants both operands in one type, also where one is a constant."""


def operands_as_inputs(floats: bytes) -> tuple[bytes, dict[str, np.ndarray]]:
    """A float file for the quantizer, in which constant operands are inputs; what these hold, by their names.

    It takes a constant for weights and makes int8 of it, which no kernel adds to int16. What is an input it
    quantizes as all activations; `as_kernels_take_it` makes a constant of that again.
    """
    graph = TfliteGraph(floats)
    operands: dict[str, np.ndarray] = {}
    for operator in graph.operators:
        constants = [graph.constant(int(tensor)) for tensor in operator.inputs]
        if graph.kind(operator) not in WITH_OPERANDS or all(values is not None for values in constants):
            continue
        for place, values in enumerate(constants):
            if values is not None and values.dtype.kind == "f":
                operator.inputs = operator.inputs.copy()
                name = f"operand_{len(operands)}"
                tensor = graph.add_input(name, values.shape)
                graph.set_range(tensor, float(values.min()), float(values.max()))
                operator.inputs[place], operands[name] = tensor, values
    return graph.pack(), operands


def as_kernels_take_it(tflite: bytes, floats: bytes, operands: Mapping[str, np.ndarray]) -> bytes:
    """A file that the quantizer made of a float one: int16 operands, zero points of 0, biases of 64 bits.

    `operands` are the float values of inputs that are to be constants, as `operands_as_inputs` has it.

    The quantizer lets a range reach as far below real 0 as above, in 65,535 steps: 0 is then half a step
    beside an integer, and rounded to either side; kernels take it for 0. What is never negative, such as
    a sigmoid, starts at the lowest integer; kernels want it at 0 as well, in steps twice as coarse. It makes
    biases of 32 bits, with which kernels sum in 32 bits, where nothing keeps sums of int16 from overflowing.
    """
    graph, real = TfliteGraph(tflite), TfliteGraph(floats)
    _fix_operands(graph, operands)
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


def _fix_operands(graph: TfliteGraph, operands: Mapping[str, np.ndarray]) -> None:
    """Make constants of inputs, quantized where a QUANTIZE reads them; its output is then the constant."""
    held = graph.subgraph
    inputs = {int(tensor): graph.name(int(tensor)) for tensor in held.inputs}
    fixed = {tensor: operands[name] for tensor, name in inputs.items() if name in operands}
    kept = []
    for operator in held.operators:
        values = fixed.get(int(operator.inputs[0]))
        if values is None or graph.kind(operator) != Operator.QUANTIZE:
            kept.append(operator)
            continue
        result = int(operator.outputs[0])
        to = held.tensors[result].quantization
        scale, zero_point = float(to.scale[0]), int(to.zeroPoint[0])
        graph.set_constant(result, quantize_real(values, scale, zero_point, "int16"))
    for tensor, values in fixed.items():
        graph.set_constant(tensor, values)
    held.operators = kept
    held.inputs = [tensor for tensor in inputs if tensor not in fixed]


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
