"""Passes change no output bit: a rewritten graph gives the integers of TFLite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.graph import Graph, Node
from pipeline.operators.maximum import Maximum
from pipeline.operators.reshape import Reshape
from pipeline.operators.squeeze import Squeeze
from pipeline.passes import PASSES, Applied, apply_passes
from pipeline.plan import plan_schedule
from pipeline.read_tflite import read_tflite
from pipeline.schedule import Machine, schedule_layers
from pipeline.tensors import Quantization, Tensor
from tests.property.oracle import run_graph
from tests.tflite_chains import clamped_convolution, padded_convolution
from tests.tflite_graphs import random_graph


def by_tflite(tflite, x):
    return run_graph(tflite, [x])[0]


def by_graph(graph, x):
    return all_by_graph(graph, [x])[0]


def all_by_graph(graph, arrays):
    """Run a graph by the operators' own numpy references."""
    values = dict(zip(graph.inputs, arrays, strict=True))
    for node in graph.nodes:
        operands, output = graph.operands(node), graph.tensors[node.output]
        read = [
            values[node.inputs[i]] if operands[i].data is None else operands[i].data
            for i in node.op.operands(operands)
        ]
        values[node.output] = node.op.reference(node.op.parameters(operands, output), *read)
    return [values[name] for name in graph.outputs]


@pytest.mark.parametrize("rewrite", [*PASSES, None], ids=lambda each: each.name if each else "all of them")
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_pass_changes_no_bit_of_any_graph(rewrite, seed):
    drawn = random_graph(seed)
    graph = read_tflite(drawn.tflite, "graph")
    rewritten, _ = apply_passes(graph, [rewrite] if rewrite else PASSES)
    for arrays in drawn.feeds(2):
        made, wanted = all_by_graph(rewritten, arrays), run_graph(drawn.tflite, arrays)
        for got, want in zip(made, wanted, strict=True):
            np.testing.assert_array_equal(got, want)


CLAMPS = ["MAXIMUM", "MINIMUM", "RELU", "RELU6", "RELU_N1_TO_1"]
clamps = st.lists(st.sampled_from(CLAMPS), max_size=3).map(tuple)
pools = st.sampled_from([None, (2, 2), (3, 3), (2, 1), (3, 2)])


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(3, 8),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    clamps=clamps,
    pool=pools,
    zero_point=st.sampled_from([-128, -5, 0, 90]),
    tap=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_fusing_changes_no_bit(seed, size, channels, clamps, pool, zero_point, tap):
    rng = np.random.default_rng(seed)
    tflite = clamped_convolution(rng, size, channels, clamps, pool, zero_point, tap)
    x = rng.integers(-128, 128, (1, size, size, channels[0])).astype(np.int8)
    graph, _ = apply_passes(read_tflite(tflite, "chain"))
    np.testing.assert_array_equal(by_graph(graph, x), by_tflite(tflite, x))


sides = st.lists(st.integers(0, 2), min_size=2, max_size=2)
channels = st.sampled_from([[0, 0], [0, 0], [1, 0]])


@given(
    seed=st.integers(0, 2**32 - 1),
    pads=st.tuples(st.just([0, 0]), sides, sides, channels),
    stride=st.integers(1, 2),
    same=st.booleans(),
    value=st.sampled_from([None, -11, 50]),
)
@settings(max_examples=40, deadline=None)
def test_fusing_a_pad_changes_no_bit(seed, pads, stride, same, value):
    rng = np.random.default_rng(seed)
    tflite = padded_convolution(rng, list(pads), stride, same, value)
    x = rng.integers(-128, 128, (1, 6, 7, 2)).astype(np.int8)
    graph, _ = apply_passes(read_tflite(tflite, "chain"))
    np.testing.assert_array_equal(by_graph(graph, x), by_tflite(tflite, x))
    # Real 0 around height and width is the convolution's own padding; anything else is not.
    padded = any(any(pair) for pair in pads)
    assert len(graph.nodes) == (2 if padded and (value == 50 or any(pads[3])) else 1)


def test_clamps_and_tiling_pool_become_one_node():
    tflite = clamped_convolution(np.random.default_rng(0), 8, (3, 4), ("MAXIMUM", "RELU"), (2, 2))
    graph, applied = apply_passes(read_tflite(tflite, "chain"))
    assert [node.op.tflite_name for node in graph.nodes] == ["CONV_2D"]
    assert {a.name: a.removed_nodes for a in applied if a.removed_nodes} == {
        "fuse clamps": 2,
        "fuse pooling": 1,
    }
    assert graph.tensors[graph.outputs[0]].shape == (1, 4, 4, 4)


@pytest.mark.parametrize(("pool", "tap"), [((2, 1), False), ((3, 2), False), (None, True)])
def test_what_overlaps_or_is_read_twice_is_left_alone(pool, tap):
    tflite = clamped_convolution(
        np.random.default_rng(1), 7, (2, 3), ("MAXIMUM",) if tap else (), pool, tap=tap
    )
    graph = read_tflite(tflite, "chain")
    rewritten, _ = apply_passes(graph)
    assert len(rewritten.nodes) == len(graph.nodes)


def test_an_output_that_is_a_constant_under_another_shape_is_copied():
    """It has a place in the arena as other outputs have, and what reads it goes on as before."""
    scale = Quantization((0.5,), (3,))
    held = np.arange(-6, 6, dtype=np.int8).reshape(1, 2, 6)
    tensors = {
        "x": Tensor("x", (1, 12), "int8", scale),
        "held": Tensor("held", (1, 2, 6), "int8", scale, held),
        "given": Tensor("given", (1, 12), "int8", scale),
        "flat": Tensor("flat", (1, 12), "int8", scale),
        "larger": Tensor("larger", (1, 12), "int8", scale),
    }
    nodes = (
        Node("reshape", Reshape((1, 12)), ("held",), "given"),
        Node("squeeze", Squeeze((1, 12)), ("held",), "flat"),
        Node("maximum", Maximum(), ("x", "flat"), "larger"),
    )
    graph, _ = apply_passes(Graph("twice", tensors, nodes, ("x",), ("larger", "given")))
    x = np.arange(12, dtype=np.int8)[::-1].reshape(1, 12)
    larger, given = all_by_graph(graph, [x])
    np.testing.assert_array_equal(larger, np.maximum(x, held.reshape(1, 12)))
    np.testing.assert_array_equal(given, held.reshape(1, 12))
    schedule = schedule_layers(graph, Machine(("portable",), 1 << 20, 1 << 20), "balanced", frozenset())
    places = plan_schedule(schedule).offsets
    assert {"larger", "given"} <= set(places)


def test_what_a_pass_did_in_words():
    assert str(Applied("p", "", 0)) == "p: nothing to do"
    assert str(Applied("p", "", 1, macs=2000)) == "p: 1 node, 2,000 MAC fewer"
    assert str(Applied("p", "", 2, constant_bytes=-768)) == "p: 2 nodes fewer; 768 bytes of constants more"


def test_every_pass_says_what_it_saves():
    assert all(rewrite.name and rewrite.saves for rewrite in PASSES)
