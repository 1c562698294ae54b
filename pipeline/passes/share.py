"""Compute once what is computed twice."""

from __future__ import annotations

import hashlib

from pipeline.graph import Graph, Node
from pipeline.passes.base import redirect

Key = tuple[object, ...]


def share(graph: Graph) -> Graph:
    """Leave one of several nodes that apply the same operator to the same tensors, constants by content.

    Outputs count as the same where shape, type, scale and zero point are: the operator follows them.
    """
    made: dict[Key, str] = {}
    index = 0
    while index < len(graph.nodes):
        node = graph.nodes[index]
        key = _key(graph, node)
        kept = made.setdefault(key, node.output)
        rewritten = redirect(graph, node.output, kept) if kept != node.output else None
        if rewritten is None:  # the first of its kind, or both are outputs of the graph
            index += 1
            continue
        graph = rewritten
        if kept not in graph.tensors:  # it has the name of the graph's output now, in other keys, too
            made.clear()
            index = 0
    return graph


def _key(graph: Graph, node: Node) -> Key:
    output = graph.tensors[node.output]
    read = [_content(graph, name) if name else "" for name in node.inputs]
    return node.op, *read, output.shape, output.dtype, output.quantization


def _content(graph: Graph, name: str) -> str | Key:
    """A tensor's name, or what a constant holds."""
    tensor = graph.tensors[name]
    if tensor.data is None:
        return name
    return tensor.dtype, tensor.shape, tensor.quantization, hashlib.sha256(tensor.data.tobytes()).digest()
