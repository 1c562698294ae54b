"""Clamp a convolution's output as it is stored instead of in a layer of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.arithmetic import activation_range
from pipeline.graph import Graph, Node
from pipeline.operators.convolution import Convolution
from pipeline.operators.maximum import Maximum
from pipeline.operators.minimum import Minimum
from pipeline.operators.relu import Clamping
from pipeline.tensors import Tensor


def fuse_clamp(graph: Graph) -> Graph:
    """Replace `convolution -> MAXIMUM | MINIMUM (constant) | RELU...` by the clamped convolution.

    Both sides have one scale and zero point (TFLite requires it of MAXIMUM and MINIMUM; a ReLU that
    rescales is left alone), so the clamp acts on the very integers that the convolution stores.
    """
    nodes = list(graph.nodes)
    index = 0
    while index < len(nodes):
        convolution = nodes[index]
        clamp = graph.only_consumer(convolution.output)
        fused = _clamped(graph, convolution, clamp) if clamp is not None else None
        if fused is None or clamp is None:
            index += 1
            continue
        nodes[index] = fused
        nodes.remove(clamp)
        graph = graph.with_nodes(nodes)
    return graph


def _clamped(graph: Graph, node: Node, clamp: Node) -> Node | None:
    op = node.op
    if not isinstance(op, Convolution) or op.pool is not None:
        return None
    stored, result = graph.tensors[node.output], graph.tensors[clamp.output]
    if stored.quantization != result.quantization or stored.shape != result.shape:
        return None
    bounds = _bounds(graph, node, clamp, stored.shape[-1])
    if bounds is None:
        return None
    lower, upper = bounds
    lowest, highest = _limits(stored)
    floor = np.full(stored.shape[-1], lowest) if op.floor is None else np.array(op.floor)
    ceiling = np.full(stored.shape[-1], highest) if op.ceiling is None else np.array(op.ceiling)
    # clamp(min(max(x, floor), ceiling)) with further bounds is again a floor followed by a ceiling.
    floor = np.clip(floor, lower, upper)
    ceiling = np.clip(ceiling, lower, upper)
    return replace(
        node,
        op=replace(op, floor=_unless(floor, lowest), ceiling=_unless(ceiling, highest)),
        output=clamp.output,
    )


def _limits(tensor: Tensor) -> tuple[int, int]:
    """The smallest and the largest integer of a tensor's type."""
    bounds = np.iinfo(tensor.dtype)
    return int(bounds.min), int(bounds.max)


def _unless(bound: np.ndarray, idle: int) -> tuple[int, ...] | None:
    return None if (bound == idle).all() else tuple(int(value) for value in bound)


def _bounds(graph: Graph, node: Node, clamp: Node, channels: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(lower, upper) bounds per channel that the clamp puts on its input, or None."""
    output = graph.tensors[clamp.output]
    lower, upper = (np.full(channels, end) for end in _limits(graph.tensors[node.output]))
    if isinstance(clamp.op, Maximum | Minimum):
        others = [name for name in clamp.inputs if name != node.output]
        constant = graph.tensors[others[0]] if others else None
        if constant is None or constant.data is None or constant.quantization != output.quantization:
            return None
        if any(size != 1 for size in constant.shape[:-1]) or constant.elements not in {1, channels}:
            return None
        values = np.broadcast_to(constant.data.reshape(-1).astype(np.int64), channels)
        return (values, upper) if isinstance(clamp.op, Maximum) else (lower, values)
    if isinstance(clamp.op, Clamping):
        low, high = activation_range(clamp.op.activation.value, output)
        return np.full(channels, low), np.full(channels, high)
    return None
