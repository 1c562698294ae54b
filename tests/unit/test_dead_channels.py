"""A pruned network loses the channels that its zeros make superfluous, and gives the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from pipeline.passes import apply_passes
from pipeline.passes.remove_dead_channels import remove_dead_channels
from pipeline.read_tflite import read_tflite
from tests.tflite_chains import Chain, convolution_options
from tests.unit.test_passes import by_graph, by_tflite

RELU = 1


class Pruned(Chain):
    """Convolutions in a row, some of whose filters are zero."""

    def __init__(self, seed: int, size: int, channels: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)
        self.last = self.first = self.tensor("x", (1, size, size, channels), scale=0.05, zero_point=-3)
        self.shape = (1, size, size, channels)

    def convolution(
        self,
        filters: int,
        window: int,
        dead: np.ndarray,
        bias: int = -20,
        depthwise: bool = False,
        same: bool = True,
        stride: int = 1,
    ) -> None:
        """A convolution with ReLU; its `dead` filters are zero, with this bias."""
        _, height, width, channels = self.shape
        shape = (1, window, window, filters) if depthwise else (filters, window, window, channels)
        weights = self.rng.integers(-127, 128, shape)
        weights[(..., dead) if depthwise else dead] = 0
        biases = self.rng.integers(-400, 400, filters)
        biases[dead] = bias
        name = f"layer_{len(self.graph.operators)}"
        w = self.tensor(f"{name}_w", shape, scale=[0.01] * filters, data=weights, axis=3 if depthwise else 0)
        b = self.tensor(f"{name}_b", (filters,), "int32", 0.0005, data=biases)
        size = [-(-n // stride) if same else (n - window) // stride + 1 for n in (height, width)]
        self.shape = (1, *size, filters)
        y = self.tensor(f"net/{name}/Op", self.shape, scale=0.0005 * window * 60, zero_point=-128)
        options = schema.DepthwiseConv2DOptionsT() if depthwise else convolution_options()
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = RELU
        if depthwise:
            options.depthMultiplier = filters // channels
        self.operator("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [self.last, w, b], y, options)
        self.last = y

    def classify(self, classes: int = 4) -> bytes:
        """A mean over height and width, and a dense layer; the file."""
        channels = self.shape[3]
        axes = self.tensor("axes", (2,), "int32", data=np.array([1, 2]))
        mean = self.tensor("net/mean/Op", (1, channels), scale=0.04, zero_point=-128)
        options = schema.ReducerOptionsT()
        options.keepDims = False
        self.operator("MEAN", [self.last, axes], mean, options)
        w = self.tensor(
            "dense_w", (classes, channels), scale=0.01, data=self.rng.integers(-127, 128, (classes, channels))
        )
        b = self.tensor("dense_b", (classes,), "int32", 0.0005, data=self.rng.integers(-300, 300, classes))
        y = self.tensor("net/dense/Op", (1, classes), scale=0.1, zero_point=5)
        dense = schema.FullyConnectedOptionsT()
        dense.keepNumDims = False
        self.operator("FULLY_CONNECTED", [mean, w, b], y, dense)
        return self.finish([self.first], [y])


def same_bytes(tflite: bytes):
    """The graph after the pass, that gives TFLite's bytes, and what the passes say."""
    graph = read_tflite(tflite, "pruned")
    smaller = remove_dead_channels(graph)
    rng = np.random.default_rng(1)
    for rewritten in (smaller, apply_passes(graph)[0]):
        for _ in range(3):
            x = rng.integers(-128, 128, graph.tensors[graph.inputs[0]].shape).astype(np.int8)
            np.testing.assert_array_equal(by_graph(rewritten, x), by_tflite(tflite, x))
    return smaller


def channels_of(graph) -> list[int]:
    return [graph.tensors[node.output].shape[-1] for node in graph.nodes]


def pruned_mobilenet(seed: int = 0, size: int = 12, width: int = 8) -> bytes:
    """Half of the filters of each block are zero and stay at real 0 behind the ReLU."""
    net = Pruned(seed, size, 3)
    dead = np.arange(width) % 2 == 1
    net.convolution(width, 3, dead, stride=2)
    for filters, stride in ((2 * width, 1), (2 * width, 2), (4 * width, 1)):
        net.convolution(len(dead), 3, dead, depthwise=True, stride=stride)
        dead = np.arange(filters) % 2 == 1
        net.convolution(filters, 1, dead)
    return net.classify()


def test_half_of_a_mobilenet_goes():
    tflite = pruned_mobilenet()
    before = read_tflite(tflite, "pruned")
    smaller = same_bytes(tflite)
    assert channels_of(before) == [8, 8, 16, 16, 16, 16, 32, 32, 4]
    # No more than the filters that are not zero: of those some are never above real 0, either.
    live = [4, 4, 8, 8, 8, 8, 16, 16, 4]
    assert all(n - 1 <= kept <= n for kept, n in zip(channels_of(smaller), live, strict=True))
    _, applied = apply_passes(before)
    (found,) = [each for each in applied if each.name == "remove dead channels"]
    macs = sum(map(before.macs, before.nodes))
    # Of a pointwise convolution a quarter is left; of the first one and the depthwise ones half.
    assert 0.5 * macs < found.macs < 0.75 * macs
    assert found.constant_bytes > 0
    assert found.activation_bytes > 0
    assert "MAC" in str(found)


@pytest.mark.parametrize(
    ("same", "window", "left"),
    # At the border of a padded map a constant adds less than inside.
    [(True, 3, 6), (False, 3, 3), (True, 1, 3)],
)
def test_a_constant_goes_into_the_bias_where_nothing_is_padded(same, window, left):
    net = Pruned(2, 6, 2)
    net.convolution(6, 1, np.arange(6) % 2 == 0, bias=3_000)
    net.convolution(4, window, np.zeros(4, bool), same=same)
    smaller = same_bytes(net.classify())
    assert channels_of(smaller)[0] == left


def test_channels_that_no_weight_reads_go():
    net = Pruned(3, 6, 2)
    net.convolution(6, 3, np.zeros(6, bool))
    unread = net.graph.tensors  # the weights of the next layer, made by hand
    net.convolution(5, 1, np.zeros(5, bool))
    (index,) = [i for i, tensor in enumerate(unread) if tensor.name == b"layer_1_w"]
    weights = np.frombuffer(net.model.buffers[unread[index].buffer].data, np.int8).reshape(5, 1, 1, 6).copy()
    weights[..., [0, 3, 4]] = 0
    net.model.buffers[unread[index].buffer].data = weights.reshape(-1).view(np.uint8)
    assert channels_of(same_bytes(net.classify()))[:2] == [3, 5]


def test_a_sum_keeps_what_either_operand_needs():
    net = Pruned(4, 6, 4)
    net.convolution(6, 1, np.array([1, 1, 0, 0, 1, 0], bool))
    left = net.last
    net.convolution(6, 3, np.array([1, 0, 1, 0, 1, 0], bool))
    total = net.tensor("net/sum/Op", net.shape, scale=0.05, zero_point=-128)
    net.operator("ADD", [left, net.last], total, schema.AddOptionsT())
    net.last = total
    smaller = same_bytes(net.classify())
    # Channels 0 and 4 are dead in both; the second convolution does not read 0, 1 and 4 of the first.
    assert channels_of(smaller)[:3] == [4, 4, 4]


def test_a_network_without_zeros_stays_as_it_is():
    net = Pruned(5, 6, 3)
    net.convolution(4, 3, np.zeros(4, bool))
    graph = read_tflite(net.classify(), "whole")
    assert remove_dead_channels(graph) is graph
