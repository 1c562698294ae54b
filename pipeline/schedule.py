"""Choose the kernel of each layer, and which layers run strip by strip together, for an aim and a board.

Every way to run a stretch of consecutive layers is an option with its cycles, its memory and its flash.
Which options follow one another is an integer program, solved exactly (HiGHS, by scipy): each layer is in
one option, the arena is as large as the largest option chosen, flash and RAM add up, and the code of a kernel
counts once, however many layers it runs.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pipeline.boards import Board
from pipeline.errors import DoesNotFit, ModelNotSupported, UsageError
from pipeline.graph import Graph, Node
from pipeline.integer_program import Chosen, IntegerProgram
from pipeline.kernels import Candidate, candidates, libraries_of
from pipeline.operators.reshape import Reshape
from pipeline.passes.fuse_add import fused_adds
from pipeline.stream import Stream, stream_group
from pipeline.targets import largest_piece
from pipeline.tensors import Tensor, map_rows, row_bytes

PlayKey = tuple[int, int, tuple[int, ...], bool]
"""First and last layer, rows of the calls of each (fused ones have them in common), and whether portions are
cut to what is asked for."""
Streams = dict[PlayKey, Stream]

Aim = Literal["time", "ram", "flash", "balanced"]

# Of a board's memory, for what is no weights and no arena: code; harness, input copy and code in RAM.
RESERVED_FLASH, RESERVED_RAM = 40 << 10, 16 << 10
# Layers that may run strip by strip together, and the strips' heights that are tried.
MOST_LAYERS_TOGETHER = 14
# In deep networks fewer, so that there are not too many stretches: so many in all, but never fewer layers.
MOST_STRETCHES, LEAST_LAYERS_TOGETHER = 300, 6
STRIP_ROWS = (1, 2, 4, 8)
# What a byte of RAM and of flash costs in cycles where ways are picked for that (of flash not so much that a
# kernel may not have a few bytes a channel which another one does without), and how much slower a way of
# lower strips may be.
PREFERENCES = tuple(
    (ram, flash, slack)
    for ram, flash in ((0.0, 0.0), (1e6, 0.0), (0.0, 100.0), (1e6, 100.0))
    for slack in (1.0, 1.05)
)
# Of two options one is as quick, and its weights are as small, up to this.
AS_QUICK_AN_OPTION, AS_SMALL_AN_OPTION = 1.0005, 1.005
# A kernel that is so many times as quick as another one, and wants no more memory, is worth its code.
WORTH_ITS_CODE = 1.15
# Limits of scratch that are tried there are so far apart; where two layers run together, every limit is.
SCRATCH_STEP = 1.4
# Cycles that are as good as the least: of all ways within them, the one that takes the least memory.
AS_QUICK: Mapping[Aim, float] = {"time": 1.002, "ram": 1.002, "flash": 1.02}
# `balanced`: cycles and arena at most so many times those of `time` and of `ram`; then the least memory.
BALANCED_CYCLES, BALANCED_ARENA = 1.235, 1.5
# Of ways that are all but the same: what a cycle counts where bytes do, and a byte where cycles do.
A_CYCLE, A_BYTE = 1e-5, 1e-3
# What a byte of flash weighs against a byte of RAM.
FLASH_AGAINST_RAM = 0.02
# `ram`: cycles at most so many times those of `time`, apart from waiting for code in flash. That is some 3 %,
# which makes 2.2 in all.
RAM_CYCLES = 2.12
# The slowest schedule of which a report shows the memory, likewise.
MOST_CYCLES = 4.0
# `ram` and `flash`: weights at most so many times the smallest there are.
SMALL_WEIGHTS = 1.02
# Limits of cycles for which a report shows what memory they take, and memory that is as good as another.
TRADE_OFFS = 5
AS_SMALL = 1.01


@dataclass(frozen=True, slots=True)
class Machine:
    """What a schedule has to know of a board."""

    libraries: tuple[str, ...]
    flash_bytes: int
    """For weights."""
    ram_bytes: int
    """For the arena and for weights in RAM."""
    weights_in_ram_bytes: int = 1 << 40
    """For weights in RAM alone."""
    stall_cycles: float = 0.0
    """Cycles that the core waits for one byte of a constant that it reads once from flash."""
    code_in_ram: bool = False
    """Whether the kernels' code is copied to RAM, where the core fetches it without waiting."""
    must_fit: bool = False
    """Whether a schedule that is larger is an error here; else whoever builds it says so."""


