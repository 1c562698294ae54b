"""Single layers in int16 within an int8 model: the noise of the steps that cost most is taken away.

TFLite's converter quantizes a whole model one way. So the chosen operators are quantized a second time, by
themselves and with int16 activations (16x8), and take the place of those of the int8 file: operator, weights,
bias of 64 bits and scales. Where one side writes what the other reads stands a QUANTIZE, which TFLite's
kernels and the ones here have.

What is kept in int16 is what a layer writes. An operator of int16 that is followed by a step back to int8
gains nothing, since the same rounding only comes later; so the operators that read the layer are of int16 as
well, and where such a one only moves or selects values (RESHAPE, MAX_POOL_2D, CONCATENATION, ...), those
behind it too.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.errors import UsageError
from pipeline.operators import BY_TFLITE_NAME, REFUSED_INT16
from pipeline.quantize.inspect import INPUT, inspect_quantization
from pipeline.quantize.tflite_graph import CONVERTING, Operator, TfliteGraph, operator_name
from pipeline.quantize.twins import match_operators, pair_layers
from pipeline.registry import nearest
from pipeline.tensors import Values, arrays_of

RANKED_SAMPLES = 16
"""On which layers are ranked by what they cost."""
MOVING = frozenset(
    {
        Operator.CONCATENATION,
        Operator.EXPAND_DIMS,
        Operator.MAX_POOL_2D,
        Operator.MAXIMUM,
        Operator.MINIMUM,
        Operator.MIRROR_PAD,
        Operator.PACK,
        Operator.PAD,
        Operator.PADV2,
        Operator.REDUCE_MAX,
        Operator.REDUCE_MIN,
        Operator.RELU,
        Operator.RELU6,
        Operator.RESHAPE,
        Operator.RESIZE_NEAREST_NEIGHBOR,
        Operator.SLICE,
        Operator.SPLIT,
        Operator.SPLIT_V,
        Operator.SQUEEZE,
        Operator.STRIDED_SLICE,
        Operator.TRANSPOSE,
        Operator.UNPACK,
    }
)
"""They write values that they have read: rounded to int8 behind them, these would lose what int16 gave."""
STEPS = {
    schema.TensorType.INT8: (Operator.QUANTIZE, 2),
    schema.TensorType.INT16: (Operator.QUANTIZE, 2),
    schema.TensorType.FLOAT32: (Operator.DEQUANTIZE, 3),
}
"""What leads from one side to the other, by the type that it makes, and which version of it knows int16."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a float graph, and which of them can be kept in int16."""

    places: Mapping[str, tuple[int, ...]]
    """Of each layer's operators in the float file, by the layer's name; further names of it as well."""
    reasons: Mapping[str, str]
    """Why a layer cannot be kept, by its name."""

    @property
    def possible(self) -> list[str]:
        return [name for name in self.places if name not in self.reasons]


def find_layers(integers: bytes, floats: bytes, names: Mapping[str, str]) -> Layers:
    """The layers of an int8 file beside the float one it was made of; `names` by the tensors they write."""
    narrow, real = TfliteGraph(integers), TfliteGraph(floats)
    places: dict[str, tuple[int, ...]] = {}
    reasons: dict[str, str] = {}
    ends = zip(map(int, narrow.subgraph.outputs), map(int, real.subgraph.outputs), strict=True)
    kept = {its for own, its in ends if narrow.is_float(own)}
    operators = {place: own for own, place in match_operators(narrow, real)}
    for pair in pair_layers(narrow, real):
        reason = _reason(real, pair.places, kept)
        for tensor in (narrow.name(int(t)) for place in pair.places for t in operators[place].outputs):
            name = names.get(tensor, tensor)
            places.setdefault(name, pair.places)
            if reason:
                reasons.setdefault(name, reason)
    return Layers(places, reasons)


