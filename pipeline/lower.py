"""Write the scheduled, planned graph as a list of calls."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.operators import Operator
from pipeline.plan import MemoryPlan
from pipeline.schedule import Schedule
from pipeline.tensors import Quantization, Tensor


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


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """An array in flash, under a C name that is unique in the program."""

    name: str
    tensor: str
    data: np.ndarray


@dataclass(frozen=True, slots=True)
class Call:
    """One layer: a kernel, its parameters, and the places it reads and writes."""

    index: int
    name: str
    """The node's name, as the user's model has it."""
    operator: str
    """TFLite's name, such as CONV_2D."""
    kernel: str
    library: str
    macs: int
    parameters: Mapping[str, int | float | Constant | None]
    """The kernel's struct, field by field; a constant is passed as a pointer."""
    reads: tuple[Place, ...]
    writes: Place
    live: tuple[Place, ...]
    """Every arena tensor that holds its bytes during this call."""
    predicted_instructions: int
    weights_bytes: int
    fused: tuple[str, ...] = ()
    """Operators of the TFLite file that this call does as well, in words."""


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
    arena_alignment: int = 16

    @property
    def macs(self) -> int:
        return sum(call.macs for call in self.calls)

    @property
    def classifies(self) -> bool:
        """Whether the largest output names a class: the model ends in a softmax."""
        return bool(self.calls) and self.calls[-1].operator == "SOFTMAX"


def lower_program(schedule: Schedule, memory: MemoryPlan) -> Program:
    """Write each step as a call of its kernel, with its parameters and places."""
    graph = schedule.graph
    name = identifier(graph.name)
    constants = _Constants()
    places = {
        tensor: _arena_place(graph.tensors[tensor], memory)
        for tensor in memory.offsets
        if tensor in graph.tensors
    }
    calls = []
    for index, step in enumerate(schedule.steps):
        (node,) = step.nodes
        operands = graph.operands(node)
        reads = []
        for position in node.op.operands(operands):
            tensor = operands[position]
            if tensor is None:
                raise ValueError(f"{node.name}: operand {position} is absent")
            role = ROLES.get(position, f"operand_{position}")
            reads.append(
                constants.tensor(tensor, f"{node.name}_{role}") if tensor.is_constant else places[tensor.name]
            )
        parameters = step.candidate.parameters()
        held = sum(place_bytes(place) for place in reads if place.constant)
        held += sum(value.nbytes for value in parameters.values() if isinstance(value, np.ndarray))
        calls.append(
            Call(
                index=index,
                name=node.name,
                operator=node.op.tflite_name,
                kernel=step.candidate.kernel,
                library=step.candidate.library,
                macs=graph.macs(node),
                parameters={
                    field: constants.array(value, f"{node.name}_{field}")
                    if isinstance(value, np.ndarray)
                    else value
                    for field, value in parameters.items()
                },
                reads=tuple(reads),
                writes=places[node.output],
                live=tuple(
                    places[tensor]
                    for tensor, life in memory.lifetimes.items()
                    if tensor in places and life.first <= index <= life.last
                ),
                predicted_instructions=round(step.candidate.cost.instructions),
                weights_bytes=held,
                fused=_fused(node.op),
            )
        )
    return Program(
        name=name,
        calls=tuple(calls),
        constants=tuple(constants.made),
        arena_bytes=memory.arena_bytes,
        arena_lower_bound_bytes=memory.lower_bound_bytes,
        inputs=tuple(places[tensor] for tensor in graph.inputs),
        outputs=tuple(places[tensor] for tensor in graph.outputs),
        tensors=places,
    )


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
    """Size of what lies at a place."""
    return math.prod(place.shape) * np.dtype(place.dtype).itemsize


def _fused(op: Operator) -> tuple[str, ...]:
    """What this layer does besides its own operator, in words."""
    clamps = [name for name in ("floor", "ceiling") if getattr(op, name, None) is not None]
    words = [{"floor": "per-channel MAXIMUM", "ceiling": "per-channel MINIMUM"}[name] for name in clamps]
    pool = getattr(op, "pool", None)
    return (*words, *((f"MAX_POOL_2D {pool[0]}x{pool[1]}",) if pool else ()))


def _arena_place(tensor: Tensor, memory: MemoryPlan) -> Place:
    offset = memory.offsets[tensor.name]
    return Place(tensor.name, tensor.shape, tensor.dtype, offset, quantization=tensor.quantization)


class _Constants:
    """Constants by content: equal arrays (shared multipliers, tied weights) are stored once."""

    def __init__(self) -> None:
        self.made: list[Constant] = []
        self._by_content: dict[tuple[str, tuple[int, ...], bytes], Constant] = {}

    def array(self, data: np.ndarray, wanted: str, tensor: str = "") -> Constant:
        key = (data.dtype.name, data.shape, data.tobytes())
        if key not in self._by_content:
            base = name = identifier(wanted)
            number = 1
            while any(constant.name == name for constant in self.made):
                name = f"{base}_{number}"
                number += 1
            self._by_content[key] = Constant(name, tensor, data)
            self.made.append(self._by_content[key])
        return self._by_content[key]

    def tensor(self, tensor: Tensor, wanted: str) -> Place:
        if tensor.data is None:
            raise ValueError(f"{tensor.name} is no constant")
        constant = self.array(tensor.data, wanted, tensor.name)
        return Place(tensor.name, tensor.shape, tensor.dtype, None, constant.name)