@dataclass(frozen=True, slots=True)
class Step:
    """What runs as one: a layer, or several of them strip by strip, each in its way."""

    nodes: tuple[Node, ...]
    candidates: tuple[Candidate, ...]
    stream: Stream
    cycles: float
    """Predicted, waiting for constants in flash included."""

    def calls_too_many(self, graph: Graph, layer: int) -> float:
        """Calls of one of its layers against those that the layer's cost is meant for."""
        calls = Counter(portion.layer for portion in self.stream.portions)[layer]
        return calls_too_many(self.candidates[layer], graph.tensors[self.nodes[layer].output], calls)


@dataclass(frozen=True)
class Schedule:
    """Steps in order; `aliases` maps a tensor to the one whose bytes it shares without any work."""

    graph: Graph
    steps: tuple[Step, ...]
    aliases: Mapping[str, str]
    outside: frozenset[str] = frozenset()
    """Inputs and outputs of the graph that have memory of their own."""
    fed: str | None = None
    """The input of the graph that comes row by row, and is never whole."""


@dataclass(frozen=True, eq=False)
class Option:
    """One way to run the layers from `first` to `last`, inclusive."""

    first: int
    last: int
    nodes: tuple[Node, ...]
    """Those layers; of two that are fused, one node."""
    candidates: tuple[Candidate, ...]
    stream: Stream
    cycles: float
    arena_bytes: int
    """Everything that is alive while it runs: what passes it by, inputs, outputs, rings and scratch."""

    @cached_property
    def weights_bytes(self) -> int:
        return sum(candidate.weights_bytes for candidate in self.candidates)

    @cached_property
    def ram_bytes(self) -> int:
        return sum(candidate.ram_bytes for candidate in self.candidates)

    @cached_property
    def kernels(self) -> tuple[str, ...]:
        """`<library>/<kernel>` of each layer."""
        return tuple(f"{candidate.library}/{candidate.kernel}" for candidate in self.candidates)

    @cached_property
    def different_kernels(self) -> frozenset[str]:
        return frozenset(self.kernels)


def machine_of(board: Board, timing: Board | None = None) -> Machine:
    """A board as a schedule sees it; `timing` is the board whose flash counts, where this one has none."""
    slow = timing or board
    read_bytes = int(slow.timing.get("flash_read_bits", 64)) // 8
    wait = slow.clock.flash_latency + int(slow.timing.get("data_miss_extra", 0))
    return Machine(
        libraries_of(board),
        max(board.flash_bytes - RESERVED_FLASH, 0),
        max(board.ram_bytes - board.stack_bytes - RESERVED_RAM, 0),
        largest_piece(board),
        wait / read_bytes if slow.clock.flash_latency else 0.0,
        any(region.zero_wait_fetch for region in board.memory),
    )