def _reason(real: TfliteGraph, places: Sequence[int], kept: Collection[int]) -> str:
    """Why it is impossible, or useless, to keep in int16 what the layer writes; empty where it is neither.

    `kept` are the float tensors that leave the model as they are, without a step to int8.
    """
    for place in places:
        lacking = _lacking(real, real.operators[place])
        if lacking:
            return lacking
    outputs = {int(tensor) for tensor in real.operators[places[-1]].outputs}
    if widened(real, places) - {*places} or outputs & {*kept}:
        return ""
    readers = sorted({operator_name(real.kind(op)) for tensor in outputs for op in real.readers(tensor)})
    if readers:
        return f"what reads it has no int16 form: {', '.join(readers)}"
    return "it is the model's output, which is rounded to int8: --output-type float32 keeps it"


def _lacking(real: TfliteGraph, operator: Any) -> str:
    """Why the operator has no form of int16; empty where it has one."""
    kind = operator_name(real.kind(operator))
    if kind in REFUSED_INT16:
        return f"{kind}: {REFUSED_INT16[kind]}"
    if kind not in BY_TFLITE_NAME or not all(real.is_float(int(tensor)) for tensor in operator.outputs):
        return f"{kind} has no int16 form"
    return ""


def widened(real: TfliteGraph, chosen: Iterable[int]) -> set[int]:
    """The operators, by their places, that are of int16 where what the chosen ones write is."""
    wide, held = set(chosen), set[int]()
    for place, operator in enumerate(real.operators):
        outputs = {int(tensor) for tensor in operator.outputs}
        if place in wide:
            held |= outputs
        elif held & {int(tensor) for tensor in operator.inputs} and not _lacking(real, operator):
            wide.add(place)
            if real.kind(operator) in MOVING:
                held |= outputs
    return wide


def costly_layers(integers: bytes, floats: bytes, x: Values, names: Mapping[str, str]) -> tuple[str, ...]:
    """The layers that can be kept in int16, by what their int8 costs at the output, the worst first.

    `x`: float32 (N, *input_shape), of which the first few are run.
    """
    possible = {*find_layers(integers, floats, names).possible}
    inputs = [array[:RANKED_SAMPLES] for array in arrays_of(x)]
    inspection = inspect_quantization(integers, floats, inputs, names=names)
    costs = {layer.name: layer.cost or 0.0 for layer in inspection.layers if layer.operator != INPUT}
    return tuple(sorted((name for name in costs if name in possible), key=lambda name: -costs[name]))


def choose_places(layers: Layers, asked: Sequence[str]) -> set[int]:
    """The operators of the named layers. Raises UsageError E_RECIPE of all that cannot be kept."""
    unknown = [name for name in asked if name not in layers.places]
    refused = [f"{name}: {layers.reasons[name]}" for name in asked if name in layers.reasons]
    if unknown or refused or not asked:
        near = [found for name in unknown if (found := nearest(name, layers.possible))]
        possible = f"layers that can be kept: {', '.join(layers.possible) or 'none'}"
        raise UsageError(
            f"{len(unknown) + len(refused)} of the layers that int16= names cannot be kept in int16"
            if asked
            else "no layer of the model can be kept in int16",
            code="E_RECIPE",
            details=[*(f"{name}: the model has no such layer" for name in unknown), *refused],
            hint=f"did you mean {', '.join(near)}? {possible}" if near else possible,
        )
    return {place for name in asked for place in layers.places[name]}


def cut_out(real: TfliteGraph, places: Collection[int]) -> bytes:
    """A float file of some operators alone; it reads and writes all that passes between them and others."""
    part = TfliteGraph(real.pack())
    held = part.subgraph
    held.operators = [held.operators[place] for place in sorted(places)]
    made = [int(tensor) for operator in held.operators for tensor in operator.outputs]
    read = [
        int(tensor)
        for operator in held.operators
        for tensor in operator.inputs
        if tensor >= 0 and tensor not in made and part.constant(int(tensor)) is None
    ]
    held.inputs, held.outputs = list(dict.fromkeys(read)), made
    part.model.signatureDefs = None
    return part.pack()


