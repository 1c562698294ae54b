"""Pool before operators on single elements, which then have fewer to do and leave the pooling to be fused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators.base import Activation
from pipeline.operators.max_pool_2d import MaxPool2D
from pipeline.operators.unary import EVERY_INT8
from pipeline.passes.ranges import Range, channel_ranges
from pipeline.passes.table import tables_of


def pool_first(graph: Graph) -> Graph:
    """Exchange `operator on single elements -> MAX_POOL_2D` where the larger of two never gives the smaller.

    Such an operator is a table t for each channel, and max(t(a), t(b)) = t(max(a, b)) where t does not
    fall between the integers that can reach it. A batch norm behind a ReLU, which the converter leaves
    as MUL and ADD, is one wherever gamma is not negative.
    """
    ranges = channel_ranges(graph)
    index = 0
    while index < len(graph.nodes):
        node = graph.nodes[index]
        pool = graph.only_consumer(node.output)
        exchanged = _exchanged(graph, node, pool, ranges) if pool is not None else None
        if exchanged is None:
            index += 1
        else:
            # Before the pooling there may be another.
            graph, index = exchanged, 0
            ranges = channel_ranges(graph)
    return graph


def _exchanged(graph: Graph, node: Node, pool: Node, ranges: Mapping[str, Range]) -> Graph | None:
    if not isinstance(pool.op, MaxPool2D) or pool.op.activation is not Activation.NONE:
        return None
    found = tables_of(graph, node)
    if found is None or not _rises(found[1], ranges[found[0]]):
        return None
    source, result = found[0], graph.tensors[node.output]
    if result.quantization != graph.tensors[pool.output].quantization:
        return None
    pooled = replace(
        graph.tensors[source], name=_unused(graph, f"{source}_pooled"), shape=graph.tensors[pool.output].shape
    )
    first = replace(pool, inputs=(source,), output=pooled.name)
    inputs = tuple(pooled.name if name == source else name for name in node.inputs)
    then = replace(node, inputs=inputs, output=pool.output)
    nodes = [first if each is node else then if each is pool else each for each in graph.nodes]
    return graph.with_nodes(nodes, {pooled.name: pooled})


def _rises(tables: np.ndarray, x: Range) -> bool:
    """Whether no table (1 or channels, 256) falls between two neighbours that its channel can hold."""
    falls = np.diff(tables.astype(np.int64), axis=1) < 0
    lower = EVERY_INT8[np.newaxis, :-1]
    held = (x.low[:, np.newaxis] <= lower) & (lower < x.high[:, np.newaxis])
    return not (falls & held).any()


def _unused(graph: Graph, name: str) -> str:
    while name in graph.tensors:
        name += "_"
    return name
