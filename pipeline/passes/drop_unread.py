"""Drop what nobody reads."""

from __future__ import annotations

from pipeline.graph import Graph, Node


def drop_unread(graph: Graph) -> Graph:
    """Leave out nodes whose output is neither read nor an output of the graph."""
    wanted = set(graph.outputs)
    nodes: list[Node] = []
    for node in reversed(graph.nodes):
        if node.output in wanted:
            wanted.update(node.inputs)
            nodes.insert(0, node)
    return graph.with_nodes(nodes)
