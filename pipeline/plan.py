"""Give every activation and every scratch buffer a place in one arena."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.schedule import Schedule
from pipeline.tensors import row_bytes

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
    moments: int = -1
    """A bit for each moment of its only step at which it is in use; all of them where it lives longer."""

    def meets(self, other: Request) -> bool:
        """Whether both need their bytes at the same time."""
        return self.lifetime.overlaps(other.lifetime) and self.moments & other.moments != 0


@dataclass(frozen=True)
class MemoryPlan:
    """Offsets in bytes from the start of the arena, by buffer; tensors that share bytes share offsets.

    `lower_bound_bytes` is the largest sum of bytes alive at one step: no plan can be smaller.
    """

    offsets: Mapping[str, int]
    """Of tensors by their names; of a step's scratch and state by `scratch_name` and `state_name`.

    What a schedule keeps outside of the arena lies at 0 of its own memory.
    """
    lifetimes: Mapping[str, Lifetime]
    arena_bytes: int
    lower_bound_bytes: int


Below = Mapping[tuple[str, str], int]
"""(lower, upper): two buffers may overlap if the first begins by so many bytes below the second, or more."""


def scratch_name(step: int, layer: int) -> str:
    """The memory that the calls of a layer of a step may use for themselves."""
    return f"scratch of step {step}, layer {layer}"


def state_name(step: int, layer: int) -> str:
    """What a layer of a step keeps from call to call."""
    return f"state of step {step}, layer {layer}"


def plan_schedule(schedule: Schedule) -> MemoryPlan:
    """Place every tensor of a schedule, rings, scratch and state of its steps among them.

    A reshaped tensor shares the bytes of its source; an output may cover rows of an input that are done with.
    """
    graph = schedule.graph
    lifetimes = _lifetimes(schedule)
    requests = _requests(schedule, lifetimes)
    below = _below(schedule, lifetimes)
    offsets, arena_bytes, bound = pack(tuple(requests.values()), below)
    owner = {name: schedule.aliases.get(name, name) for name in lifetimes if name in graph.tensors}
    for step in schedule.steps:
        for name, over in step.stream.shares.items():
            owner[name] = owner.get(over, over)
    placed = {name: offsets.get(ring, 0) for name, ring in owner.items()}
    extra = {name: request.lifetime for name, request in requests.items() if name not in graph.tensors}
    return MemoryPlan(
        placed | {name: offsets[name] for name in extra}, {**lifetimes, **extra}, arena_bytes, bound
    )


def _requests(schedule: Schedule, lifetimes: Mapping[str, Lifetime]) -> dict[str, Request]:
    """One buffer for each tensor that owns its bytes, and for scratch and state."""
    tensors = schedule.graph.tensors
    requests: dict[str, Request] = {}
    shared: set[str] = set(schedule.aliases)
    for index, step in enumerate(schedule.steps):
        here = Lifetime(index, index)
        shared |= step.stream.shares.keys()
        for name, rows in step.stream.ring_rows.items():
            requests[name] = Request(name, rows * row_bytes(tensors[name]), here, step.stream.busy[name])
        for layer, candidate in enumerate(step.candidates):
            scratch, state = scratch_name(index, layer), state_name(index, layer)
            if candidate.scratch_bytes:
                calls = step.stream.calls_of(layer)
                requests[scratch] = Request(scratch, candidate.scratch_bytes, here, calls)
            if candidate.state_bytes:
                requests[state] = Request(state, candidate.state_bytes, here)
    for name, life in lifetimes.items():
        if name not in shared and name not in requests and name not in schedule.outside:
            requests[name] = Request(name, tensors[name].nbytes, life)
    return requests


def _below(schedule: Schedule, lifetimes: Mapping[str, Lifetime]) -> dict[tuple[str, str], int]:
    """Outputs that may cover an input of their step, which nothing reads afterwards."""
    found: dict[tuple[str, str], int] = {}
    # What the user reads, perhaps under another shape, is kept to the end.
    left = {schedule.aliases.get(name, name) for name in schedule.graph.outputs}
    for index, step in enumerate(schedule.steps):
        for (output, source), distance in step.stream.below.items():
            owner = schedule.aliases.get(source, source)
            # Read under two names, what one has done with the other may still need.
            names = {
                name
                for node in step.nodes
                for name in node.inputs
                if schedule.aliases.get(name, name) == owner
            }
            ends = lifetimes[owner].last == index and lifetimes[output].first == index
            inside = owner not in left and not {output, owner} & schedule.outside
            if ends and names == {source} and inside:
                found[output, owner] = distance
    return found


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
                    owner = schedule.aliases.get(name, name)
                    last[owner] = index
            first[node.output] = last[node.output] = index
    for alias, source in schedule.aliases.items():
        first[alias] = first[source]
        last.setdefault(alias, last[source])
    for name in graph.outputs:
        last[name] = last[schedule.aliases.get(name, name)] = end
    return {name: Lifetime(first[name], max(last[name], first[name])) for name in first}


def pack(requests: Sequence[Request], below: Below = MappingProxyType({})) -> tuple[dict[str, int], int, int]:
    """Offsets, arena size and lower bound in bytes, so that buffers alive together share no byte.

    Two buffers of `below` may overlap as it says, if their lifetimes meet in one step only. Greedy placement
    at the lowest free offset, over several orders and then a seeded search among their neighbors until the
    lower bound is met (compare: Pisarchyk and Lee, "Efficient memory management for deep neural net
    inference", MLSys 2020 workshop).
    """
    bound = lower_bound(requests, below)
    overlapping = {name for pair in below for name in pair}
    orders: list[list[Request]] = [
        sorted(requests, key=lambda r: (-r.nbytes, r.lifetime.first, r.name)),
        sorted(requests, key=lambda r: (-r.nbytes * (r.lifetime.last - r.lifetime.first + 1), r.name)),
        sorted(requests, key=lambda r: (r.lifetime.first - r.lifetime.last, -r.nbytes, r.name)),
        sorted(requests, key=lambda r: (r.lifetime.first, -r.nbytes, r.name)),
        # Along a chain of maps that cover each other, from its end: each begins a little above the next,
        # if scratch and rings do not stand between them.
        sorted(requests, key=lambda r: (r.name in overlapping, -r.lifetime.first, -r.nbytes, r.name)),
        sorted(requests, key=lambda r: (r.name not in overlapping, -r.lifetime.first, -r.nbytes, r.name)),
    ]
    best = min((_place(order, below) for order in orders), key=lambda placed: placed[1])
    order = min(orders, key=lambda candidate: _place(candidate, below)[1])
    # A fixed seed: the same requests always get the same places.
    chance = random.Random(0)  # noqa: S311
    for _ in range(SEARCH_ROUNDS if len(requests) > 2 else 0):
        if best[1] == bound:
            break
        neighbor = list(order)
        i, j = chance.sample(range(len(neighbor)), 2)
        neighbor.insert(i, neighbor.pop(j))
        placed = _place(neighbor, below)
        if placed[1] <= best[1]:
            best, order = placed, neighbor
    return best[0], best[1], bound


def lower_bound(requests: Iterable[Request], below: Below = MappingProxyType({})) -> int:
    """The largest sum of aligned sizes alive at one step, what pairs can share taken off."""
    held = {request.name: request for request in requests}

    def saved(lower: str, upper: str, distance: int) -> int:
        a, b = _aligned(held[lower].nbytes), _aligned(held[upper].nbytes)
        return max(a + b - max(a, _aligned(max(distance, 0)) + b), 0)

    def alive(step: int) -> int:
        here = [
            request for request in held.values() if request.lifetime.first <= step <= request.lifetime.last
        ]
        always = {request.name for request in here if request.moments == -1}
        shared = sum(saved(*pair, distance) for pair, distance in below.items() if always.issuperset(pair))
        return sum(_aligned(held[name].nbytes) for name in always) - shared + _peak(here)

    return max((alive(step) for step in {r.lifetime.first for r in held.values()}), default=0)


def _peak(requests: Iterable[Request]) -> int:
    """The largest sum of aligned sizes at one moment of a step, of what is not in use all the time."""
    at: Counter[int] = Counter()
    for request in requests:
        moments = request.moments
        while moments > 0:
            lowest = moments & -moments
            at[lowest] += _aligned(request.nbytes)
            moments ^= lowest
    return max(at.values(), default=0)


def _place(order: Sequence[Request], below: Below) -> tuple[dict[str, int], int]:
    """Each request in turn at the lowest offset where it meets nothing that is alive with it."""
    offsets: dict[str, int] = {}
    placed: list[tuple[Request, int]] = []
    arena_bytes = 0
    for request in order:
        offset = 0
        taken = (_forbidden(request, other, start, below) for other, start in placed if other.meets(request))
        for low, high in sorted(taken):
            if offset < high and offset > low:
                offset = _aligned(high)
        offsets[request.name] = offset
        placed.append((request, offset))
        arena_bytes = max(arena_bytes, _aligned(offset + request.nbytes))
    return offsets, arena_bytes


def _forbidden(request: Request, other: Request, start: int, below: Below) -> tuple[int, int]:
    """Offsets that a request must not have, both ends allowed, given where another buffer lies."""
    low, high = start - request.nbytes, start + other.nbytes
    distance = below.get((request.name, other.name))
    if distance is not None:
        low = max(low, start - max(distance, 0))
    distance = below.get((other.name, request.name))
    if distance is not None:
        high = min(high, start + max(distance, 0))
    return low, high


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
