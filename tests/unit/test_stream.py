"""Layers run strip by strip, replayed portion by portion on the bytes of one arena, against TFLite.

The replay knows nothing of how rings were sized or placed: it hands each portion just the rows that its
places hold, everything else is noise, and what the last layer leaves has to be what TFLite's reference
kernels make. The kernels are the operators' numpy references, said to work row by row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import pipeline.kernels
from pipeline.errors import UsageError
from pipeline.graph import Graph
from pipeline.kernels.base import Candidate, Kernel
from pipeline.lower import Layer, Place, Program, lower_program
from pipeline.passes import apply_passes
from pipeline.plan import MemoryPlan, plan_schedule
from pipeline.read_tflite import read_tflite
from pipeline.schedule import Machine, Schedule, schedule_layers
from pipeline.stream import stream_group
from tests.tflite_chains import Chain
from tests.tflite_networks import random_network
from tests.unit.test_passes import by_tflite

HEIGHT = 11
AIMS = ("time", "ram", "flash", "balanced")


class Rows(Kernel):
    """Any operator whose output rows are made of some input rows, so many at a time."""

    name = "rows"

    def candidates(self, op, inputs, output):
        if op.rows_read(inputs, output, 0, 1) is None:
            return []
        return [
            Candidate(
                "rows", op.kernel, "", dict, scratch_bytes=24 * rows, streams=True, rows_per_call=rows,
                features={"things": output.elements * (1.0 + 1.0 / rows)},
            )
            for rows in (1, 2, 4, HEIGHT)
        ]  # fmt: skip


@pytest.fixture(autouse=True)
def rows_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pipeline.kernels.LIBRARIES, "rows", (Rows(),))


def scheduled(tflite: bytes, aim: str) -> tuple[Graph, Schedule, Program]:
    graph, _ = apply_passes(read_tflite(tflite, "network"))
    schedule = schedule_layers(graph, Machine(("rows", "portable"), 1 << 30, 1 << 30), aim)
    return graph, schedule, lower_program(schedule, plan_schedule(schedule))


class Replay:
    """Runs a program's portions on one arena; a portion sees the rows that it may see, and noise."""

    def __init__(self, graph: Graph, program: Program) -> None:
        self.graph, self.program = graph, program
        self.nodes = {node.name: node for node in graph.nodes}
        self.noise = np.random.default_rng(7)
        self.arena = self.noise.integers(0, 256, program.arena_bytes, np.uint8)
        self.memory = {"arena": self.arena}
        for place in program.buffers:
            self.memory[place.buffer] = np.zeros(np.prod(place.shape), np.uint8)

    def run(self, x: np.ndarray) -> np.ndarray:
        rows = x.reshape(x.shape[1], -1).view(np.uint8)
        if self.program.fed is None:
            self.map(self.program.inputs[0])[:] = rows
        for call in self.program.calls:
            for index, portion in enumerate(call.portions):
                self.feed(rows, [row for row, count in enumerate(call.arrivals) if count == index])
                self.portion(call.layers[portion.layer], portion.first, portion.count)
        output = self.program.outputs[0]
        return self.map(output).copy().view(output.dtype).reshape(output.shape)

    def feed(self, rows: np.ndarray, numbers: Sequence[int]) -> None:
        """Rows of the input that come before the next portion."""
        kept = self.map(self.program.inputs[0])
        for number in numbers:
            kept[number % len(kept)] = rows[number]

    def portion(self, layer: Layer, first: int, count: int) -> None:
        node = self.nodes[layer.name]
        operands, output = self.graph.operands(node), self.graph.tensors[node.output]
        if layer.scratch_offset is not None:
            self.arena[layer.scratch_offset : layer.scratch_offset + 24] = self.noise.integers(0, 256, 24)
        places = {place.tensor: place for place in layer.reads if place.constant is None}
        seen = node.op.rows_read(operands, output, first, first + count) if layer.maps else None
        arrays = []
        for position in node.op.operands(operands):
            tensor = operands[position]
            if tensor.is_constant:
                arrays.append(tensor.data)
                continue
            place = places[tensor.name]
            low, high = seen if seen and rows_of(place) > 1 else (0, rows_of(place))
            if position in node.op.beside(operands):
                low, high = first, first + count
            held = self.map(place)
            x = self.noise.integers(0, 256, (rows_of(place), held.shape[1])).astype(np.uint8)
            for row in range(low, high):
                x[row] = held[row % len(held)]
            arrays.append(x.view(tensor.dtype).reshape(tensor.shape))
        made = node.op.reference(node.op.parameters(operands, output), *arrays)
        made = np.ascontiguousarray(made).view(np.uint8).reshape(rows_of(layer.writes), -1)
        rows = range(first, first + count) if layer.maps else range(len(made))
        kept = self.map(layer.writes)
        assert len(rows) <= len(kept)
        kept[[row % len(kept) for row in rows]] = made[rows]

    def map(self, place: Place) -> np.ndarray:
        """The bytes of the rows that are kept, one row after the other."""
        width = int(np.prod(place.shape)) * np.dtype(place.dtype).itemsize // rows_of(place)
        kept = place.ring_rows or rows_of(place)
        memory = self.memory[place.buffer]
        assert place.offset + kept * width <= len(memory)
        return memory[place.offset : place.offset + kept * width].reshape(kept, width)


