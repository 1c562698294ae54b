"""Run layers strip by strip: in which order their rows are made, and how many rows of each map are kept.

The last layer of a group pulls: before it makes rows, the rows that they are made of are made. A map
between two layers of the group is then a ring of as many rows as are alive at a time, and a layer may
write over rows of its input that nothing needs any more. An input of the graph can be such a ring too,
fed row by row. Everything is found by playing the order through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.graph import Graph, Node
from pipeline.kernels import Candidate
from pipeline.tensors import Tensor, map_rows, row_bytes


@dataclass(frozen=True, slots=True)
class Portion:
    """One call of a kernel: which layer of the group, from which output row on, and how many rows.

    Of a kernel that accumulates, first row and count are those of its input.
    """

    layer: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Stream:
    """The portions of a group in their order, and what follows from it for memory."""

    portions: tuple[Portion, ...]
    ring_rows: Mapping[str, int]
    """Rows that a map between two layers of the group needs; those that share a ring stand under one name."""
    shares: Mapping[str, str]
    """Maps that are written over another one, row by row: output to input."""
    below: Mapping[tuple[str, str], int]
    """(output, input): bytes by which the output has to begin below the input, if the two overlap at all."""
    busy: Mapping[str, int]
    """Of each ring, a bit for every portion at which it holds rows that are still to be read."""
    fed: tuple[int, ...] = ()
    """Of an input whose rows are fed one by one: how many portions run before each row is there."""

    def calls_of(self, layer: int) -> int:
        """A bit for every portion of one layer."""
        return sum(1 << i for i, portion in enumerate(self.portions) if portion.layer == layer)


@dataclass(frozen=True, slots=True)
class _Event:
    """What one portion reads and writes: rows [low, high) by tensor."""

    portion: Portion
    reads: Mapping[str, tuple[int, int]]
    writes: tuple[str, int, int]
    over: frozenset[str]
    """Inputs of which each element is read before the same element of the output is written."""


def stream_group(
    graph: Graph,
    nodes: Sequence[Node],
    candidates: Sequence[Candidate],
    whole: frozenset[str],
    exactly: bool = False,
    fed: str | None = None,
) -> Stream:
    """Play a group through. `whole` are the outputs that are read behind the group or by the user.

    `nodes` read each other's outputs by name; a single layer whose kernel makes its output as a whole is a
    group of one portion. `exactly` has a layer that makes several rows at once begin with a portion
    that is cut to what is asked for first: one call more, and often fewer rows to keep. `fed` is an input
    of the graph that is a ring as well: its rows come one by one, just before a portion that asks for them.
    """
    events = _Player(graph, nodes, candidates, exactly).play(whole)
    inside = [node.output for node in nodes if node.output not in whole]
    outside = {name for event in events for name in event.reads} - {node.output for node in nodes} - {fed}
    shares = _shares(events, inside)
    ring_rows, busy = _ring_rows(graph, events, inside, shares), _busy(events, inside, shares)
    arrivals: tuple[int, ...] = ()
    if fed is not None:
        arrivals = _arrivals(events, fed, map_rows(graph.tensors[fed]))
        ring_rows[fed] = _fed_rows(events, fed, arrivals)
        busy[fed] = _fed_busy(events, fed, arrivals)
    return Stream(
        tuple(event.portion for event in events),
        ring_rows,
        shares,
        {
            (node.output, source): distance
            for node in nodes
            if node.output in whole
            for source in sorted(outside)
            if (distance := _distance(graph, events, node.output, source)) is not None
        },
        busy,
        arrivals,
    )


@dataclass(frozen=True, slots=True)
class _Layer:
    """What is asked of a layer again and again."""

    node: Node
    candidate: Candidate
    operands: tuple[Tensor | None, ...]
    output: Tensor
    height: int
    sources: Mapping[str, int]
    """Rows of each map that it reads."""
    over: frozenset[str]
    """As of an event."""
    beside: frozenset[str]
    """Maps of which just the rows are read that are written."""

    @classmethod
    def of(cls, graph: Graph, node: Node, candidate: Candidate) -> _Layer:
        operands, output = graph.operands(node), graph.tensors[node.output]
        sources = {
            name: map_rows(tensor)
            for name, tensor in zip(node.inputs, operands, strict=True)
            if tensor is not None and not tensor.is_constant
        }
        over = frozenset(node.inputs[position] for position in node.op.in_place(operands, output))
        beside = frozenset(node.inputs[position] for position in node.op.beside(operands))
        return cls(node, candidate, operands, output, map_rows(output), sources, over, beside)


class _Player:
    """Makes rows as they are asked for, and writes down what happens."""

    def __init__(
        self, graph: Graph, nodes: Sequence[Node], candidates: Sequence[Candidate], exactly: bool
    ) -> None:
        self.exactly = exactly
        self.layers = [_Layer.of(graph, *each) for each in zip(nodes, candidates, strict=True)]
        self.writer = {node.output: index for index, node in enumerate(nodes)}
        self.made = dict.fromkeys(self.writer, 0)
        self.taken = [0] * len(nodes)
        """Input rows that a layer which accumulates has seen."""
        self.events: list[_Event] = []

    def play(self, whole: frozenset[str]) -> list[_Event]:
        """The events of one inference; several last layers advance in step.

        Rows that the group itself passes over, as a stride does with the last one, are made in the end of
        maps that are read as a `whole`.
        """
        read = {name for layer in self.layers for name in layer.sources}
        last = [name for name in self.made if name not in read]
        heights = {layer.node.output: layer.height for layer in self.layers}
        while unfinished := [name for name in last if self.made[name] < heights[name]]:
            self._advance(self.writer[min(unfinished, key=lambda name: self.made[name] / heights[name])])
        for name in heights:
            if name in whole:
                self._need(name, heights[name])
        return self.events

    def _need(self, tensor: str, rows: int) -> None:
        while tensor in self.made and self.made[tensor] < rows:
            self._advance(self.writer[tensor], rows)

    def _advance(self, layer: int, wanted: int = 0) -> None:
        """Make the next rows of one layer, of which `wanted` have to be there in the end."""
        each = self.layers[layer]
        candidate, height, name = each.candidate, each.height, each.node.output
        if candidate.accumulates:
            (source, rows), first = next(iter(each.sources.items())), self.taken[layer]
            end = self.taken[layer] = min(first + candidate.rows_per_call, rows)
            reads, writes = {source: (first, end)}, (0, height if end == rows else 0)
        else:
            first = self.made[name]
            count = candidate.rows_per_call
            if self.exactly and first == 0 and wanted:
                count = wanted % count or count
            end = min(first + count, height) if candidate.streams else height
            low_high = (
                each.node.op.rows_read(each.operands, each.output, first, end) if candidate.streams else None
            )
            # One row is there for all rows of the output.
            reads = {
                source: (first, end)
                if source in each.beside
                else low_high
                if low_high and rows > 1
                else (0, rows)
                for source, rows in each.sources.items()
            }
            writes = (first, end)
        for source, (_, high) in reads.items():
            self._need(source, high)
        self.made[name] = max(self.made[name], writes[1])
        self.events.append(_Event(Portion(layer, first, end - first), reads, (name, *writes), each.over))


def _shares(events: Sequence[_Event], inside: Sequence[str]) -> dict[str, str]:
    """Which maps of the group may be written over another, because nobody else needs its rows any more."""
    shares: dict[str, str] = {}
    for output in inside:
        own = [event for event in events if event.writes[0] == output]
        for source in sorted(own[0].over & set(inside)):
            if source in shares.values() or any(event.reads[source] != event.writes[1:] for event in own):
                continue
            needed: dict[str, int] = {}
            if all(
                needed.get(source, event.writes[2]) >= event.writes[2]
                for event in _backwards(events, needed)
                if event.writes[0] == output
            ):
                shares[output] = source
                break
    return shares


def _backwards(
    events: Sequence[_Event], needed: dict[str, int], rings: Mapping[str, str] | None = None
) -> Iterator[_Event]:
    """The events from the last to the first; `needed` holds the lowest row of each map that is read later.

    With the ring of each map, `needed` is of the rings.
    """
    for event in reversed(events):
        yield event
        for name, (low, _) in event.reads.items():
            held = rings.get(name, name) if rings else name
            needed[held] = min(needed.get(held, low), low)


def _ring_rows(
    graph: Graph, events: Sequence[_Event], inside: Sequence[str], shares: Mapping[str, str]
) -> dict[str, int]:
    """The most rows of each map that are alive at a time, by the name of the map whose ring it is."""
    rings = {name: _ring(name, shares) for name in inside}
    rows = dict.fromkeys(rings.values(), 1)
    needed: dict[str, int] = {}
    for event in _backwards(events, needed, rings):
        name, _, end = event.writes
        ring = rings.get(name, name)
        if ring not in rows:
            continue
        lowest = needed.get(ring, end)
        if name in shares:
            # What it writes over is read by this very event.
            lowest = min(lowest, event.reads[shares[name]][0])
        rows[ring] = min(max(rows[ring], end - lowest), map_rows(graph.tensors[ring]))
    return rows


def _ring(name: str, shares: Mapping[str, str]) -> str:
    """The map whose ring a map is written into."""
    while name in shares:
        name = shares[name]
    return name


def _busy(events: Sequence[_Event], inside: Sequence[str], shares: Mapping[str, str]) -> dict[str, int]:
    """When each ring holds rows that are still to be read."""
    busy = {_ring(name, shares): 0 for name in inside}
    last: dict[tuple[str, int], int] = {}
    for index in range(len(events) - 1, -1, -1):
        event = events[index]
        name, first, end = event.writes
        if _ring(name, shares) in busy:
            until = max((last.get((name, row), index) for row in range(first, end)), default=index)
            busy[_ring(name, shares)] |= (1 << until + 1) - (1 << index)
        for source, (low, high) in event.reads.items():
            for row in range(low, high):
                last.setdefault((source, row), index)
    return busy


def _arrivals(events: Sequence[_Event], fed: str, rows: int) -> tuple[int, ...]:
    """The event that each row of a fed input has to be there for; rows that none asks for come at the end."""
    arrivals: list[int] = []
    for index, event in enumerate(events):
        _, high = event.reads.get(fed, (0, 0))
        arrivals += [index] * (high - len(arrivals))
    return (*arrivals, *[len(events)] * (rows - len(arrivals)))


def _fed_rows(events: Sequence[_Event], fed: str, arrivals: Sequence[int]) -> int:
    """The most rows of a fed input between the lowest that is still to be read and the last that came."""
    most, needed = 1, len(arrivals)
    for index in range(len(events) - 1, -1, -1):
        low, _ = events[index].reads.get(fed, (needed, 0))
        needed = min(needed, low)
        most = max(most, sum(arrival <= index for arrival in arrivals) - needed)
    return most


def _fed_busy(events: Sequence[_Event], fed: str, arrivals: Sequence[int]) -> int:
    """When the ring of a fed input holds rows that are still to be read, or takes one."""
    busy = 0
    for row, arrival in enumerate(arrivals):
        readers = (i for i, event in enumerate(events) if row in range(*event.reads.get(fed, (0, 0))))
        if arrival < len(events):
            busy |= (1 << max(readers, default=arrival) + 1) - (1 << arrival)
    return busy


def _distance(graph: Graph, events: Sequence[_Event], output: str, source: str) -> int | None:
    """Bytes by which `output` has to begin below `source` so that it only covers rows that are done with.

    None where nothing is won: the two would not overlap.
    """
    out_bytes, in_bytes = row_bytes(graph.tensors[output]), row_bytes(graph.tensors[source])
    height = map_rows(graph.tensors[source])
    distance, needed = 0, {source: height}
    for event in _backwards(events, needed):
        name, _, end = event.writes
        if name != output:
            continue
        low = needed[source]
        if source in event.reads and not (source in event.over and event.reads[source] == event.writes[1:]):
            low = min(low, event.reads[source][0])
        if low < height:
            distance = max(distance, end * out_bytes - low * in_bytes)
    return distance if distance < graph.tensors[output].nbytes else None
