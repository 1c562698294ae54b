"""Look up what branches on single elements come to where they meet again, such as x * sigmoid(x)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators.binary import Binary
from pipeline.operators.unary import EVERY_INT8
from pipeline.passes.drop_unread import drop_unread
from pipeline.passes.table import Table, composed, distinct, tables_of


def fuse_branches(graph: Graph) -> Graph:
    """Replace an operator by a table where both operands are functions of the same elements.

    An int8 has 256 values, so that whatever is done to it, by however many ways, is a table. A table is
    kept no larger than the map that it is for. What nobody reads any more is dropped.
    """
    nodes, makers = list(graph.nodes), {node.output: node for node in graph.nodes}
    for index, node in enumerate(graph.nodes):
        met = _met(graph, makers, node)
        if met is not None:
            source, op = met
            nodes[index] = Node(node.name, op, (source,), node.output)
    return drop_unread(graph.with_nodes(nodes))


def _met(graph: Graph, makers: Mapping[str, Node], node: Node) -> tuple[str, Table] | None:
    """The nearest tensor that both operands are functions of, and the table of their result."""
    operands, output = graph.operands(node), graph.tensors[node.output]
    if not isinstance(node.op, Binary) or output.dtype != "int8":
        return None
    if any(each is None or each.is_constant or each.shape != output.shape for each in operands):
        return None
    left, right = (_origins(graph, makers, name) for name in node.inputs)
    source = next((name for name in left if name in right), None)
    if source is None or left.keys() | right.keys() == {source}:
        return None  # nothing in common, or x * x, which is a table by itself
    (one, kinds), (other, further) = left[source], right[source]
    made = node.op.reference(node.op.parameters(operands, output), one.T, other.T)
    tables = distinct(np.ascontiguousarray(made.T).astype(np.int8))
    if tables.nbytes > output.nbytes:
        return None
    stands_for = dict.fromkeys((*kinds, *further, node.op.tflite_name))
    return source, Table(tuple(table.tobytes() for table in tables), tuple(stands_for))


def _origins(
    graph: Graph, makers: Mapping[str, Node], tensor: str
) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    """The tensors that this one is a function of, nearest first: by which tables, and operators in order."""
    tables, kinds = EVERY_INT8.astype(np.int8)[np.newaxis], tuple[str, ...]()
    found = {tensor: (tables, kinds)}
    while (maker := makers.get(tensor)) is not None and (step := tables_of(graph, maker)) is not None:
        tensor, tables = step[0], composed(step[1], tables)
        kinds = (maker.op.tflite_name, *kinds)
        found[tensor] = (tables, kinds)
    return found
