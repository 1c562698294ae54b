"""What a pass is, what several of them do to a graph, and how it is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Pass:
    """A rewrite of the graph that changes its cost and no output bit, and what it saves, in words."""

    name: str
    saves: str
    apply: Callable[[Graph], Graph]


@dataclass(frozen=True, slots=True)
class Applied:
    """What one pass did to a graph: how much less there is of everything, where there is less."""

    name: str
    saves: str
    removed_nodes: int
    macs: int = 0
    """Multiply-accumulates."""
    constant_bytes: int = 0
    """Weights, biases and other constants; negative where tables took the place of operators."""
    activation_bytes: int = 0
    """All maps that are written, once each."""

    @property
    def found_anything(self) -> bool:
        """Whether there is less, or more, of anything."""
        return any((self.removed_nodes, self.macs, self.constant_bytes, self.activation_bytes))

    def __str__(self) -> str:
        figures = (
            (self.removed_nodes, "node" if abs(self.removed_nodes) == 1 else "nodes"),
            (self.macs, "MAC"),
            (self.constant_bytes, "bytes of constants"),
            (self.activation_bytes, "bytes of maps"),
        )
        fewer = [f"{count:,} {what}" for count, what in figures if count > 0]
        more = [f"{-count:,} {what}" for count, what in figures if count < 0]
        parts = [f"{', '.join(each)} {word}" for each, word in ((fewer, "fewer"), (more, "more")) if each]
        return f"{self.name}: {'; '.join(parts) or 'nothing to do'}"


def applied(rewrite: Pass, before: Graph, after: Graph) -> Applied:
    """What a pass made of a graph, counted."""

    def fewer(count: Callable[[Graph], int]) -> int:
        return count(before) - count(after)

    return Applied(
        rewrite.name,
        rewrite.saves,
        fewer(lambda graph: len(graph.nodes)),
        fewer(lambda graph: sum(map(graph.macs, graph.nodes))),
        fewer(_constant_bytes),
        fewer(lambda graph: sum(graph.tensors[node.output].nbytes for node in graph.nodes)),
    )


def _constant_bytes(graph: Graph) -> int:
    """Constants that go into the image: what kernels read, biases and tables; no shapes and paddings."""
    read = {
        name
        for node in graph.nodes
        for i, name in enumerate(node.inputs)
        if name and (graph.macs(node) or i in node.op.operands(graph.operands(node)))
    }
    tables = sum(len(table) for node in graph.nodes for table in getattr(node.op, "tables", ()))
    return tables + sum(graph.tensors[name].nbytes for name in read if graph.tensors[name].is_constant)


def redirect(graph: Graph, old: str, new: str) -> Graph | None:
    """The graph without the node that makes `old`; its readers read `new`, which holds the same integers.

    An output of the graph keeps its name: what makes `new` then writes `old`. None where that cannot be,
    since `new` is an input or output of the graph or a constant; and where the tensors mean other numbers.
    """
    before, after = graph.tensors[old], graph.tensors[new]
    if (before.shape, before.dtype, before.quantization) != (after.shape, after.dtype, after.quantization):
        return None
    nodes = [node for node in graph.nodes if node.output != old]
    if old not in graph.outputs:
        return graph.with_nodes(_renamed(node, old, new) for node in nodes)
    if new in graph.outputs or all(node.output != new for node in nodes):
        return None
    return graph.with_nodes(_renamed(node, new, old) for node in nodes)


def _renamed(node: Node, old: str, new: str) -> Node:
    inputs = tuple(new if name == old else name for name in node.inputs)
    return replace(node, inputs=inputs, output=new if node.output == old else node.output)