class Scheduler:
    """All ways to run a graph on a machine, from which schedules for several aims are chosen.

    A RESHAPE is no step: its output is its input under another shape. Without a machine, every layer runs
    on its own in plain C. `outside` are inputs and outputs of the graph that are kept out of the arena; `fed`
    is an input that comes row by row: the first step then holds all its readers. `streams` are shared by
    schedulers of one graph for several machines.
    """

    def __init__(
        self,
        graph: Graph,
        machine: Machine | None = None,
        outside: frozenset[str] = frozenset(),
        fed: str | None = None,
        streams: Streams | None = None,
    ) -> None:
        self.graph, self.fed = graph, fed
        self.machine = machine or Machine(("portable",), 1 << 40, 1 << 40)
        self.aliases = _aliases(graph)
        self.outside = frozenset(self.aliases.get(name, name) for name in outside)
        self.nodes = tuple(node for node in graph.nodes if not isinstance(node.op, Reshape))
        self.streams: Streams = {} if streams is None else streams
        if not self.nodes:
            raise ModelNotSupported(
                "the model computes nothing: its output is its input in another shape",
                code="E_MODEL_EMPTY",
                where=graph.name,
                hint="deploy a model with at least one layer that computes",
            )

    @cached_property
    def _program(self) -> IntegerProgram[Option]:
        options = _Options(
            self.graph, self.nodes, self.aliases, self.machine, self.outside, self.fed, self.streams
        )
        return IntegerProgram(options.all(), len(self.nodes))

    def schedule(self, aim: Aim) -> Schedule:
        """Kernels and groups that serve an aim, in the file's order of layers."""
        steps = tuple(
            Step(option.nodes, option.candidates, option.stream, option.cycles)
            for option in _choose(self._program, self.machine, aim)
        )
        return Schedule(_as_run(self.graph, steps), steps, self.aliases, self.outside, self.fed)

    def trade_offs(self) -> tuple[TradeOff, ...]:
        """Schedules between the quickest and the one of least memory, by what they cost.

        Of each limit of cycles, the least RAM: once with the weights that this takes, once with small ones.
        Quickest first; what another one is as good as in everything is left out.
        """
        program, board = self._program, _limits(self.machine)
        quickest = program.solve({"cycles": 1.0, "ram": A_BYTE}, board)
        smallest = program.solve({"ram": 1.0}, board)
        light = program.solve({"weights": 1.0}, board)
        if quickest is None or smallest is None or light is None:
            return ()
        small = {**board, "weights": min(board["weights"], SMALL_WEIGHTS * light.weights)}
        most = min(smallest.cycles / quickest.cycles, MOST_CYCLES)
        found = [quickest]
        memory = {"ram": 1.0, "weights": FLASH_AGAINST_RAM, "cycles": A_CYCLE}
        for limits in (board, small):
            known = None
            for step in range(TRADE_OFFS):
                cycles = quickest.cycles * AS_QUICK["time"] * most ** (step / (TRADE_OFFS - 1))
                known = program.solve(memory, {**limits, "cycles": cycles}, known)
                found += [known] if known else []
        return _front(
            TradeOff(each.cycles, round(each.arena), round(each.ram), round(each.weights)) for each in found
        )


def schedule_layers(
    graph: Graph,
    machine: Machine | None = None,
    aim: Aim = "balanced",
    outside: frozenset[str] = frozenset(),
    fed: str | None = None,
) -> Schedule:
    """A schedule for one aim, as a Scheduler makes it."""
    return Scheduler(graph, machine, outside, fed).schedule(aim)


@dataclass(frozen=True, slots=True)
class TradeOff:
    """What a schedule costs, predicted: one of those that nothing is better than in everything."""

    cycles: float
    arena_bytes: int
    ram_bytes: int
    """Arena, and weights in RAM."""
    weights_bytes: int


@dataclass(frozen=True, slots=True)
class Choices:
    """What was chosen for an aim, and what could have been."""

    aim: Aim
    chosen: TradeOff
    others: tuple[TradeOff, ...]


def _front(found: Iterable[TradeOff]) -> tuple[TradeOff, ...]:
    """By cycles, without those that a quicker one is as good as in memory."""
    kept: list[TradeOff] = []
    for each in sorted(found, key=lambda each: (each.cycles, each.ram_bytes, each.weights_bytes)):
        if not any(
            other.ram_bytes <= AS_SMALL * each.ram_bytes
            and other.weights_bytes <= AS_SMALL * each.weights_bytes
            for other in kept
        ):
            kept.append(each)
    return tuple(kept)


def schedule_one(graph: Graph, candidate: Candidate) -> Schedule:
    """A graph of one layer, run in a given way."""
    stream = stream_group(graph, graph.nodes, (candidate,), frozenset(graph.outputs))
    return Schedule(graph, (Step(graph.nodes, (candidate,), stream, candidate.cost.cycles),), {})


def _as_run(graph: Graph, steps: Sequence[Step]) -> Graph:
    """The graph with the nodes of its steps in place of those that they were made of."""
    run = {node.output: node for step in steps for node in step.nodes}
    if all(node.output in run or isinstance(node.op, Reshape) for node in graph.nodes):
        return graph
    kept = [run.get(node.output, node) for node in graph.nodes]
    return graph.with_nodes(node for node in kept if node.output in run or isinstance(node.op, Reshape))


