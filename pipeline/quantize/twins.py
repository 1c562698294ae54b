"""Two other forms of a float TFLite graph, in which one layer can be looked at alone.

The int8 file is made of the float one, operator by operator. Where each is run on its own, or an error is
put beside a single tensor, what one layer does can be told from what came before it and what comes after.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.quantize.tflite_graph import Operator, TfliteGraph

BETWEEN = frozenset({Operator.QUANTIZE, Operator.DEQUANTIZE})
"""What quantizing puts between the operators of the float file."""
# Where the channels of the output are an axis of the weights
WEIGHTED = {
    Operator.CONV_2D: 0,
    Operator.FULLY_CONNECTED: 0,
    Operator.TRANSPOSE_CONV: 0,
    Operator.DEPTHWISE_CONV_2D: 3,
}
# An operator that only clamps belongs to the layer before it: both share one scale, so that what saturates
# between them is what the clamp takes away, and on the target they are one layer.
CLAMPS = frozenset({Operator.MAXIMUM, Operator.MINIMUM, Operator.RELU, Operator.RELU6, Operator.RELU_N1_TO_1})
KIND_NAMES = {code: name for name, code in vars(Operator).items() if isinstance(code, int)}


@dataclass(frozen=True, slots=True)
class Pair:
    """A layer of the int8 file and the same one of the float file, by tensors' indices.

    A layer is an operator with the clamps behind it that nothing else reads.
    """

    places: tuple[int, ...]
    """Of its operators in the float file."""
    sources: tuple[tuple[int, int], ...]
    """(slot of the first float operator, int8 tensor that is its value) of every input that is no constant.

    Where the int8 operator reads what QUANTIZE or DEQUANTIZE made for it, that is the tensor before them.
    """
    made: tuple[tuple[int, int], ...]
    """(int8 tensor, float tensor) of every output."""
    weights: tuple[int, int] | None
    """(int8 tensor, float tensor) of constant weights."""


def clamped(graph: TfliteGraph) -> dict[int, Any]:
    """Tensors that are read by a clamp alone, and the clamp."""
    return {
        tensor: reader
        for operator in graph.operators
        for tensor in (int(index) for index in operator.outputs)
        if len(operator.outputs) == 1
        and (reader := graph.only_reader(tensor)) is not None
        and graph.kind(reader) in CLAMPS
        and all(int(index) == tensor or graph.constant(int(index)) is not None for index in reader.inputs)
    }


def match_operators(integers: TfliteGraph, real: TfliteGraph) -> list[tuple[Any, int]]:
    """Each operator of an integer file, and the place of the same one in the float file: in order, else by
    what it writes.

    Without QUANTIZE and DEQUANTIZE both have the same operators in the same order. Where that is not so,
    operators that only one of them has are left out.
    """
    ours = [operator for operator in integers.operators if integers.kind(operator) not in BETWEEN]
    theirs = real.operators
    if [integers.kind(mine) for mine in ours] == [real.kind(other) for other in theirs]:
        return [(mine, place) for place, mine in enumerate(ours)]
    written = {_written(real, other): place for place, other in enumerate(theirs)}
    return [(mine, written[key]) for mine in ours if (key := _written(integers, mine)) in written]


def pair_layers(integers: TfliteGraph, real: TfliteGraph) -> tuple[Pair, ...]:
    """Every layer of the int8 file beside that of the float file, as `match_operators` finds them."""
    inputs = {int(tensor) for tensor in integers.subgraph.inputs}
    between = {
        int(operator.outputs[0]): int(operator.inputs[0])
        for operator in integers.operators
        if integers.kind(operator) in BETWEEN and int(operator.inputs[0]) not in inputs
    }
    single = [_pair(integers, real, between, *found) for found in match_operators(integers, real)]
    inner = clamped(integers)
    pairs: list[Pair] = []
    makers: dict[int, int] = {}
    for pair in single:
        read = [tensor for _, tensor in pair.sources]
        maker = makers.get(read[0]) if len(read) == 1 and read[0] in inner else None
        if maker is None:
            maker = len(pairs)
            pairs.append(pair)
        else:
            before = pairs[maker]
            pairs[maker] = replace(before, places=before.places + pair.places, made=pair.made)
        makers.update({tensor: maker for tensor, _ in pair.made})
    return tuple(pairs)


def _origin(tensor: int, between: dict[int, int]) -> int:
    while tensor in between:
        tensor = between[tensor]
    return tensor


def _written(graph: TfliteGraph, operator: Any) -> tuple[int, str]:
    return graph.kind(operator), graph.name(int(operator.outputs[0]))


def _pair(integers: TfliteGraph, real: TfliteGraph, between: dict[int, int], mine: Any, place: int) -> Pair:
    other = real.operators[place]
    sources = tuple(
        (slot, _origin(int(own), between))
        for slot, (own, its) in enumerate(zip(mine.inputs, other.inputs, strict=False))
        if its >= 0 and real.constant(int(its)) is None
    )
    weights = None
    kind = real.kind(other)
    if kind in WEIGHTED:
        own, its = int(mine.inputs[1]), int(other.inputs[1])
        if integers.constant(own) is not None and real.constant(its) is not None:
            weights = (own, its)
    made = tuple((int(a), int(b)) for a, b in zip(mine.outputs, other.outputs, strict=True))
    return Pair((place,), sources, made, weights)


def products(graph: TfliteGraph) -> int:
    """Multiplications of one inference in convolutions and dense layers: what a run costs, roughly."""
    total = 0
    for operator in graph.operators:
        axis = WEIGHTED.get(graph.kind(operator))
        if axis is not None:
            weights, outputs = (
                graph.shape(int(index)) for index in (operator.inputs[1], operator.outputs[0])
            )
            total += int(np.prod(outputs)) * int(np.prod(weights)) // weights[axis]
    return total


@dataclass(frozen=True, slots=True)
class Cut:
    """The float file with every operator cut off from the others, each on inputs of its own."""

    content: bytes
    fed: tuple[int, ...]
    """The int8 tensor whose real values each input of the file takes, in order."""
    made: tuple[int, ...]
    """The int8 tensor that each output of the file is to be held against, in order."""


def cut_apart(real: bytes, pairs: tuple[Pair, ...]) -> Cut:
    """The float file in which each operator can be given the very values that the int8 one read."""
    graph = TfliteGraph(real)
    held, fed, made = graph.subgraph, [], []
    operators, inputs, outputs = [], [], []
    for pair in pairs:
        operator = held.operators[pair.places[0]]
        slots = [int(tensor) for tensor in operator.inputs]
        if not all(graph.is_float(slots[slot]) for slot, _ in pair.sources):
            continue  # indices or conditions: nothing that rounding could change
        for slot, tensor in pair.sources:
            slots[slot] = _another(held, slots[slot])
            inputs.append(slots[slot])
            fed.append(tensor)
        operator.inputs = slots
        operators += [operator, *(held.operators[place] for place in pair.places[1:])]
        for integer, tensor in pair.made:
            outputs.append(tensor)
            made.append(integer)
    held.operators, held.inputs, held.outputs = operators, inputs, outputs
    return Cut(_packed(graph), tuple(fed), tuple(made))


@dataclass(frozen=True, slots=True)
class Perturbed:
    """The float file with an input beside each tensor, whose values are added to it."""

    content: bytes
    inputs: int
    """How many inputs the model itself has; they come first."""
    tensors: tuple[int, ...]
    """The float tensor of each further input, and of each output of the file, in order."""


def perturbable(real: bytes) -> Perturbed:
    """The float file in which an error can be added to any tensor; with zeros it is the float file."""
    graph = TfliteGraph(real)
    held = graph.subgraph
    addition = graph.opcode(Operator.ADD)
    operators, added, tensors = [], [], []
    for operator in held.operators:
        operators.append(operator)
        outputs = [int(tensor) for tensor in operator.outputs]
        for place, tensor in enumerate(outputs):
            if not graph.is_float(tensor):
                continue
            outputs[place] = _another(held, tensor)
            added.append(_another(held, tensor))
            tensors.append(tensor)
            operators.append(_addition(addition, outputs[place], added[-1], tensor))
        operator.outputs = outputs
    count = len(held.inputs)
    held.inputs = [*(int(tensor) for tensor in held.inputs), *added]
    held.operators, held.outputs = operators, tensors
    return Perturbed(_packed(graph), count, tuple(tensors))


def _addition(code: int, first: int, second: int, total: int) -> Any:
    operator: Any = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs, operator.outputs = [first, second], [total]
    operator.builtinOptionsType = schema.BuiltinOptions.AddOptions
    operator.builtinOptions = schema.AddOptionsT()
    return operator


def _another(subgraph: Any, tensor: int) -> int:
    """A further tensor of the same shape and type."""
    made = copy.copy(subgraph.tensors[tensor])
    made.name, made.buffer = f"extra_{len(subgraph.tensors)}".encode(), 0
    subgraph.tensors.append(made)
    return len(subgraph.tensors) - 1


def _packed(graph: TfliteGraph) -> bytes:
    graph.model.signatureDefs = None  # they name inputs and outputs that the file no longer has
    return graph.pack()
