"""Operators on single elements behind a pooling: fewer of them, and the same integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.passes import apply_passes
from pipeline.passes.pool_first import pool_first
from pipeline.read_tflite import read_tflite
from tests.property.oracle import run_graph
from tests.tflite_chains import normalized_convolution
from tests.unit.test_passes import by_graph

hundredths = st.integers(-150, 150) | st.sampled_from([0, 1, 100])


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(4, 8),
    hundredths=st.lists(hundredths, min_size=1, max_size=5),
    pool=st.sampled_from([(2, 2), (3, 2), (2, 1), (3, 3)]),
)
@settings(max_examples=60, deadline=None)
def test_no_bit_changes_whatever_gamma_is(seed, size, hundredths, pool):
    rng = np.random.default_rng(seed)
    tflite = normalized_convolution(rng, size, (3, len(hundredths)), np.array(hundredths) / 100, pool)
    x = rng.integers(-128, 128, (1, size, size, 3)).astype(np.int8)
    graph, _ = apply_passes(read_tflite(tflite, "chain"))
    np.testing.assert_array_equal(by_graph(graph, x), run_graph(tflite, [x])[0])


@pytest.mark.parametrize("pool", [(2, 2), (3, 2)])
def test_a_batch_norm_behind_relu_is_computed_of_what_is_pooled_only(pool):
    tflite = normalized_convolution(np.random.default_rng(3), 8, (3, 4), np.array([0.5, 1, 1.5, 0]), pool)
    graph = pool_first(read_tflite(tflite, "chain"))
    assert [node.op.tflite_name for node in graph.nodes] == ["CONV_2D", "MAX_POOL_2D", "MUL", "ADD"]
    side = graph.tensors[graph.outputs[0]].shape[1]
    assert {graph.tensors[node.output].shape[1] for node in graph.nodes} == {8, side}
    whole, _ = apply_passes(read_tflite(tflite, "chain"))
    fused = whole.nodes[0].op.pool == (2, 2)
    assert fused is (pool == (2, 2))


def test_a_factor_below_zero_stays_before_the_pooling():
    """The largest of what it makes comes from the smallest."""
    tflite = normalized_convolution(np.random.default_rng(4), 8, (3, 4), np.array([0.5, 1, -0.8, 1]), (2, 2))
    graph = pool_first(read_tflite(tflite, "chain"))
    assert [node.op.tflite_name for node in graph.nodes] == ["CONV_2D", "MUL", "MAX_POOL_2D", "ADD"]
