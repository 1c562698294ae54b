"""Passes change no output bit: a rewritten graph gives the integers of TFLite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
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
from tests.tflite_chains import Chain, clamped_convolution, padded_convolution, pool_options
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


BRANCHES = st.lists(st.sampled_from(["RELU", "LOGISTIC", "TANH", "MUL", "QUANTIZE"]), max_size=3).map(tuple)
OPTIONS = {
    "ADD": schema.AddOptionsT,
    "MUL": schema.MulOptionsT,
    "QUANTIZE": schema.QuantizeOptionsT,
    "SUB": schema.SubOptionsT,
}


def branches(rng, left, right, meeting, channels, tap):
    """x goes two ways, element by element, which meet; `tap`: the second way's first map leaves the graph."""
    chain = Chain()
    shape = (1, 16, 16, channels)

    def some_map(name, kind=""):
        scale, zero = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}.get(
            kind, (float(rng.uniform(0.01, 0.05)), int(rng.integers(-128, 128)))
        )
        return chain.tensor(name, shape, scale=scale, zero_point=zero)

    x = some_map("x")
    ends, tapped = [], []
    for side, kinds in (("left", left), ("right", right)):
        at = x
        for index, kind in enumerate(kinds):
            made = some_map(f"{side}{index}", kind)
            factors = rng.integers(-128, 128, channels).astype(np.int8)
            read = [at] if kind != "MUL" else [
                at, chain.tensor(f"{side}_by{index}", (channels,), scale=0.02, zero_point=-9, data=factors)
            ]  # fmt: skip
            chain.operator(kind, read, made, OPTIONS[kind]() if kind in OPTIONS else None)
            at = made
            if tap and side == "right" and not tapped:
                tapped.append(made)
        ends.append(at)
    y = some_map("y")
    chain.operator(meeting, ends, y, OPTIONS[meeting]())
    return chain.finish([x], [y, *tapped])


@given(
    seed=st.integers(0, 2**32 - 1),
    left=BRANCHES,
    right=BRANCHES,
    meeting=st.sampled_from(["ADD", "SUB", "MUL"]),
    channels=st.integers(1, 3),
    tap=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_branches_that_meet_become_one_table(seed, left, right, meeting, channels, tap):
    rng = np.random.default_rng(seed)
    tflite = branches(rng, left, right, meeting, channels, tap)
    x = np.tile(np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1), channels)
    graph, _ = apply_passes(read_tflite(tflite, "branches"))
    made, wanted = all_by_graph(graph, [x]), run_graph(tflite, [x])
    for got, want in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    # A branch whose values are all the same is folded, and is no branch any more.
    if not any(graph.tensors[name].is_constant for node in graph.nodes for name in node.inputs):
        (last,) = [node for node in graph.nodes if node.output == graph.outputs[0]]
        assert len(last.inputs) == 1
        assert len(graph.nodes) == (2 if tap and right else 1)


def test_a_branch_over_other_elements_stays():
    chain = Chain()
    x, y, z = (chain.tensor(name, (1, 16, 16, 1), scale=0.1) for name in "xyz")
    chain.operator("MAX_POOL_2D", [x], y, pool_options(3, 1, same=True))
    chain.operator("MUL", [x, y], z, schema.MulOptionsT())
    graph, _ = apply_passes(read_tflite(chain.finish([x], [z]), "pooled"))
    assert [node.op.tflite_name for node in graph.nodes] == ["MAX_POOL_2D", "MUL"]


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
