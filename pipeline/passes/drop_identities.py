"""Drop operators that leave every integer as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators.concatenation import Joining
from pipeline.operators.pad import Pad
from pipeline.operators.reshape import Reshape
from pipeline.operators.select import Select
from pipeline.operators.strided_copy import StridedCopy
from pipeline.operators.unary import EVERY_INT8
from pipeline.passes.base import redirect
from pipeline.passes.ranges import Range, channel_ranges
from pipeline.passes.table import tables_of

DIGITS = 32
"""Of a place's number: few enough for an int8."""


def drop_identities(graph: Graph) -> Graph:
    """Leave out what changes nothing: a PAD of nothing, a SLICE of everything, a RELU after a RELU.

    A clamp or a rescaling is nothing where the integers that can reach it, whatever the model's input,
    stay as they are. What gives another shape to the same bytes becomes a RESHAPE, of which one after
    another is enough. A model of which nothing would be left stays as it is.
    """
    ranges = channel_ranges(graph)
    rewritten = graph.with_nodes(_reshaping(graph, node) for node in graph.nodes)
    index = 0
    while index < len(rewritten.nodes):
        node = rewritten.nodes[index]
        source = _source(rewritten, node, ranges)
        without = redirect(rewritten, node.output, source) if source else None
        if without is None:
            index += 1
        else:
            rewritten = without
    rewritten = _reshaped_once(rewritten)
    return rewritten if any(not isinstance(node.op, Reshape) for node in rewritten.nodes) else graph


def _reshaping(graph: Graph, node: Node) -> Node:
    """The node, as a RESHAPE where it moves elements and each ends where it was."""
    x, output = graph.tensors[node.inputs[0]], graph.tensors[node.output]
    if (
        not isinstance(node.op, StridedCopy | Select | Pad | Joining)
        or x.elements != output.elements
        or x.is_constant
        or x.quantization != output.quantization
    ):
        return node
    p = node.op.parameters(graph.operands(node), output)
    places = np.arange(x.elements).reshape(x.shape)
    # Any element type holds a digit of the place.
    for digit in range(len(np.base_repr(x.elements, DIGITS))):
        given = (places // DIGITS**digit % DIGITS).astype(x.dtype)
        if not np.array_equal(node.op.reference(p, given).reshape(-1), given.reshape(-1)):
            return node
    return replace(node, op=Reshape(output.shape), inputs=node.inputs[:1])


def _source(graph: Graph, node: Node, ranges: Mapping[str, Range]) -> str | None:
    """The tensor whose integers the node repeats."""
    if isinstance(node.op, Reshape):
        return node.inputs[0]
    found = tables_of(graph, node)
    if found is None:
        return None
    source, tables = found
    reached = ranges[source]
    integers = EVERY_INT8[np.newaxis]
    changed = (tables != integers) & (integers >= reached.low[:, None]) & (integers <= reached.high[:, None])
    return None if changed.any() else source


def _reshaped_once(graph: Graph) -> Graph:
    """Each RESHAPE reads what the one before it read."""
    read = {node.output: node.inputs[0] for node in graph.nodes if isinstance(node.op, Reshape)}
    return graph.with_nodes(
        replace(node, inputs=(read[node.inputs[0]],))
        if isinstance(node.op, Reshape) and node.inputs[0] in read
        else node
        for node in graph.nodes
    )