def _aliases(graph: Graph) -> dict[str, str]:
    aliases: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.op, Reshape):
            aliases[node.output] = aliases.get(node.inputs[0], node.inputs[0])
    return aliases


# --- options ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Played:
    """A stretch of layers in calls of certain rows, and what follows from it whatever the kernels."""

    stream: Stream
    calls: tuple[int, ...]
    """Of each layer."""
    ring_bytes: tuple[int, ...]
    """The most bytes of rings that are in use at a call of each layer."""
    held_bytes: int
    """What is alive as a whole, all along."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """Consecutive layers as nodes, each with its candidates."""

    first: int
    last: int
    nodes: tuple[Node, ...]
    """Fewer than layers, where two are fused."""
    ways: tuple[tuple[Candidate, ...], ...]

    @property
    def is_fused(self) -> bool:
        return len(self.nodes) <= self.last - self.first


@dataclass(frozen=True, eq=False)
class _Options:
    """All ways to run stretches of consecutive layers that could be worth choosing."""

    graph: Graph
    nodes: tuple[Node, ...]
    aliases: Mapping[str, str]
    machine: Machine
    outside: frozenset[str] = frozenset()
    fed: str | None = None
    streams: Streams = field(default_factory=dict)
    _played: dict[PlayKey, _Played] = field(default_factory=dict)
    _cycles: dict[Candidate, float] = field(default_factory=dict)
    _picked: dict[tuple[Candidate, ...], tuple[Candidate, ...]] = field(default_factory=dict)

    def all(self) -> list[Option]:
        found = [option for first in range(len(self.nodes)) for option in _worth_it(self._from(first))]
        if self.fed is not None:
            found = [option for option in found if self._feeds(option)]
            whole = self.fed in self.aliases.values() or self.fed in self.graph.outputs
            if whole or not any(option.first == 0 for option in found):
                raise self._cannot_be_fed(self.fed)
        return found

    @cached_property
    def _fed_readers(self) -> tuple[int, ...]:
        """The layers that read the input that comes row by row."""
        return tuple(k for k, node in enumerate(self.nodes) if self.fed in node.inputs)

    def _feeds(self, option: Option) -> bool:
        """Whether an option reads none of the input's rows, or is the first and takes them as they come."""
        if not any(option.first <= k <= option.last for k in self._fed_readers):
            return True
        ways = [
            way for node, way in zip(option.nodes, option.candidates, strict=True) if self.fed in node.inputs
        ]
        return (
            option.first == 0
            and option.last >= self._fed_readers[-1]
            and all(way.streams or way.accumulates for way in ways)
        )

    def _cannot_be_fed(self, fed: str) -> UsageError:
        rows = map_rows(self.graph.tensors[fed])
        whole = [
            self.nodes[k]
            for k in self._fed_readers
            if not any(way.streams or way.accumulates for way in self.ways[k])
        ]
        why = "its readers lie too far apart to run strip by strip"
        if rows == 1 or fed in self.aliases.values():
            why = "it is read as something else than a map of rows"
        elif whole:
            why = f"{whole[0].name} ({whole[0].op.tflite_name}) has no kernel for this core that takes rows"
        return UsageError(
            f"the rows of input {fed} cannot be fed one by one: {why}",
            code="E_FEED_ROWS",
            where=self.graph.name,
            hint="keep the whole input: --allocate-input arena, or outside",
        )

    def _from(self, first: int) -> Iterator[Option]:
        for way in self.ways[first]:
            yield self._option(self._stretch(first, first), (way,))
        together = min(MOST_LAYERS_TOGETHER, max(LEAST_LAYERS_TOGETHER, MOST_STRETCHES // len(self.nodes)))
        for last in range(first + 1, min(first + together, len(self.nodes))):
            yield from self._of(self._stretch(first, last))
            fused = self._stretch(first, last, fused=True)
            if fused.is_fused:
                yield from self._of(fused)
            if not any(way.streams for way in self.ways[last]):
                return

    def _of(self, stretch: _Stretch) -> Iterator[Option]:
        """The ways to run several layers together, or two that are fused."""
        if len(stretch.nodes) == 1:
            for way in stretch.ways[0]:
                yield self._option(stretch, (way,))
        elif self._connected(stretch):
            for ways in self._together(stretch):
                yield self._option(stretch, ways)
                if any(way.rows_per_call > 1 for way in ways):
                    yield self._option(stretch, ways, exactly=True)

    def _stretch(self, first: int, last: int, *, fused: bool = False) -> _Stretch:
        """The layers from `first` to `last`, inclusive; `fused`: as few nodes as they can be."""
        nodes, ways, position = [], [], first
        while position <= last:
            found = self._fused.get(position) if fused and position < last else None
            node, offered = found or (self.nodes[position], self.ways[position])
            nodes.append(node)
            ways.append(offered)
            position += 2 if found else 1
        return _Stretch(first, last, tuple(nodes), tuple(ways))

    @cached_property
    def ways(self) -> tuple[tuple[Candidate, ...], ...]:
        """The candidates of each layer that could be worth choosing."""
        return tuple(map(self._ways_of, self.nodes))

    @cached_property
    def _fused(self) -> Mapping[int, tuple[Node, tuple[Candidate, ...]]]:
        """By the first of two layers, what they are as one, and its candidates; where there are any."""
        both = {k: (node, self._ways_of(node)) for k, node in fused_adds(self.graph, self.nodes).items()}
        return {k: (node, ways) for k, (node, ways) in both.items() if ways}

    def _ways_of(self, node: Node) -> tuple[Candidate, ...]:
        operands, output = self.graph.operands(node), self.graph.tensors[node.output]
        return _undominated(candidates(node.op, operands, output, self.machine.libraries), self.cycles)

    def cycles(self, candidate: Candidate) -> float:
        """Predicted cycles of a layer, waiting for its constants included."""
        if candidate not in self._cycles:
            waiting = candidate.flash_read_bytes * self.machine.stall_cycles
            self._cycles[candidate] = candidate.cost.cycles + waiting
        return self._cycles[candidate]

    def _connected(self, stretch: _Stretch) -> bool:
        """Whether each map that is made before the last layer is read within the stretch, as rows.

        One that is read under another shape has to be whole by then, so that its reader is in a later step.
        """
        inside = stretch.nodes
        outputs = {node.output: node for node in inside[:-1]}
        read = {name for node in inside for name in node.inputs}
        if any(self.aliases.get(name) in outputs for name in read):
            return False
        return outputs.keys() <= read and all(
            len(self.graph.tensors[name].shape) == 4 and map_rows(self.graph.tensors[name]) > 1
            for name in outputs
        )

    def _together(self, stretch: _Stretch) -> Iterator[tuple[Candidate, ...]]:
        """Combinations of candidates: each layer's fastest within limits of scratch, strip and memory."""
        *before, behind = stretch.ways
        ways = [
            *[[way for way in each if way.streams] for each in before],
            [way for way in behind if way.streams or way.accumulates],
        ]
        if not all(ways):
            return
        found: dict[tuple[Candidate, ...], None] = {}
        for scratch in _limits_of_scratch(ways):
            for rows in STRIP_ROWS:
                picks = [self._picks(each, scratch, rows) for each in ways]
                if all(picks):
                    found |= dict.fromkeys(zip(*picks, strict=True))
        yield from found

    def _picks(self, ways: Sequence[Candidate], scratch: int, rows: int) -> tuple[Candidate, ...]:
        """What each of PREFERENCES picks of a layer's ways within limits of scratch and strip, if any."""
        fitting = tuple(w for w in ways if w.scratch_bytes <= scratch and w.rows_per_call <= rows)
        if fitting not in self._picked:
            self._picked[fitting] = tuple(self._preferred(fitting, *each) for each in PREFERENCES if fitting)
        return self._picked[fitting]

    def _preferred(self, ways: Sequence[Candidate], ram: float, flash: float, slack: float) -> Candidate:
        """The quickest, where a byte of RAM or flash costs so many cycles; near it, of the lowest strips."""

        def price(way: Candidate) -> float:
            return self.cycles(way) + ram * way.ram_bytes + flash * way.weights_bytes

        least = min(map(price, ways))
        near = [way for way in ways if price(way) <= slack * least]
        return min(near, key=lambda way: (way.rows_per_call if slack > 1.0 else 0, price(way)))

    def _option(self, stretch: _Stretch, ways: tuple[Candidate, ...], exactly: bool = False) -> Option:
        rows = tuple(way.rows_per_call if way.streams or way.accumulates else 0 for way in ways)
        key = stretch.first, stretch.last, rows, exactly
        if key not in self._played:
            self._played[key] = self._play(stretch, ways, exactly, key)
        played = self._played[key]
        # A call for fewer rows than a kernel makes at once takes as long.
        cycles = sum(
            self.cycles(way) * calls_too_many(way, self.graph.tensors[node.output], calls)
            for way, node, calls in zip(ways, stretch.nodes, played.calls, strict=True)
        )
        peak = max(
            _aligned(way.scratch_bytes) + rings for way, rings in zip(ways, played.ring_bytes, strict=True)
        )
        arena = played.held_bytes + peak + sum(_aligned(way.state_bytes) for way in ways)
        return Option(stretch.first, stretch.last, stretch.nodes, ways, played.stream, cycles, arena)

    def _play(self, stretch: _Stretch, ways: tuple[Candidate, ...], exactly: bool, key: PlayKey) -> _Played:
        nodes = stretch.nodes
        if key not in self.streams:
            whole = self._whole(stretch)
            fed = self.fed if any(self.fed in node.inputs for node in nodes) else None
            self.streams[key] = stream_group(self.graph, nodes, ways, whole, exactly, fed)
        stream = self.streams[key]
        calls = Counter(portion.layer for portion in stream.portions)
        in_use = [0] * len(stream.portions)
        for name, rows in stream.ring_rows.items():
            ring_bytes = _aligned(rows * row_bytes(self.graph.tensors[name]))
            for moment in range(len(in_use)):
                if stream.busy[name] >> moment & 1:
                    in_use[moment] += ring_bytes
        most = [0] * len(ways)
        for portion, count in zip(stream.portions, in_use, strict=True):
            most[portion.layer] = max(most[portion.layer], count)
        return _Played(
            stream, tuple(calls[k] for k in range(len(ways))), tuple(most), self._held(stretch, stream)
        )

    @cached_property
    def lives(self) -> dict[str, tuple[int, int]]:
        """First and last layer at which each buffer holds its bytes, by the tensor that owns it."""
        end = len(self.nodes) - 1
        lives = dict.fromkeys(self.graph.inputs, (0, 0))
        for index, node in enumerate(self.nodes):
            for name in (*node.inputs, node.output):
                if name and not self.graph.tensors[name].is_constant:
                    owner = self.aliases.get(name, name)
                    lives[owner] = lives.get(owner, (index, index))[0], index
        for name in self.graph.outputs:
            owner = self.aliases.get(name, name)
            lives[owner] = lives[owner][0], end
        return lives

    def _whole(self, stretch: _Stretch) -> frozenset[str]:
        """The outputs of a stretch that are read behind it, or by the user."""
        return frozenset(
            node.output
            for node in stretch.nodes
            if self.lives[self.aliases.get(node.output, node.output)][1] > stretch.last
            or node.output in self._left
            or node is stretch.nodes[-1]
        )

    @cached_property
    def _left(self) -> frozenset[str]:
        """Tensors that are the user's, or are read under another shape."""
        return frozenset(self.graph.outputs) | frozenset(self.aliases.values())

    @cached_property
    def _given(self) -> frozenset[str]:
        """Tensors whose bytes are the user's outputs, perhaps under another shape."""
        return frozenset(self.aliases.get(name, name) for name in self.graph.outputs)

    def _held(self, stretch: _Stretch, stream: Stream) -> int:
        """Bytes of what passes a stretch by, of its inputs and outputs, apart from what they share."""
        tensors = self.graph.tensors
        first, last = stretch.first, stretch.last
        made = {node.output for node in self.nodes[first : last + 1]}
        elsewhere = {
            *stream.ring_rows,
            *stream.shares,
            *self.outside,
            # What is made within a node takes no memory.
            *made.difference(node.output for node in stretch.nodes),
        }
        held = {
            name: _aligned(tensors[name].nbytes)
            for name, (start, end) in self.lives.items()
            if start <= last and end >= first and name not in elsewhere
        }
        saved = 0
        for (output, source), distance in stream.below.items():
            owner = self.aliases.get(source, source)
            if len(stretch.nodes) == 1 and distance > 0:
                # Along a chain of such layers each map begins lower than the one before, until there is no
                # room: what the plan can make of it is not reckoned with.
                continue
            if self.lives[owner][1] <= last and owner not in self._given and {output, owner} <= held.keys():
                both = max(held[output], _aligned(distance) + held[owner])
                saved = max(saved, held[output] + held[owner] - both)
        return sum(held.values()) - saved


def _limits_of_scratch(ways: Sequence[Sequence[Candidate]]) -> Iterator[int]:
    """From what every layer can keep to, up to what all want, in steps."""
    least = max(min(way.scratch_bytes for way in each) for each in ways)
    sizes = sorted({way.scratch_bytes for each in ways for way in each if way.scratch_bytes >= least})
    step, given = SCRATCH_STEP if len(ways) > 2 else 1.0, 0.0
    for size in sizes:
        if size >= given or size == sizes[-1]:
            yield size
            given = step * size


def _worth_it(options: Iterable[Option]) -> list[Option]:
    """Those of the same layers that no other one replaces."""
    kept: dict[int, list[Option]] = defaultdict(list)
    for option in options:
        rivals = kept[option.last]
        if not any(_replaces(other, option) for other in rivals):
            rivals[:] = [other for other in rivals if not _replaces(option, other)]
            rivals.append(option)
    return [option for rivals in kept.values() for option in rivals]


def _replaces(a: Option, b: Option) -> bool:
    """Whether an option is as good as another of the same layers: as small, as quick, no further kernel.

    Where it is much quicker its code does not count.
    """
    if a.arena_bytes > b.arena_bytes or any(
        ours > AS_SMALL_AN_OPTION * theirs
        for ours, theirs in ((a.weights_bytes, b.weights_bytes), (a.ram_bytes, b.ram_bytes))
    ):
        return False
    if a.cycles * WORTH_ITS_CODE <= b.cycles:
        return True
    return a.cycles <= AS_QUICK_AN_OPTION * b.cycles and a.different_kernels <= b.different_kernels


def calls_too_many(way: Candidate, output: Tensor, calls: int) -> float:
    """The cost of so many calls of a layer against that of those which its cost is meant for."""
    if not way.streams:
        return 1.0
    too_many = calls / math.ceil(map_rows(output) / way.rows_per_call) - 1
    return 1 + too_many * way.fixed_share


def _undominated(offered: Sequence[Candidate], cycles: Callable[[Candidate], float]) -> tuple[Candidate, ...]:
    """Those that no other one of the same kernel beats, or equals earlier, in everything.

    Another kernel that is better may still cost more, by its code; where it is much quicker it does not.
    """

    def figures(way: Candidate) -> tuple[float, ...]:
        memory = way.scratch_bytes + way.state_bytes
        return (
            cycles(way), memory, way.weights_bytes, way.ram_bytes, way.rows_per_call,
            not way.streams, not way.accumulates,
        )  # fmt: skip

    def beats(own: tuple[float, ...], way: Candidate, others: tuple[float, ...], other: Candidate) -> bool:
        if (way.library, way.kernel) != (other.library, other.kernel) and own[0] * WORTH_ITS_CODE > others[0]:
            return False
        return all(a <= b for a, b in zip(own, others, strict=True))

    kept: list[tuple[tuple[float, ...], Candidate]] = []
    for way in offered:
        own = figures(way)
        if any(beats(*other, own, way) for other in kept):
            continue
        kept = [other for other in kept if not beats(own, way, *other)]
        kept.append((own, way))
    return tuple(way for _, way in kept)


def _aligned(count: int) -> int:
    return -(-count // 4) * 4


# --- choice -----------------------------------------------------------------------------------------


def _limits(machine: Machine) -> dict[str, float]:
    return {
        "weights": float(machine.flash_bytes),
        "ram": float(machine.ram_bytes),
        "weights in RAM": float(machine.weights_in_ram_bytes),
    }


def _choose(program: IntegerProgram[Option], machine: Machine, aim: Aim) -> list[Option]:
    """The options that serve the aim within the machine's flash and RAM, in order.

    What does not fit at all is chosen as small as it can be: the figures then say what is missing.
    """
    board = _limits(machine)
    fastest = program.solve({"cycles": 1.0, "ram": A_BYTE}, board)
    if fastest is None and machine.must_fit:
        raise _too_small(program, machine)
    if fastest is None:
        light = program.solve({"weights": 1.0}, {})
        if light is None:
            raise DoesNotFit("no layer has a kernel")
        smallest = program.solve({"ram": 1.0}, {"weights": max(board["weights"], light.weights)})
        return (smallest or light).options
    # Of what serves the aim as well, the least memory. Code that runs from RAM is in flash too.
    memory = {
        "ram": 1.0,
        "weights": FLASH_AGAINST_RAM,
        "cycles": A_CYCLE,
        "code": FLASH_AGAINST_RAM + (1.0 if machine.code_in_ram and aim != "ram" else 0.0),
    }
    if aim == "time":
        return (_quickest(program, board, memory, AS_QUICK[aim]) or fastest).options
    if aim == "flash":
        weights = (program.solve({"weights": 1.0}, board) or fastest).weights
        small = {**board, "weights": min(board["weights"], SMALL_WEIGHTS * weights)}
        flash = {"weights": 1.0, "code": 1.0, "cycles": A_CYCLE}
        return (_quickest(program, small, flash, AS_QUICK[aim]) or fastest).options
    least = _least_ram(program, board, fastest, memory)
    if aim == "ram":
        return least.options
    arena = {"arena": BALANCED_ARENA * least.arena}
    balanced = program.solve(
        memory, {**board, **arena, "cycles": BALANCED_CYCLES * fastest.cycles}
    ) or program.solve({"cycles": 1.0}, {**board, **arena})
    return (balanced or least).options


def _quickest(
    program: IntegerProgram[Option], limits: Mapping[str, float], memory: Mapping[str, float], as_quick: float
) -> Chosen[Option] | None:
    """The fewest cycles within limits, but for a little that saves memory."""
    quickest = program.solve({"cycles": 1.0}, limits)
    if quickest is None:
        return None
    least = {**limits, "cycles": as_quick * quickest.cycles}
    return program.solve(memory, least, quickest) or quickest


def _least_ram(
    program: IntegerProgram[Option],
    board: Mapping[str, float],
    fastest: Chosen[Option],
    memory: Mapping[str, float],
) -> Chosen[Option]:
    """The least RAM with small weights in not too many cycles, and of all these ways the quickest."""
    weights = (program.solve({"weights": 1.0}, board) or fastest).weights
    small = {**board, "weights": min(board["weights"], SMALL_WEIGHTS * weights)}

    limits = {**small, "cycles": RAM_CYCLES * fastest.cycles}
    least = program.solve({"ram": 1.0}, limits) or program.solve({"ram": 1.0}, small)
    if least is None:
        return fastest
    limits = {**small, "cycles": max(limits["cycles"], least.cycles), "ram": least.ram}
    return _quickest(program, limits, memory, AS_QUICK["ram"]) or least


def _too_small(program: IntegerProgram[Option], machine: Machine) -> DoesNotFit:
    """What the limits that the user set would have to be."""
    ram, flash = program.solve({"ram": 1.0}, {}), program.solve({"weights": 1.0}, {})
    assert ram is not None
    assert flash is not None
    return DoesNotFit(
        f"no schedule keeps arena and weights in RAM within {machine.ram_bytes:,} bytes and weights in flash "
        f"within {machine.flash_bytes:,}",
        code="E_LIMITS",
        hint=f"the least RAM is {round(ram.ram):,} bytes (with {round(ram.weights):,} of weights), the least "
        f"flash {round(flash.weights):,} (with {round(flash.ram):,} of RAM): raise --max-ram or --max-flash",
    )
