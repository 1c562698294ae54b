"""Give every activation and every scratch buffer a place in one arena."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.schedule import Schedule

ALIGNMENT_BYTES = 4
# Orders tried before a gap to the lower bound is accepted; each costs well under a millisecond.
SEARCH_ROUNDS = 300


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The steps, first to last inclusive, during which a buffer must keep its bytes."""

    first: int
    last: int

    def overlaps(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Request:
    """A buffer that wants a place: its name, its size, and when it is needed."""

    name: str
    nbytes: int
    lifetime: Lifetime


@dataclass(frozen=True)
class MemoryPlan:
    """Offsets in bytes from the start of the arena, by tensor; tensors that share bytes share offsets.

    `lower_bound_bytes` is the largest sum of bytes alive at one step: no plan can be smaller.
    """

    offsets: Mapping[str, int]
    lifetimes: Mapping[str, Lifetime]
    arena_bytes: int
    lower_bound_bytes: int


def plan_schedule(schedule: Schedule) -> MemoryPlan:
    """Place every tensor of a schedule; an in-place output and a reshaped tensor share a buffer."""
    graph = schedule.graph
    owner = _owners(schedule)
    lifetimes = _lifetimes(schedule)
    buffers: dict[str, Request] = {}
    for tensor, life in lifetimes.items():
        name, nbytes = owner[tensor], graph.tensors[tensor].nbytes
        known = buffers.get(name, Request(name, 0, life))
        merged = Lifetime(min(known.lifetime.first, life.first), max(known.lifetime.last, life.last))
        buffers[name] = Request(name, max(known.nbytes, nbytes), merged)
    scratch = [
        Request(f"scratch of {step.nodes[-1].name}", step.candidate.scratch_bytes, Lifetime(index, index))
        for index, step in enumerate(schedule.steps)
        if step.candidate.scratch_bytes
    ]
    offsets, arena_bytes, bound = pack([*buffers.values(), *scratch])
    placed = {tensor: offsets[owner[tensor]] for tensor in lifetimes}
    placed |= {request.name: offsets[request.name] for request in scratch}
    return MemoryPlan(
        placed,
        {**lifetimes, **{request.name: request.lifetime for request in scratch}},
        arena_bytes,
        bound,
    )


def _lifetimes(schedule: Schedule) -> dict[str, Lifetime]:
    """Of every arena tensor: from the step that writes it to the last that reads it.

    Inputs are there before the first step; outputs stay to the end. An alias lives with its source.
    """
    graph, end = schedule.graph, len(schedule.steps) - 1
    first: dict[str, int] = dict.fromkeys(graph.inputs, 0)
    last: dict[str, int] = dict.fromkeys(graph.inputs, 0)
    for index, step in enumerate(schedule.steps):
        for node in step.nodes:
            for name in node.inputs:
                if name and not graph.tensors[name].is_constant:
                    last[name] = index
                    last[schedule.aliases.get(name, name)] = index
            first[node.output] = last[node.output] = index
    for alias, source in schedule.aliases.items():
        first[alias] = first[source]
        last.setdefault(alias, last[source])
    for name in graph.outputs:
        last[name] = last[schedule.aliases.get(name, name)] = end
    return {name: Lifetime(first[name], max(last[name], first[name])) for name in first}


def _owners(schedule: Schedule) -> dict[str, str]:
    """Which buffer each tensor lives in: its own, its alias's, or that of the input it may overwrite."""
    graph = schedule.graph
    lifetimes = _lifetimes(schedule)
    owner = {name: schedule.aliases.get(name, name) for name in lifetimes}
    # The last step at which any tensor in a buffer is read.
    last_use: dict[str, int] = {}
    for name, life in lifetimes.items():
        last_use[owner[name]] = max(last_use.get(owner[name], -1), life.last)
    for index, step in enumerate(schedule.steps):
        node = step.nodes[-1]
        output = graph.tensors[node.output]
        for position in node.op.in_place(graph.operands(node), output):
            source = node.inputs[position]
            if graph.tensors[source].is_constant or source in graph.outputs:
                continue
            buffer = owner[source]
            if last_use[buffer] == index and graph.tensors[source].nbytes >= output.nbytes:
                old = owner[node.output]
                for name in owner:
                    if owner[name] == old:
                        owner[name] = buffer
                last_use[buffer] = max(last_use[buffer], last_use[old])
                break
    return owner


def pack(requests: Sequence[Request]) -> tuple[dict[str, int], int, int]:
    """Offsets, arena size and lower bound in bytes, so that buffers alive together share no byte.

    Greedy placement at the lowest free offset, over several orders and then a seeded search among
    their neighbors until the lower bound is met (compare: Pisarchyk and Lee, "Efficient memory
    management for deep neural net inference", MLSys 2020 workshop).
    """
    bound = lower_bound(requests)
    orders: list[list[Request]] = [
        sorted(requests, key=lambda r: (-r.nbytes, r.lifetime.first, r.name)),
        sorted(requests, key=lambda r: (-r.nbytes * (r.lifetime.last - r.lifetime.first + 1), r.name)),
        sorted(requests, key=lambda r: (r.lifetime.first - r.lifetime.last, -r.nbytes, r.name)),
        sorted(requests, key=lambda r: (r.lifetime.first, -r.nbytes, r.name)),
    ]
    best = min((_place(order) for order in orders), key=lambda placed: placed[1])
    order = min(orders, key=lambda candidate: _place(candidate)[1])
    # A fixed seed: the same requests always get the same places.
    chance = random.Random(0)  # noqa: S311
    for _ in range(SEARCH_ROUNDS if len(requests) > 2 else 0):
        if best[1] == bound:
            break
        neighbor = list(order)
        i, j = chance.sample(range(len(neighbor)), 2)
        neighbor.insert(i, neighbor.pop(j))
        placed = _place(neighbor)
        if placed[1] <= best[1]:
            best, order = placed, neighbor
    return best[0], best[1], bound


def lower_bound(requests: Iterable[Request]) -> int:
    """The largest sum of aligned sizes alive at one step."""
    held = list(requests)
    steps = {request.lifetime.first for request in held}
    return max(
        (
            sum(_aligned(r.nbytes) for r in held if r.lifetime.first <= step <= r.lifetime.last)
            for step in steps
        ),
        default=0,
    )


def _place(order: Sequence[Request]) -> tuple[dict[str, int], int]:
    """Each request in turn at the lowest offset where it meets nothing that is alive with it."""
    offsets: dict[str, int] = {}
    placed: list[tuple[Request, int]] = []
    arena_bytes = 0
    for request in order:
        offset = 0
        for other, start in sorted(
            ((o, s) for o, s in placed if o.lifetime.overlaps(request.lifetime)), key=lambda p: p[1]
        ):
            if start >= offset + request.nbytes:
                break
            offset = max(offset, _aligned(start + other.nbytes))
        offsets[request.name] = offset
        placed.append((request, offset))
        arena_bytes = max(arena_bytes, _aligned(offset + request.nbytes))
    return offsets, arena_bytes


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
