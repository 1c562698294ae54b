"""Remove channels whose value is known, or that nobody looks at.

Networks that were pruned, or trained with strong regularization, have filters of zeros: such a channel is
one integer everywhere, and what it adds to the sums of the next layer can be added to that layer's bias
instead. Others are read by weights of zero only.

A channel is an index of a tensor's last axis. Some operators tie channels together: an ADD needs the same
ones of both operands, a depthwise convolution those of its input. So all tensors begin without any
channel, and each operator asks for those that it cannot do without, until nobody asks for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators.base import Operator
from pipeline.operators.binary import Binary
from pipeline.operators.checks import constant, present
from pipeline.operators.concatenation import Concatenation
from pipeline.operators.conv_2d import Conv2D
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.operators.fully_connected import FullyConnected
from pipeline.operators.pad import Pad
from pipeline.operators.pooling import Pooling
from pipeline.operators.quantize import Requantize
from pipeline.operators.reduction import Reduction
from pipeline.operators.relu import Clamping
from pipeline.operators.reshape import Reshape
from pipeline.operators.resize_bilinear import ResizeBilinear
from pipeline.operators.resize_nearest_neighbor import ResizeNearestNeighbor
from pipeline.operators.unary import Unary
from pipeline.passes.ranges import Range, channel_ranges
from pipeline.tensors import Tensor

# Each output channel is made of the input channel of the same index.
CHANNEL_BY_CHANNEL = (
    Pooling, Unary, Clamping, Requantize, ResizeBilinear, ResizeNearestNeighbor,
)  # fmt: skip

Masks = Mapping[str, np.ndarray]
"""By tensor, bool (channels,): which are kept."""


def remove_dead_channels(graph: Graph) -> Graph:
    """The graph without channels that cannot change an output, at least one left of each tensor."""
    ranges = channel_ranges(graph)
    kept = _needed(graph, ranges)
    if all(mask.all() for mask in kept.values()):
        return graph
    return _Smaller(graph, kept, ranges).graph()


# --- which channels are needed ------------------------------------------------------------------------


def _needed(graph: Graph, ranges: Mapping[str, Range]) -> Masks:
    """The channels of each activation that something asks for."""
    activations = (*graph.inputs, *(node.output for node in graph.nodes))
    kept = {name: np.zeros(_channels(graph.tensors[name]), bool) for name in activations}
    for name in (*graph.inputs, *graph.outputs):
        kept[name][:] = True
    asked_for = -1
    while asked_for < (now := sum(int(mask.sum()) for mask in kept.values())):
        asked_for = now
        for node in reversed(graph.nodes):
            _ask(graph, node, kept, ranges)
        for mask in kept.values():
            # A tensor of nothing has no shape.
            mask[0] |= not mask.any()
    return kept


def _channels(tensor: Tensor) -> int:
    return tensor.shape[-1] if tensor.shape else 1


def _ask(graph: Graph, node: Node, kept: Masks, ranges: Mapping[str, Range]) -> None:
    """Have all that the node cannot do without in the masks of its input and output."""
    x = node.inputs[0]
    if isinstance(node.op, Conv2D | FullyConnected) and x in kept:
        kept[x][:] |= _read_by_weights(graph, node, kept[node.output], ranges[x])
        return
    read = [name for name in node.inputs if name in kept]
    ties = _ties(graph, node) if read else None
    if ties is None:
        for name in (*read, node.output):
            kept[name][:] = True
        return
    for name, source in ties:
        made = source >= 0
        kept[name][source[made & kept[node.output]]] = True
        kept[node.output][made] |= kept[name][source[made]]


def _read_by_weights(graph: Graph, node: Node, outputs: np.ndarray, x: Range) -> np.ndarray:
    """Which channels of its input a convolution or dense layer has to see, for these outputs."""
    tensor, weights = graph.tensors[node.inputs[0]], constant(graph.operands(node)[1])
    channels = len(x.low)
    if weights.shape[-1] % channels:
        return np.ones(channels, bool)
    # (outputs, taps, channels): of a flattened map, one tap for each place.
    taps = weights.reshape(len(weights), -1, channels)
    read = (taps[outputs] != 0).any(axis=(0, 1))
    known = x.constant
    if isinstance(node.op, Conv2D) and any(any(pair) for pair in node.op.pads):
        # At the border a constant adds less; real 0 adds nothing anywhere.
        known = known & (x.low == tensor.zero_point)
    found: np.ndarray = read & ~known
    return found


def _ties(graph: Graph, node: Node) -> list[tuple[str, np.ndarray]] | None:
    """For each activation that it reads, which of its channels each output channel is made of; -1: of none.

    None where the channels are not made of one channel of each input.
    """
    op, output = node.op, graph.tensors[node.output]
    channels, x = _channels(output), graph.tensors[node.inputs[0]]
    every = np.arange(channels)
    if isinstance(op, CHANNEL_BY_CHANNEL):
        return [(node.inputs[0], every)]
    if isinstance(op, DepthwiseConv2D):
        return [(node.inputs[0], every // (channels // _channels(x)))]
    if isinstance(op, Pad) and not any(op.pads[-1]):
        return [(node.inputs[0], every)]
    if isinstance(op, Reduction) and len(x.shape) - 1 not in op.axes:
        return [(node.inputs[0], every)]
    if isinstance(op, Reshape) and channels % _channels(x) == 0:
        return [(node.inputs[0], every % _channels(x))]
    if isinstance(op, Binary):
        found = [(name, every) for name in node.inputs if not graph.tensors[name].is_constant]
        return found if all(_channels(graph.tensors[name]) == channels for name, _ in found) else None
    if isinstance(op, Concatenation):
        return _joined(graph, node, op)
    return None


def _joined(graph: Graph, node: Node, op: Concatenation) -> list[tuple[str, np.ndarray]] | None:
    output = graph.tensors[node.output]
    channels = _channels(output)
    if any(graph.tensors[name].is_constant for name in node.inputs):
        return None
    if op.axis != len(output.shape) - 1:
        return [(name, np.arange(channels)) for name in node.inputs]
    found, first = [], 0
    for name in node.inputs:
        source = np.full(channels, -1)
        own = _channels(graph.tensors[name])
        source[first : first + own] = np.arange(own)
        found.append((name, source))
        first += own
    return found


# --- the graph without the others ---------------------------------------------------------------------


@dataclass
class _Smaller:
    """Rewrites each node for the channels that are kept."""

    before: Graph
    kept: Masks
    ranges: Mapping[str, Range]

    def graph(self) -> Graph:
        self.tensors = dict(self.before.tensors)
        self.names = {name: self._name(name) for name in self.kept}
        nodes = [self._node(node) for node in self.before.nodes]
        return replace(self.before, nodes=tuple(nodes), tensors=self.tensors)

    def _name(self, name: str) -> str:
        """What a tensor is called, that no longer holds what the file's tensor of the name holds."""
        mask = self.kept[name]
        if mask.all():
            return name
        tensor = self.before.tensors[name]
        smaller = f"{name} ({int(mask.sum())} of {len(mask)} channels)"
        shape = (*tensor.shape[:-1], int(mask.sum()))
        self.tensors[smaller] = replace(tensor, name=smaller, shape=shape)
        return smaller

    def _node(self, node: Node) -> Node:
        read = [name for name in (*node.inputs, node.output) if name in self.kept]
        if all(self.kept[name].all() for name in read):
            return node
        op, inputs = node.op, [self.names.get(name, name) for name in node.inputs]
        outputs = self.kept[node.output]
        if isinstance(op, Conv2D | FullyConnected):
            inputs[1:3] = self._weights(node, outputs)
        elif isinstance(op, DepthwiseConv2D):
            inputs[1:3] = [self._constant(node, i, outputs) for i in range(1, len(node.inputs))]
        elif isinstance(op, Binary):
            inputs = [
                self._constant(node, i, outputs)
                if self.before.tensors[name].is_constant
                else self.names[name]
                for i, name in enumerate(node.inputs)
            ]
        return replace(
            node, op=self._operator(op, node, outputs), inputs=tuple(inputs), output=self.names[node.output]
        )

    def _operator(self, op: Operator, node: Node, outputs: np.ndarray) -> Operator:
        if isinstance(op, Reshape):
            return replace(op, shape=self.tensors[self.names[node.output]].shape)
        if isinstance(op, Conv2D | DepthwiseConv2D):
            clamps = {
                name: tuple(np.array(values)[outputs].tolist())
                for name, values in (("floor", op.floor), ("ceiling", op.ceiling))
                if values is not None
            }
            return replace(op, **clamps)  # type: ignore[arg-type]
        return op

    def _weights(self, node: Node, outputs: np.ndarray) -> list[str]:
        """Weights and bias of a convolution or dense layer; constants that went are in the bias."""
        operands = self.before.operands(node)
        x, weights = present(operands[0]), present(operands[1])
        data, given, reached = constant(weights), self.kept[x.name], self.ranges[x.name]
        gone = np.where(reached.constant & ~given, reached.low - x.zero_point, 0)
        if data.shape[-1] % len(given):
            # Rows that do not end where a pixel ends: all channels are there.
            given, gone = np.ones(data.shape[-1], bool), np.zeros(data.shape[-1], np.int64)
        taps = data.reshape(len(data), -1, len(given)).astype(np.int64)
        added = (taps * gone).sum(axis=(1, 2))
        smaller = taps[outputs][:, :, given].reshape(int(outputs.sum()), *data.shape[1:-1], -1)
        bias = operands[2] if len(operands) > 2 else None
        biases = added if bias is None else constant(bias).reshape(-1) + added
        return [
            self._new(node, _sliced(weights, smaller.astype(np.int8), outputs)),
            self._new(
                node,
                _sliced(
                    bias or Tensor(f"{weights.name}/bias", biases.shape, "int32", None),
                    biases[outputs].astype(np.int32),
                    outputs,
                ),
            ),
        ]

    def _constant(self, node: Node, position: int, outputs: np.ndarray) -> str:
        """A constant operand for these channels; an absent one, or one value for all, stays as it is."""
        tensor = self.before.operands(node)[position]
        if tensor is None or _channels(tensor) != len(outputs):
            return node.inputs[position]
        return self._new(node, _sliced(tensor, constant(tensor)[..., outputs], outputs))

    def _new(self, node: Node, tensor: Tensor) -> str:
        name = f"{tensor.name} for {node.name}"
        self.tensors[name] = replace(tensor, name=name)
        return name


def _sliced(tensor: Tensor, data: np.ndarray, channels: np.ndarray) -> Tensor:
    """A constant with other data, and its scales for these channels."""
    held = tensor.quantization
    if held is not None and held.per_channel:
        scale, zero = (tuple(np.array(each)[channels].tolist()) for each in (held.scale, held.zero_point))
        held = replace(held, scale=scale, zero_point=zero)
    return replace(tensor, shape=data.shape, dtype=data.dtype.name, quantization=held, data=data)