def stitch(narrow: bytes, wide: bytes, real: TfliteGraph, places: Collection[int]) -> bytes:
    """An int8 file, in which the operators at these places of the float file are those of the int16 one.

    `wide` is what `cut_out` became: float32 at its border, int16 inside.
    """
    return _Stitched(TfliteGraph(narrow), TfliteGraph(wide), real, sorted(places)).content()


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One of the two files: who writes its tensors, and what they are in the float file."""

    graph: TfliteGraph
    operators: Mapping[int, Any]
    """By their place in the float file."""
    origins: Mapping[int, int]
    """The float tensor that an input of the file or an operator's output stands for."""
    between: Mapping[int, Any]
    """What writes the tensors that QUANTIZE or DEQUANTIZE makes of others."""

    def origin(self, tensor: int) -> int:
        while tensor in self.between:
            tensor = int(self.between[tensor].inputs[0])
        return self.origins[tensor]

    def is_constant(self, tensor: int) -> bool:
        return tensor not in self.origins and tensor not in self.between


def _side(
    graph: TfliteGraph, real: TfliteGraph, operators: Mapping[int, Any], inputs: Sequence[int]
) -> _Side:
    origins = dict(zip((int(tensor) for tensor in graph.subgraph.inputs), inputs, strict=True))
    for place, operator in operators.items():
        origins |= zip(map(int, operator.outputs), map(int, real.operators[place].outputs), strict=True)
    between = {int(op.outputs[0]): op for op in graph.operators if graph.kind(op) in CONVERTING}
    return _Side(graph, operators, origins, between)


