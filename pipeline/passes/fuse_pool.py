"""Pool a convolution's rows as they are made, so that the unpooled map is never stored."""

from __future__ import annotations

from dataclasses import replace

from pipeline.graph import Graph
from pipeline.operators.base import Activation
from pipeline.operators.convolution import Convolution
from pipeline.operators.max_pool_2d import MaxPool2D


def fuse_pool(graph: Graph) -> Graph:
    """Replace `convolution -> MAX_POOL_2D` by one node, where the windows tile the map without overlap.

    The maximum of integers is the same before and after they are stored; rows and columns that
    fill no window are dropped by both.
    """
    nodes = list(graph.nodes)
    for node in graph.nodes:
        pool = graph.only_consumer(node.output)
        if not isinstance(node.op, Convolution) or node.op.pool is not None or pool is None:
            continue
        if not isinstance(pool.op, MaxPool2D) or not _tiles(graph, pool.op, node.output, pool.output):
            continue
        nodes[nodes.index(node)] = replace(node, op=replace(node.op, pool=pool.op.window), output=pool.output)
        nodes.remove(pool)
    return graph.with_nodes(nodes)


def _tiles(graph: Graph, pool: MaxPool2D, source: str, result: str) -> bool:
    """Whether no window overlaps another, is padded, or is clamped afterwards."""
    map_, pooled = graph.tensors[source], graph.tensors[result]
    sizes = zip(map_.shape[1:3], pool.window, pooled.shape[1:3], strict=True)
    return (
        pool.stride == pool.window
        and pool.activation is Activation.NONE
        and map_.quantization == pooled.quantization
        and all(size // step == out for size, step, out in sizes)
    )
