"""Programs, run call by call on the bytes of one arena, against TFLite's reference kernels.

The runner below knows places and the operators' numpy references, and nothing of how they were planned:
a tensor that is overwritten while it is still needed gives a wrong output.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lower import Constant, identifier, lower_program
from pipeline.passes import apply_passes
from pipeline.plan import plan_schedule
from pipeline.read_tflite import read_tflite
from pipeline.schedule import schedule_layers
from tests.tflite_networks import random_network
from tests.unit.test_passes import by_tflite


def program_of(tflite):
    graph, _ = apply_passes(read_tflite(tflite, "network"))
    schedule = schedule_layers(graph)
    return graph, lower_program(schedule, plan_schedule(schedule))


def run_in_arena(graph, program, x):
    """Every call reads its operands from the arena and writes its output there, as the C does."""
    arena = np.full(program.arena_bytes, 0xA5, np.uint8)
    constants = {constant.name: constant.data for constant in program.constants}
    nodes = {node.name: node for node in graph.nodes}

    def window(place):
        size = int(np.prod(place.shape)) * np.dtype(place.dtype).itemsize
        assert place.offset + size <= program.arena_bytes
        return arena[place.offset : place.offset + size]

    window(program.inputs[0])[:] = x.reshape(-1).view(np.uint8)
    for call in program.calls:
        arrays = [
            constants[place.constant].reshape(place.shape)
            if place.constant
            else window(place).view(place.dtype).reshape(place.shape).copy()
            for place in call.reads
        ]
        node = nodes[call.name]
        parameters = node.op.parameters(graph.operands(node), graph.tensors[node.output])
        result = np.ascontiguousarray(node.op.reference(parameters, *arrays))
        window(call.writes)[:] = result.reshape(-1).view(np.uint8)
    output = program.outputs[0]
    return window(output).view(output.dtype).reshape(output.shape)


networks = st.builds(
    lambda seed, operators: (seed, random_network(np.random.default_rng(seed), operators)),
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
)


@given(networks)
@settings(max_examples=80, deadline=None)
def test_a_program_in_one_arena_gives_the_reference_integers(network):
    seed, tflite = network
    graph, program = program_of(tflite)
    x = np.random.default_rng(seed).integers(-128, 128, (1, 4, 4, 3)).astype(np.int8)
    np.testing.assert_array_equal(run_in_arena(graph, program, x), by_tflite(tflite, x))
    assert program.arena_bytes >= program.arena_lower_bound_bytes


def test_one_wrong_offset_is_noticed():
    found = 0
    for seed in range(30):
        tflite = random_network(np.random.default_rng(seed), 8)
        graph, program = program_of(tflite)
        x = np.random.default_rng(seed).integers(-128, 128, (1, 4, 4, 3)).astype(np.int8)
        expected = by_tflite(tflite, x)
        for index, call in enumerate(program.calls[:-1]):
            latest = program.arena_bytes - int(np.prod(call.writes.shape))
            later = [place for place in call.live if call.writes.offset != place.offset <= latest]
            if not later:
                continue
            # This call writes where another tensor still lives, and whoever reads it reads there.
            moved = replace(call.writes, offset=later[0].offset)
            calls = [
                replace(
                    other,
                    writes=moved if other.index == index else other.writes,
                    reads=tuple(moved if place == call.writes else place for place in other.reads),
                )
                for other in program.calls
            ]
            wrong = run_in_arena(graph, replace(program, calls=tuple(calls)), x)
            found += not np.array_equal(wrong, expected)
    assert found > 10


def test_equal_constants_are_stored_once():
    _, program = program_of(random_network(np.random.default_rng(5), 12))
    contents = [
        (constant.data.dtype.name, constant.data.shape, constant.data.tobytes())
        for constant in program.constants
    ]
    assert len(set(contents)) == len(contents)
    assert len({constant.name for constant in program.constants}) == len(contents)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv2d_1", "conv2d_1"),
        ("My Model (v2)", "my_model_v2"),
        ("2d-net", "m_2d_net"),
        ("float", "m_float"),
        ("größe", "gr_e"),
        ("", "model"),
        ("*/ evil /*", "evil"),
    ],
)
def test_any_text_becomes_an_identifier(text, expected):
    assert identifier(text) == expected


@pytest.mark.parametrize(
    ("size", "in_ram", "alignment"),
    [(256, False, 32), (32, False, 32), (54, False, 4), (288, False, 4), (256, True, 4)],
)
def test_what_a_data_cache_can_keep_begins_where_a_line_does(size, in_ram, alignment):
    assert Constant("table", "", np.zeros(size, np.int8), in_ram).alignment == alignment
