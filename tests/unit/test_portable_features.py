"""What the portable kernels' work is counted by, held against windows that numpy lays out."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.bench.shapes import shapes
from pipeline.kernels.base import Candidate
from pipeline.kernels.portable_features import portable_features
from pipeline.operators import windows

GRAPHS = {graph.name: graph for graph in shapes()}


def layer(graph):
    (node,) = graph.nodes
    return node.op, graph.operands(node), graph.tensors[node.output]


def counted(graph):
    return portable_features(*layer(graph))


def of_kernel(name):
    return [graph for graph in GRAPHS.values() if graph.nodes[0].op.kernel == name]


def taps_inside(op, x, window, outputs):
    """How many taps of all windows that are made lie inside the input."""
    ones = np.ones((1, *x.shape[1:3], 1))
    stride, dilation = op.stride, getattr(op, "dilation", (1, 1))
    patches = windows.patches(ones, 0, window, stride, op.pads, dilation)
    return int(patches[: outputs[0], : outputs[1]].sum())


@pytest.mark.parametrize("graph", of_kernel("conv_2d"), ids=lambda graph: graph.name)
def test_padding_is_no_work_of_a_convolution(graph):
    op, inputs, output = layer(graph)
    pool = op.pool or (1, 1)
    outputs = output.shape[1] * pool[0], output.shape[2] * pool[1]
    inside = taps_inside(op, inputs[0], inputs[1].shape[1:3], outputs) * inputs[0].shape[3]
    found = counted(graph)
    assert found["macs_of_4"] + found["macs_of_1"] == inside * output.shape[3]
    assert found["results"] == output.elements
    assert 4 * found["windows_of_4"] + found["windows_of_1"] == np.prod(outputs) * output.shape[3]


@pytest.mark.parametrize("graph", of_kernel("depthwise_conv_2d"), ids=lambda graph: graph.name)
def test_padding_is_no_work_of_a_depthwise_convolution(graph):
    op, inputs, output = layer(graph)
    pool = op.pool or (1, 1)
    outputs = output.shape[1] * pool[0], output.shape[2] * pool[1]
    found = counted(graph)
    inside = taps_inside(op, inputs[0], inputs[1].shape[1:3], outputs)
    assert 4 * found["taps_of_4"] + found["macs_of_1"] == inside * output.shape[3]


@pytest.mark.parametrize("graph", of_kernel("max_pool_2d"), ids=lambda graph: graph.name)
def test_a_pooling_reads_what_lies_inside(graph):
    op, inputs, output = layer(graph)
    inside = taps_inside(op, inputs[0], op.window, output.shape[1:3])
    assert counted(graph)["reads"] == inside * output.shape[3]


def test_bytes_copied_and_filled_are_all_of_a_padded_map():
    for graph in of_kernel("pad"):
        _, _, output = layer(graph)
        found = counted(graph)
        kinds = {"blocks": 16, "words": 4, "bytes": 1}
        moved = sum(
            size * found[f"{what}_{kind}"] for what in ("copied", "filled") for kind, size in kinds.items()
        )
        assert moved == output.elements


def test_weights_that_a_cache_keeps_are_not_read_again():
    small, large = GRAPHS["fullyconnected_3x128_16x128_3x16"], GRAPHS["fullyconnected_1x640_128x640_1x128"]
    assert (counted(small)["flash_read"], counted(small)["flash_read_over_8k"]) == (3 * 128 * 16, 0)
    assert counted(large)["flash_read_over_16k"] == 640 * 128
    cached = GRAPHS["fullyconnected_16x16_12x16_16x12"]
    assert counted(cached)["flash_read"] == 0


def test_arrays_in_ram_are_no_bytes_read_from_flash():
    way = Candidate("a", "b", "c", dict, streamed={"weights": 100}, features={"steps": 7})
    assert way.work == {"flash_read": 100, "layers": 1, "steps": 7}
    assert way.in_ram_too({"weights": 50}).work["flash_read"] == 0
