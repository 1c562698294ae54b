"""Compute once, here, what does not depend on the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators.reshape import Reshape
from pipeline.passes.ranges import Range, channel_ranges, spread
from pipeline.tensors import Tensor


def fold_constants(graph: Graph) -> Graph:
    """Replace nodes whose output is the same for every input by a constant of the graph.

    Either their operands are all constant, or each channel of the output has one possible value. Outputs
    of the graph stay computed, also those that are something under another shape, since a constant has no
    memory that could be read as an output.
    """
    ranges = channel_ranges(graph)
    left = set(graph.outputs)
    for node in reversed(graph.nodes):
        if isinstance(node.op, Reshape) and node.output in left:
            left.add(node.inputs[0])
    tensors, nodes = dict(graph.tensors), []
    for node in graph.nodes:
        data = None if node.output in left else _value(node, tensors, ranges)
        if data is None:
            nodes.append(node)
        else:
            tensors[node.output] = replace(tensors[node.output], data=data)
    return graph.with_nodes(nodes, tensors)


def _value(node: Node, tensors: Mapping[str, Tensor], ranges: Mapping[str, Range]) -> np.ndarray | None:
    output, reached = tensors[node.output], ranges.get(node.output)
    if reached is not None and reached.constant.all():
        return spread(reached.low, output).copy()
    operands = tuple(tensors[name] if name else None for name in node.inputs)
    taken = [operands[i] for i in node.op.operands(operands)]
    arrays = [each.data for each in taken if each is not None and each.data is not None]
    if len(arrays) != len(taken):
        return None
    made = node.op.reference(node.op.parameters(operands, output), *arrays)
    return np.asarray(made, output.dtype).reshape(output.shape)
