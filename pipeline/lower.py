"""Write the scheduled, planned graph as a list of calls."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.graph import Node
from pipeline.kernels import Candidate, array_bytes
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.plan import ALIGNMENT_BYTES, MemoryPlan, scratch_name, state_name
from pipeline.schedule import Schedule, Step
from pipeline.stream import Portion
from pipeline.tensors import Quantization, Tensor, map_rows, row_bytes

# Between core and flash of an STM32L4 (RM0432, "Adaptive real-time memory accelerator"): eight lines of four
# times 64 bits. Those of an STM32F4 and G4 are no longer.
DATA_CACHE_BYTES, CACHE_LINE_BYTES = 256, 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call finds or leaves a tensor: in the arena at an offset, or in a constant."""

    tensor: str
    shape: tuple[int, ...]
    dtype: str
    offset: int | None
    """Bytes from the start of the arena; None for a constant."""
    constant: str | None = None
    """The C name of the constant."""
    quantization: Quantization | None = None
    buffer: str = "arena"
    """Whose bytes these are: the arena's, or the memory of an input or output that is kept out of it."""
    ring_rows: int | None = None
    """Rows that are kept at a time, where the map is a ring; None where it is whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """An array in flash or RAM, under a C name that is unique in the program."""

    name: str
    tensor: str
    data: np.ndarray
    in_ram: bool = False
    """Whether it is copied to RAM when the target starts."""

    @property
    def alignment(self) -> int:
        """In bytes. What a data cache can keep takes no more of its lines than it must."""
        kept = not self.in_ram and self.data.nbytes <= DATA_CACHE_BYTES
        whole = self.data.nbytes % CACHE_LINE_BYTES == 0
        return CACHE_LINE_BYTES if kept and whole else max(ALIGNMENT_BYTES, self.data.itemsize)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An array of words in RAM that a kernel makes of its other parameters when the target starts."""

    name: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """A `struct feature_map`: a tensor as kernels that work row by row see it."""

    name: str
    place: Place
    of: str
    """What writes it, in words."""
    rows: int
    row_bytes: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: a kernel, its parameters, and the places it reads and writes."""

    index: int
    name: str
    """The node's name, as the user's model has it."""
    operator: str
    """TFLite's name, such as CONV_2D."""
    kernel: str
    library: str
    variant: str
    """Which of the kernel's ways this is, in words."""
    macs: int
    parameters: Mapping[str, int | float | str | Constant | Prepared | None]
    """The kernel's struct, field by field; an array is passed as a pointer."""
    reads: tuple[Place, ...]
    writes: Place
    predicted_instructions: int
    predicted_cycles: int
    """On the board that was scheduled for."""
    weights_bytes: int
    fused: tuple[str, ...] = ()
    """Operators of the TFLite file that this layer does as well, in words."""
    maps: tuple[FeatureMap, ...] = ()
    """What a kernel that works row by row is given; empty for one that takes whole tensors."""
    scratch_offset: int | None = None
    """Of memory in the arena that its calls use for themselves."""
    scratch_bytes: int = 0
    ram_bytes: int = 0
    """Of its constants, those in RAM."""
    entry: str = ""
    """As of a Candidate."""

    @property
    def prepared(self) -> tuple[Prepared, ...]:
        return tuple(value for value in self.parameters.values() if isinstance(value, Prepared))


@dataclass(frozen=True, slots=True)
class Call:
    """What the harness runs and measures as one: a layer, or several strip by strip."""

    index: int
    layers: tuple[Layer, ...]
    portions: tuple[Portion, ...]
    """Calls of kernels that work row by row, in order; one call for a layer that takes whole tensors."""
    reads: tuple[Place, ...]
    """What comes from outside of the step."""
    writes: Place
    live: tuple[Place, ...]
    """Everything that holds bytes of the arena during this call: tensors, scratch, state."""
    fed: FeatureMap | None = None
    """The model's input, where its rows come one by one."""
    arrivals: tuple[int, ...] = ()
    """How many portions run before each of these rows is there."""

    @property
    def name(self) -> str:
        """The name of its layer, or of the first and the last."""
        names = [layer.name for layer in self.layers]
        return names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}"

    @property
    def operator(self) -> str:
        return " ".join(dict.fromkeys(layer.operator for layer in self.layers))

    @property
    def kernel(self) -> str:
        return ", ".join(dict.fromkeys(layer.kernel for layer in self.layers))

    @property
    def library(self) -> str:
        return ", ".join(dict.fromkeys(layer.library for layer in self.layers))

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def predicted_instructions(self) -> int:
        return sum(layer.predicted_instructions for layer in self.layers)

    @property
    def weights_bytes(self) -> int:
        return sum(layer.weights_bytes for layer in self.layers)

    @property
    def fused(self) -> tuple[str, ...]:
        return tuple(part for layer in self.layers for part in layer.fused)