class _Stitched:
    """The file under construction: of both sides the operators, tensors and buffers that are used."""

    def __init__(self, narrow: TfliteGraph, wide: TfliteGraph, real: TfliteGraph, places: list[int]) -> None:
        self.real = real
        part = TfliteGraph(cut_out(real, places))
        self.narrow = _side(
            narrow,
            real,
            {place: own for own, place in match_operators(narrow, real)},
            [int(tensor) for tensor in real.subgraph.inputs],
        )
        self.wide = _side(
            wide,
            real,
            {places[place]: own for own, place in match_operators(wide, part)},
            [int(tensor) for tensor in part.subgraph.inputs],
        )
        self.of_int8 = {origin: tensor for tensor, origin in self.narrow.origins.items()}
        self.of_int16 = {
            self.wide.origins[int(tensor)]: int(tensor)
            for operator in self.wide.operators.values()
            for tensor in operator.outputs
        }
        """Both by float tensors."""
        self.made = TfliteGraph(narrow.pack())
        self.tensors: dict[tuple[int, int], int] = {}
        self.buffers: dict[tuple[int, int], int] = {}

    def content(self) -> bytes:
        """The file, without signatures."""
        held, model, graph = self.made.subgraph, self.made.model, self.narrow.graph
        held.tensors, held.operators, model.buffers = [], [], [schema.BufferT()]
        model.operatorCodes, model.metadata, model.signatureDefs = [], None, None
        self.made.kinds = []
        held.inputs = [self._tensor(self.narrow, int(tensor)) for tensor in graph.subgraph.inputs]
        places = {id(operator): place for place, operator in self.narrow.operators.items()}
        for operator in graph.operators:
            if graph.kind(operator) in CONVERTING:
                continue  # put where they are read
            wide = self.wide.operators.get(places.get(id(operator), -1))
            if wide is None:
                self._add(self.narrow, operator)
            else:
                self._add(self.wide, wide)
        held.outputs = [self._narrow(int(tensor)) for tensor in graph.subgraph.outputs]
        return self.made.pack()

    def _add(self, side: _Side, operator: Any) -> None:
        read = self._wide if side is self.wide else self._narrow
        inputs = [read(int(tensor)) if tensor >= 0 else -1 for tensor in operator.inputs]
        self._emit(side, operator, inputs, [self._tensor(side, int(tensor)) for tensor in operator.outputs])

    def _emit(self, side: _Side, operator: Any, inputs: list[int], outputs: list[int]) -> None:
        added = copy.copy(operator)
        code = side.graph.model.operatorCodes[operator.opcodeIndex]
        added.opcodeIndex = self.made.opcode(side.graph.kind(operator), code.version)
        added.inputs, added.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        if operator.intermediates is not None:
            added.intermediates = [self._tensor(side, int(tensor)) for tensor in operator.intermediates]
        self.made.subgraph.operators.append(added)

    def _narrow(self, tensor: int) -> int:
        """Where the file has a tensor of the int8 side; what it still takes to make it is put there."""
        side, key = self.narrow, (id(self.narrow), tensor)
        if key in self.tensors or side.is_constant(tensor):
            return self._tensor(side, tensor)
        held = side.graph.subgraph.tensors[tensor]
        origin, maker = side.origin(tensor), side.between.get(tensor)
        wide = self.of_int16.get(origin)
        if wide is not None and (maker is None or held.type in STEPS):
            source = self._tensor(self.wide, wide)
            return self._convert(source, self._tensor(side, tensor), STEPS[held.type])
        assert maker is not None, "operators stand in an order in which each is read after it is written"
        self._add(side, maker)
        return self._tensor(side, tensor)

    def _wide(self, tensor: int) -> int:
        """The same of the int16 side."""
        side, key = self.wide, (id(self.wide), tensor)
        if key in self.tensors or side.is_constant(tensor):
            return self._tensor(side, tensor)
        origin = side.origin(tensor)
        if origin in self.of_int16:  # in steps of another scale
            self._add(side, side.between[tensor])
            return self._tensor(side, tensor)
        source = self._narrow(self.of_int8[origin])
        return self._convert(source, self._tensor(side, tensor), STEPS[schema.TensorType.INT16])

    def _convert(self, source: int, result: int, step: tuple[int, int]) -> int:
        added: Any = schema.OperatorT()
        added.opcodeIndex = self.made.opcode(*step)
        added.inputs, added.outputs = np.array([source], np.int32), np.array([result], np.int32)
        self.made.subgraph.operators.append(added)
        return result

    def _tensor(self, side: _Side, tensor: int) -> int:
        """The file's own of a side's tensor; what an operator of int16 writes has the name that int8 had."""
        key = (id(side), tensor)
        if key not in self.tensors:
            own = copy.copy(side.graph.subgraph.tensors[tensor])
            own.name = self._name(side, tensor)
            own.buffer = self._buffer(side, own.buffer)
            self.made.subgraph.tensors.append(own)
            self.tensors[key] = len(self.made.subgraph.tensors) - 1
        return self.tensors[key]

    def _name(self, side: _Side, tensor: int) -> bytes:
        """As the int8 file has it, and what is there in both types told apart; an output keeps its own."""
        graph = self.narrow.graph.subgraph
        if side.is_constant(tensor):
            return bytes(side.graph.subgraph.tensors[tensor].name)
        origin = side.origin(tensor)
        int8 = self.of_int8[origin]
        is_native = tensor not in side.between
        is_output = int8 in {int(index) for index in graph.outputs}
        if side is self.narrow:
            is_step = is_native and origin in self.of_int16 and not is_output
            return bytes(graph.tensors[tensor].name) + (b";int8" if is_step else b"")
        return bytes(graph.tensors[int8].name) + (b"" if is_native and not is_output else b";int16")

    def _buffer(self, side: _Side, buffer: int) -> int:
        data = side.graph.model.buffers[buffer].data
        if data is None or not len(data):
            return 0
        key = (id(side), buffer)
        if key not in self.buffers:
            self.made.model.buffers.append(side.graph.model.buffers[buffer])
            self.buffers[key] = len(self.made.model.buffers) - 1
        return self.buffers[key]
