"""Look up what a chain of operators on single elements comes to, instead of running them one by one."""

from __future__ import annotations

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators.unary import Unary
from pipeline.passes.table import Table, composed, tables_of


def fuse_tables(graph: Graph) -> Graph:
    """Replace chains such as MUL and ADD by constants, RELU, LOGISTIC by one table, or one for each channel.

    An int8 has 256 values, so that whatever is done to it element by element is a table. One operator
    alone is replaced where a table takes the place of arithmetic. A table costs flash and is kept no
    larger than the map that it is for.
    """
    nodes: list[Node] = []
    replaced: set[str] = set()
    for node in graph.nodes:
        if node.name in replaced:
            continue
        chain, tables = _chain(graph, node)
        if tables is None or (len(chain) == 1 and isinstance(node.op, Unary)):
            nodes.append(node)
            continue
        replaced |= {each.name for each in chain}
        last = chain[-1]
        op = Table(tuple(table.tobytes() for table in tables), tuple(each.op.tflite_name for each in chain))
        nodes.append(Node(last.name, op, (_source(graph, node),), last.output))
    return graph.with_nodes(nodes)


def _source(graph: Graph, node: Node) -> str:
    found = tables_of(graph, node)
    assert found is not None
    return found[0]


def _chain(graph: Graph, node: Node) -> tuple[list[Node], np.ndarray | None]:
    """The longest chain from this node on that tables no larger than its map can replace."""
    chain: list[Node] = []
    fitting, tables = 0, None
    made: np.ndarray | None = None
    following: Node | None = node
    while following is not None:
        found = tables_of(graph, following)
        if found is None:
            break
        chain.append(following)
        made = found[1] if made is None else composed(made, found[1])
        if made.nbytes <= graph.tensors[following.output].nbytes:
            fitting, tables = len(chain), made
        following = graph.only_consumer(following.output)
    return chain[:fitting] or [node], tables
