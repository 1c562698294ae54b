"""Compute once, here, what does not depend on the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators.concatenation import Concatenation
from pipeline.operators.reshape import Reshape
from pipeline.passes.ranges import Range, channel_ranges, spread
from pipeline.tensors import Tensor


def fold_constants(graph: Graph) -> Graph:
    """Replace nodes whose output is the same for every input by a constant of the graph.

    Either their operands are all constant, or each channel of the output has one possible value. Outputs
    of the graph stay computed, since a constant has no memory that could be read as an output; a constant
    under another shape that is one is copied there, since otherwise it would be no more than a second name
    for bytes that no output can own.
    """
    ranges = channel_ranges(graph)
    tensors, nodes = dict(graph.tensors), []
    for node in graph.nodes:
        is_output = node.output in graph.outputs
        data = None if is_output else _value(node, tensors, ranges)
        if data is not None:
            tensors[node.output] = replace(tensors[node.output], data=data)
        elif is_output and isinstance(node.op, Reshape) and tensors[node.inputs[0]].is_constant:
            constant, copy = _copied(node, tensors)
            tensors[constant.name] = constant
            nodes.append(copy)
        else:
            nodes.append(node)
    return graph.with_nodes(nodes, tensors)


def _copied(node: Node, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Node]:
    """The RESHAPE of a constant as a constant of the new shape, and as a node that copies it."""
    output, data = tensors[node.output], tensors[node.inputs[0]].data
    assert data is not None
    constant = replace(output, name=f"{output.name}/constant", data=data.reshape(output.shape))
    return constant, replace(node, op=Concatenation(axis=0), inputs=(constant.name,))


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