@dataclass(frozen=True)
class Program:
    """What is generated: calls in order, constants, one arena."""

    name: str
    """A C identifier; every public symbol carries it."""
    calls: tuple[Call, ...]
    constants: tuple[Constant, ...]
    arena_bytes: int
    arena_lower_bound_bytes: int
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    tensors: Mapping[str, Place]
    """Every arena tensor by its name in the TFLite file."""
    input_symbols: tuple[str, ...] = ("input",)
    """What C calls each input after the model's name: `input`, or of several `input_<name>`."""
    output_symbols: tuple[str, ...] = ("output",)
    arena_alignment: int = 16

    @property
    def macs(self) -> int:
        return sum(call.macs for call in self.calls)

    @property
    def buffers(self) -> tuple[Place, ...]:
        """Inputs and outputs that have memory of their own, each memory once."""
        found: dict[str, Place] = {}
        for place in (*self.inputs, *self.outputs):
            if place.buffer != "arena":
                found.setdefault(place.buffer, place)
        return tuple(found.values())

    @property
    def input_ports(self) -> tuple[tuple[str, Place], ...]:
        """What C calls each input, and where it is."""
        return tuple(zip(self.input_symbols, self.inputs, strict=True))

    @property
    def output_ports(self) -> tuple[tuple[str, Place], ...]:
        """What C calls each output, and where it is."""
        return tuple(zip(self.output_symbols, self.outputs, strict=True))

    @property
    def prepared(self) -> tuple[Prepared, ...]:
        """Arrays that are made when the target starts."""
        return tuple(array for layer in self.layers for array in layer.prepared)

    @property
    def weights_in_ram_bytes(self) -> int:
        """Of the constants that are copied to RAM, and of arrays that are made there of others."""
        copied = sum(constant.data.nbytes for constant in self.constants if constant.in_ram)
        return copied + sum(array.nbytes for array in self.prepared)

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(layer for call in self.calls for layer in call.layers)

    @property
    def maps(self) -> tuple[FeatureMap, ...]:
        """Each once, in the order of their first use."""
        return tuple(dict.fromkeys(each for layer in self.layers for each in layer.maps))

    @property
    def fed(self) -> FeatureMap | None:
        """The input whose rows come one by one, into the ring that this is."""
        return self.calls[0].fed if self.calls else None

    @property
    def classifies(self) -> bool:
        """Whether the output names a class: the model ends in a softmax, or in one value of a sigmoid."""
        if len(self.outputs) > 1:
            return False
        ends = [layer.operator for layer in self.layers if layer.operator not in {"QUANTIZE", "DEQUANTIZE"}]
        (output,) = self.outputs
        return ends[-1:] == ["SOFTMAX"] or (ends[-1:] == ["LOGISTIC"] and math.prod(output.shape) == 1)


def with_all_weights_in_ram(program: Program) -> Program:
    """The same program, with every constant copied to RAM when the target starts."""
    return replace(program, constants=tuple(replace(each, in_ram=True) for each in program.constants))


def lower_program(schedule: Schedule, memory: MemoryPlan) -> Program:
    """Write each step as calls of its kernels, with their parameters and places."""
    graph = schedule.graph
    constants = _Constants()
    input_symbols = _symbols("input", graph.inputs, graph.input_names, constants)
    output_symbols = _symbols("output", graph.outputs, graph.output_names, constants)
    symbols = dict(zip((*graph.outputs, *graph.inputs), (*output_symbols, *input_symbols), strict=True))
    buffers = _buffers(schedule, symbols)
    rings = {name: rows for step in schedule.steps for name, rows in _rings(step).items()}
    places = {
        tensor: _arena_place(graph.tensors[tensor], memory, rings.get(tensor), buffers.get(tensor, "arena"))
        for tensor in memory.offsets
        if tensor in graph.tensors
    }
    lowering = _Lowering(schedule, memory, constants, places)
    calls = tuple(lowering.call(index, step) for index, step in enumerate(schedule.steps))
    return Program(
        name=identifier(graph.name),
        calls=calls,
        constants=tuple(constants.made),
        # C has no array of no bytes: inputs and outputs may all lie elsewhere.
        arena_bytes=max(memory.arena_bytes, ALIGNMENT_BYTES),
        arena_lower_bound_bytes=memory.lower_bound_bytes,
        inputs=tuple(places[tensor] for tensor in graph.inputs),
        outputs=tuple(places[tensor] for tensor in graph.outputs),
        tensors=places,
        input_symbols=input_symbols,
        output_symbols=output_symbols,
    )


