"""Between which integers each channel of each tensor lies, whatever the input: interval arithmetic.

A channel is an index of the last axis. What is not known to be smaller has the range of its type. Every
bound is reached by the operators' own integers: rescaling is monotonic, so that bounds are rescaled as
values are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators import Operator
from pipeline.operators.average_pool_2d import AveragePool2D
from pipeline.operators.base import Parameters
from pipeline.operators.binary import Binary
from pipeline.operators.checks import array, constant, integer, present
from pipeline.operators.concatenation import Joining
from pipeline.operators.conv_2d import Conv2D
from pipeline.operators.convolution import requantized
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.operators.fully_connected import FullyConnected
from pipeline.operators.max_pool_2d import MaxPool2D
from pipeline.operators.mean import Mean
from pipeline.operators.pad import Pad
from pipeline.operators.prelu import Prelu
from pipeline.operators.quantize import Requantize
from pipeline.operators.reduce_max import ReduceMax
from pipeline.operators.reduce_min import ReduceMin
from pipeline.operators.relu import Clamping
from pipeline.operators.reshape import Reshape
from pipeline.operators.resize_bilinear import ResizeBilinear
from pipeline.operators.select import Select
from pipeline.operators.strided_copy import StridedCopy
from pipeline.operators.unary import EVERY_INT8, Unary
from pipeline.tensors import Tensor

# Whose output grows, or stays, with every element of every input: the largest inputs give the largest output.
MONOTONIC = (
    AveragePool2D, Clamping, Joining, MaxPool2D, Mean, Pad, ReduceMax, ReduceMin, Requantize, Reshape,
    ResizeBilinear, Select, StridedCopy,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Range:
    """The smallest and the largest integer of each channel, int64 (channels,)."""

    low: np.ndarray
    high: np.ndarray

    @property
    def constant(self) -> np.ndarray:
        """Which channels hold one integer only."""
        found: np.ndarray = self.low == self.high
        return found


def spread(channels: np.ndarray, tensor: Tensor) -> np.ndarray:
    """A tensor's array that holds these integers, one for each channel, everywhere."""
    found: np.ndarray = np.broadcast_to(channels.astype(tensor.dtype), (*tensor.shape[:-1], len(channels)))
    return found.reshape(tensor.shape)


Bounds = tuple[np.ndarray, np.ndarray]


def channel_ranges(graph: Graph) -> Mapping[str, Range]:
    """The range of each integer tensor of at least one axis, by name."""
    found: dict[str, Range] = {}
    for name, tensor in graph.tensors.items():
        if np.dtype(tensor.dtype).kind in "iu":
            found[name] = _of_type(tensor) if tensor.data is None else _by_channel(tensor.data, tensor.data)
    for node in graph.nodes:
        output = graph.tensors[node.output]
        if output.dtype not in {"int8", "uint8"}:
            continue
        operands = graph.operands(node)
        positions = node.op.operands(operands)
        given = [found.get(node.inputs[i]) for i in positions]
        if all(each is not None for each in given):
            ranges = [each for each in given if each is not None]
            bounds = _bounds(node, operands, output, ranges)
            if bounds is not None:
                found[node.output] = Range(*(np.asarray(bound, np.int64) for bound in bounds))
    return found


def _of_type(tensor: Tensor) -> Range:
    limits = np.iinfo(tensor.dtype)
    channels = tensor.shape[-1] if tensor.shape else 1
    return Range(np.full(channels, limits.min, np.int64), np.full(channels, limits.max, np.int64))


def _by_channel(low: np.ndarray, high: np.ndarray) -> Range:
    """Of arrays of any shape, what bounds their channels."""
    lows, highs = (each.reshape(-1, each.shape[-1] if each.ndim else 1) for each in (low, high))
    return Range(lows.min(axis=0).astype(np.int64), highs.max(axis=0).astype(np.int64))