def rows_of(place: Place) -> int:
    return place.shape[1] if len(place.shape) == 4 else 1


networks = st.builds(
    lambda seed, operators: (seed, random_network(np.random.default_rng(seed), operators, HEIGHT)),
    st.integers(0, 2**32 - 1),
    st.integers(1, 10),
)


@given(networks, st.sampled_from(AIMS))
@settings(max_examples=150, deadline=None)
def test_strip_by_strip_gives_the_reference_integers(network, aim):
    seed, tflite = network
    graph, schedule, program = scheduled(tflite, aim)
    x = np.random.default_rng(seed).integers(-128, 128, graph.tensors[graph.inputs[0]].shape).astype(np.int8)
    np.testing.assert_array_equal(Replay(schedule.graph, program).run(x), by_tflite(tflite, x))


def test_rows_that_the_group_passes_over_are_made_where_others_read_the_map():
    """Of eight rows a stride of two reads the first seven; the second output is all eight."""
    chain = Chain()
    x, a = (chain.tensor(name, (1, 8, 4, 2), scale=0.1) for name in ("x", "a"))
    b = chain.tensor("b", (1, 4, 2, 2), scale=0.1)
    options = schema.Pool2DOptionsT()
    options.strideH = options.strideW = 2
    options.filterHeight = options.filterWidth = 1
    options.padding = schema.Padding.VALID
    chain.operator("RELU", [x], a)
    chain.operator("MAX_POOL_2D", [a], b, options)
    graph = read_tflite(chain.finish([x], [a, b]), "skips")
    ways = [
        Rows().candidates(node.op, graph.operands(node), graph.tensors[node.output])[0]
        for node in graph.nodes
    ]
    for whole, rows in ((frozenset("b"), 7), (frozenset("ab"), 8)):
        stream = stream_group(graph, graph.nodes, ways, whole)
        assert sum(portion.count for portion in stream.portions if portion.layer == 0) == rows
        assert sum(portion.count for portion in stream.portions if portion.layer == 1) == 4


def noticed(graph: Graph, schedule: Schedule, memory: MemoryPlan, tflite: bytes) -> bool:
    x = np.random.default_rng(3).integers(-128, 128, (1, HEIGHT, 4, 3)).astype(np.int8)
    try:
        made = Replay(schedule.graph, lower_program(schedule, memory)).run(x)
    except AssertionError:
        return True
    return not np.array_equal(made, by_tflite(tflite, x))


def networks_for_mutants() -> Iterator[tuple[Graph, Schedule, bytes]]:
    for seed in range(60):
        tflite = random_network(np.random.default_rng(seed), 6, HEIGHT)
        graph, schedule, _ = scheduled(tflite, "ram")
        yield graph, schedule, tflite


def test_a_ring_of_one_row_less_is_noticed():
    found = []
    for graph, schedule, tflite in networks_for_mutants():
        for index, step in enumerate(schedule.steps):
            for name, rows in step.stream.ring_rows.items():
                if 1 < rows < HEIGHT:
                    less = replace(step.stream, ring_rows={**step.stream.ring_rows, name: rows - 1})
                    steps = list(schedule.steps)
                    steps[index] = replace(step, stream=less)
                    mutant = replace(schedule, steps=tuple(steps))
                    found.append(noticed(graph, mutant, plan_schedule(mutant), tflite))
    # A row that is clamped to what it was before hides a mistake.
    assert len(found) > 10
    assert sum(found) >= 0.9 * len(found)