def _rings(step: Step) -> dict[str, int]:
    """Rows of every map of a step that is a ring, under its own name where it shares another's."""
    rows = dict(step.stream.ring_rows)
    for name, over in step.stream.shares.items():
        rows[name] = rows[over]
    return rows


class _Lowering:
    """Writes calls; numbers layers and feature maps through."""

    def __init__(
        self,
        schedule: Schedule,
        memory: MemoryPlan,
        constants: _Constants,
        places: Mapping[str, Place],
    ) -> None:
        self.graph, self.memory, self.fed = schedule.graph, memory, schedule.fed
        self.constants, self.places = constants, places
        self.layers = 0
        self.writers = {node.output: node.name for node in schedule.graph.nodes}
        self.maps: dict[tuple[str, int | None, int, int], FeatureMap] = {}

    def call(self, index: int, step: Step) -> Call:
        layers = []
        for number, (node, candidate) in enumerate(zip(step.nodes, step.candidates, strict=True)):
            state = self.memory.offsets.get(state_name(index, number))
            scratch = self.memory.offsets.get(scratch_name(index, number))
            layers.append(self._layer(node, candidate, scratch if state is None else state))
        made = {layer.writes.tensor for layer in layers}
        arrivals = step.stream.fed
        fed = [each for layer in layers for each in layer.maps if each.place.tensor == self.fed]
        return Call(
            index=index,
            layers=tuple(layers),
            portions=step.stream.portions,
            reads=tuple(place for layer in layers for place in layer.reads if place.tensor not in made),
            writes=layers[-1].writes,
            live=(*self._live(index), *self._extra(index, step)),
            fed=fed[0] if arrivals else None,
            arrivals=arrivals,
        )

    def _live(self, index: int) -> Iterator[Place]:
        for tensor, life in self.memory.lifetimes.items():
            place = self.places.get(tensor)
            if place and place.buffer == "arena" and life.first <= index <= life.last:
                yield place

    def _extra(self, index: int, step: Step) -> Iterator[Place]:
        """Scratch and state of a step's layers, as places of their own."""
        for number, (node, candidate) in enumerate(zip(step.nodes, step.candidates, strict=True)):
            for what, name, nbytes in (
                ("scratch", scratch_name(index, number), candidate.scratch_bytes),
                ("state", state_name(index, number), candidate.state_bytes),
            ):
                if nbytes:
                    yield Place(f"{what} of {node.name}", (nbytes,), "uint8", self.memory.offsets[name])

    def _layer(self, node: Node, candidate: Candidate, scratch: int | None) -> Layer:
        operands = self.graph.operands(node)
        by_rows = candidate.library != "portable"
        reads = []
        for position in node.op.operands(operands):
            tensor = operands[position]
            if tensor is None:
                raise ValueError(f"{node.name}: operand {position} is absent")
            role = ROLES.get(position, f"operand_{position}")
            if not tensor.is_constant:
                reads.append(self.places[tensor.name])
            elif not by_rows:
                reads.append(self.constants.tensor(tensor, f"{node.name}_{role}"))
        parameters = candidate.parameters()
        held = sum(place_bytes(place) for place in reads if place.constant)
        self.layers += 1
        return Layer(
            index=self.layers - 1,
            name=node.name,
            operator=node.op.tflite_name,
            kernel=candidate.kernel,
            library=candidate.library,
            variant=candidate.variant,
            macs=self.graph.macs(node),
            parameters=self._fields(node, candidate, parameters),
            reads=tuple(reads),
            writes=self.places[node.output],
            predicted_instructions=round(candidate.cost.instructions),
            predicted_cycles=round(candidate.cost.cycles),
            weights_bytes=held + array_bytes(parameters),
            fused=_fused(node.op),
            maps=tuple(self._map(place) for place in (*reads, self.places[node.output])) if by_rows else (),
            scratch_offset=scratch,
            scratch_bytes=candidate.scratch_bytes + candidate.state_bytes,
            ram_bytes=candidate.ram_bytes,
            entry=candidate.entry,
        )

    def _fields(
        self, node: Node, candidate: Candidate, parameters: Parameters
    ) -> dict[str, int | float | str | Constant | Prepared | None]:
        fields: dict[str, int | float | str | Constant | Prepared | None] = {}
        for field, value in parameters.items():
            name = f"{node.name}_{field}"
            if field in candidate.prepared:
                fields[field] = Prepared(self.constants.unique(name), candidate.prepared[field])
            elif isinstance(value, np.ndarray):
                fields[field] = self.constants.array(value, name, in_ram=field in candidate.in_ram)
            else:
                fields[field] = value
        return fields

    def _map(self, place: Place) -> FeatureMap:
        tensor = self.graph.tensors[place.tensor]
        key = place.buffer, place.offset, place.ring_rows or map_rows(tensor), row_bytes(tensor)
        if key not in self.maps:
            of = (
                "input" if place.tensor in self.graph.inputs else self.writers.get(place.tensor, place.tensor)
            )
            self.maps[key] = FeatureMap(f"map_{len(self.maps)}", place, of, *key[2:])
        return self.maps[key]