def _bounds(
    node: Node, operands: Sequence[Tensor | None], output: Tensor, ranges: Sequence[Range]
) -> Bounds | None:
    """(low, high) of a node's output, from the ranges of the operands that its kernel takes."""
    op = node.op
    p = op.parameters(operands, output)
    if isinstance(op, Conv2D | DepthwiseConv2D):
        return _of_convolution(op, p, constant(operands[1]), ranges[0])
    if isinstance(op, FullyConnected):
        return _of_dense(op, p, constant(operands[1]), ranges[0])
    if isinstance(op, Unary):
        return _of_table(array(p, "table"), ranges[0])
    if isinstance(op, Binary):
        return _of_pairs(op, p, *ranges)
    if isinstance(op, MONOTONIC):
        return _of_monotonic(op, p, operands, ranges)
    return None


def _of_sums(
    weights: np.ndarray, low: np.ndarray, high: np.ndarray, store: Callable[[np.ndarray], np.ndarray]
) -> Bounds:
    """Of sums of products of int64 weights (outputs, taps) and what lies between two bounds (taps,)."""
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    return store(positive @ low + negative @ high), store(positive @ high + negative @ low)


def _of_convolution(op: Conv2D | DepthwiseConv2D, p: Parameters, weights: np.ndarray, x: Range) -> Bounds:
    low, high = x.low - integer(p, "input_zero"), x.high - integer(p, "input_zero")
    if any(any(pair) for pair in op.pads):
        # A tap may lie in the padding, where it adds nothing.
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    w = weights.astype(np.int64)

    def store(sums: np.ndarray) -> np.ndarray:
        return requantized(p, sums)

    if isinstance(op, Conv2D):
        taps = w.shape[1] * w.shape[2]
        return _of_sums(w.reshape(len(w), -1), np.tile(low, taps), np.tile(high, taps), store)
    multiplier = w.shape[3] // len(low)
    low, high = np.repeat(low, multiplier), np.repeat(high, multiplier)
    up, down = np.maximum(w[0], 0).sum(axis=(0, 1)), np.minimum(w[0], 0).sum(axis=(0, 1))
    return store(up * low + down * high), store(up * high + down * low)


def _of_dense(op: FullyConnected, p: Parameters, weights: np.ndarray, x: Range) -> Bounds:
    depth = weights.shape[1]
    if depth % len(x.low) == 0:
        low, high = (np.tile(bound, depth // len(bound)) for bound in (x.low, x.high))
    else:
        low, high = np.full(depth, x.low.min()), np.full(depth, x.high.max())
    return _of_sums(weights.astype(np.int64), low, high, lambda sums: op.requantized(p, sums))


def _of_table(table: np.ndarray, x: Range) -> Bounds:
    reached = (x.low[:, np.newaxis] <= EVERY_INT8) & (x.high[:, np.newaxis] >= EVERY_INT8)
    return np.where(reached, table, 127).min(axis=1), np.where(reached, table, -128).max(axis=1)


def _of_pairs(op: Binary, p: Parameters, a: Range, b: Range) -> Bounds:
    """Each of these operators is monotonic in either operand while the other stays: corners are enough."""
    firsts = [a.low, a.high]
    if isinstance(op, Prelu):
        # But for the bend at real 0.
        zero = integer(p, "a_zero")
        firsts += [np.clip(zero, a.low, a.high), np.clip(zero - 1, a.low, a.high)]
    corners = [
        op.reference(p, first.astype(np.int8), second.astype(np.int8))
        for first, second in product(firsts, (b.low, b.high))
    ]
    return np.min(corners, axis=0), np.max(corners, axis=0)


def _of_monotonic(
    op: Operator, p: Parameters, operands: Sequence[Tensor | None], ranges: Sequence[Range]
) -> Bounds:
    tensors = [present(operands[i]) for i in op.operands(operands)]
    ends = []
    for side in ("low", "high"):
        arrays = [
            tensor.data if tensor.data is not None else spread(getattr(each, side), tensor)
            for tensor, each in zip(tensors, ranges, strict=True)
        ]
        ends.append(np.asarray(op.reference(p, *arrays)))
    found = _by_channel(*ends)
    return found.low, found.high