def test_an_output_that_covers_one_row_too_many_is_noticed():
    found = []
    for graph, schedule, tflite in networks_for_mutants():
        memory = plan_schedule(schedule)
        for step in schedule.steps:
            for (output, source), distance in step.stream.below.items():
                row = graph.tensors[output].nbytes // HEIGHT
                above = memory.offsets.get(source, -1) - memory.offsets[output]
                if max(distance, row) <= above < distance + 4 and above < graph.tensors[output].nbytes:
                    moved = {**memory.offsets, output: memory.offsets[output] + row}
                    found.append(noticed(graph, schedule, replace(memory, offsets=moved), tflite))
    # What a wrong row adds may vanish under a maximum or a clamp.
    assert len(found) > 5
    assert sum(found) >= 0.7 * len(found)


@given(networks, st.sampled_from(AIMS))
@settings(max_examples=40, deadline=None)
def test_input_and_output_outside_of_the_arena_keep_their_bytes(network, aim):
    seed, tflite = network
    graph, _ = apply_passes(read_tflite(tflite, "network"))
    outside = frozenset((*graph.inputs, *graph.outputs))
    machine = Machine(("rows", "portable"), 1 << 30, 1 << 30)
    schedule = schedule_layers(graph, machine, aim, outside)
    program = lower_program(schedule, plan_schedule(schedule))
    x = np.random.default_rng(seed).integers(-128, 128, graph.tensors[graph.inputs[0]].shape).astype(np.int8)
    replay = Replay(schedule.graph, program)
    np.testing.assert_array_equal(replay.run(x), by_tflite(tflite, x))
    assert {place.buffer for place in (*program.inputs, *program.outputs)} == {
        "input_buffer",
        "output_buffer",
    }
    np.testing.assert_array_equal(replay.map(program.inputs[0]).view(np.int8), x.reshape(HEIGHT, -1))


def fed(tflite: bytes, aim: str) -> tuple[Graph, Schedule] | None:
    """A network whose input comes row by row, if it can."""
    graph, _ = apply_passes(read_tflite(tflite, "network"))
    machine = Machine(("rows", "portable"), 1 << 30, 1 << 30)
    with suppress(UsageError):
        return graph, schedule_layers(graph, machine, aim, fed=graph.inputs[0])
    return None


@given(networks, st.sampled_from(AIMS))
@settings(max_examples=60, deadline=None)
def test_an_input_that_is_fed_row_by_row(network, aim):
    seed, tflite = network
    found = fed(tflite, aim)
    assume(found is not None)
    graph, schedule = found
    program = lower_program(schedule, plan_schedule(schedule))
    assert program.fed is not None
    assert len(program.calls[0].arrivals) == HEIGHT
    x = np.random.default_rng(seed).integers(-128, 128, graph.tensors[graph.inputs[0]].shape).astype(np.int8)
    np.testing.assert_array_equal(Replay(schedule.graph, program).run(x), by_tflite(tflite, x))


def test_a_fed_ring_of_one_row_less_is_noticed():
    found = []
    for seed in range(80):
        tflite = random_network(np.random.default_rng(seed), 3, HEIGHT)
        if (each := fed(tflite, "ram")) is None:
            continue
        graph, schedule = each
        name, stream = graph.inputs[0], schedule.steps[0].stream
        if 1 < (rows := stream.ring_rows[name]) < HEIGHT:
            less = replace(stream, ring_rows={**stream.ring_rows, name: rows - 1})
            mutant = replace(schedule, steps=(replace(schedule.steps[0], stream=less), *schedule.steps[1:]))
            found.append(noticed(graph, mutant, plan_schedule(mutant), tflite))
    assert len(found) > 10
    assert sum(found) >= 0.9 * len(found)


def test_an_input_that_some_layer_needs_whole_cannot_be_fed():
    graph, _ = apply_passes(read_tflite(random_network(np.random.default_rng(1), 6, HEIGHT), "network"))
    with pytest.raises(UsageError, match="no kernel for this core that takes rows") as told:
        schedule_layers(graph, Machine(("portable",), 1 << 30, 1 << 30), "time", fed=graph.inputs[0])
    assert told.value.code == "E_FEED_ROWS"