# What an operand at this position is called in the names of constants.
ROLES = {0: "input", 1: "weights", 2: "bias"}


def identifier(text: str) -> str:
    """`text` as a C identifier, readable and never a keyword or reserved name."""
    cleaned = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_").lower() or "model"
    if cleaned[0].isdigit() or cleaned in C_KEYWORDS or cleaned in GENERATED_FILES:
        cleaned = f"m_{cleaned}"
    return cleaned


# Files that stand beside <model>.c in the generated tree.
GENERATED_FILES = frozenset({"deployed", "digest"})
C_KEYWORDS = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int
    long register restrict return short signed sizeof static struct switch typedef union unsigned void
    volatile while main""".split()
)


def place_bytes(place: Place) -> int:
    """Size of the tensor at a place."""
    return math.prod(place.shape) * np.dtype(place.dtype).itemsize


def held_bytes(place: Place) -> int:
    """Memory that a tensor takes at its place: of a ring, its rows."""
    if place.ring_rows is None:
        return place_bytes(place)
    return place_bytes(place) // place.shape[1] * place.ring_rows


def _fused(op: Operator) -> tuple[str, ...]:
    """What this layer does besides its own operator, in words."""
    clamps = [name for name in ("floor", "ceiling") if getattr(op, name, None) is not None]
    words = [{"floor": "per-channel MAXIMUM", "ceiling": "per-channel MINIMUM"}[name] for name in clamps]
    pool = getattr(op, "pool", None)
    pooling = (f"MAX_POOL_2D {pool[0]}x{pool[1]}",) if pool else ()
    return (*words, *pooling, *getattr(op, "operators", ()))


def _symbols(
    kind: str, tensors: Sequence[str], names: Sequence[str], constants: _Constants
) -> tuple[str, ...]:
    """What C calls each input or output: its kind, and of several also its name, else its number."""
    if len(tensors) == 1:
        return (constants.unique(kind),)
    wanted = names or [str(index) for index in range(len(tensors))]
    return tuple(constants.unique(f"{kind}_{name}") for name in wanted)


def _buffers(schedule: Schedule, symbols: Mapping[str, str]) -> dict[str, str]:
    """The memory of each tensor that is kept out of the arena, by what the owner of its bytes is called."""
    owned = {
        owner: f"{symbols[name]}_buffer"
        for name in symbols
        if (owner := schedule.aliases.get(name, name)) in schedule.outside
    }
    tensors = schedule.graph.tensors
    return {name: owned[owner] for name in tensors if (owner := schedule.aliases.get(name, name)) in owned}


def _arena_place(tensor: Tensor, memory: MemoryPlan, ring_rows: int | None, buffer: str) -> Place:
    return Place(
        tensor.name,
        tensor.shape,
        tensor.dtype,
        memory.offsets[tensor.name],
        quantization=tensor.quantization,
        buffer=buffer,
        ring_rows=ring_rows if ring_rows != map_rows(tensor) else None,
    )


class _Constants:
    """Constants by content: equal arrays (shared multipliers, tied weights) are stored once."""

    def __init__(self) -> None:
        self.made: list[Constant] = []
        self._names: set[str] = set()
        self._by_content: dict[tuple[str, tuple[int, ...], bytes, bool], Constant] = {}

    def array(self, data: np.ndarray, wanted: str, tensor: str = "", in_ram: bool = False) -> Constant:
        key = (data.dtype.name, data.shape, data.tobytes(), in_ram)
        if key not in self._by_content:
            self._by_content[key] = Constant(self.unique(wanted), tensor, data, in_ram)
            self.made.append(self._by_content[key])
        return self._by_content[key]

    def unique(self, wanted: str) -> str:
        """A C name that no other array has."""
        base = name = identifier(wanted)
        number = 1
        while name in self._names:
            name = f"{base}_{number}"
            number += 1
        self._names.add(name)
        return name

    def tensor(self, tensor: Tensor, wanted: str) -> Place:
        if tensor.data is None:
            raise ValueError(f"{tensor.name} is no constant")
        constant = self.array(tensor.data, wanted, tensor.name)
        return Place(tensor.name, tensor.shape, tensor.dtype, None, constant.name)
