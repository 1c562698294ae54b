"""Choose the order of the layers and the kernel of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import ModelNotSupported
from pipeline.graph import Graph, Node
from pipeline.kernels import Candidate, candidates
from pipeline.operators.reshape import Reshape


@dataclass(frozen=True, slots=True)
class Step:
    """What runs as one: the nodes it does, and the way in which it does them."""

    nodes: tuple[Node, ...]
    candidate: Candidate


@dataclass(frozen=True)
class Schedule:
    """Steps in order; `aliases` maps a tensor to the one whose bytes it shares without any work."""

    graph: Graph
    steps: tuple[Step, ...]
    aliases: Mapping[str, str]


def schedule_layers(graph: Graph, libraries: Sequence[str] = ("portable",)) -> Schedule:
    """Run the layers in the file's order, each on the library that is predicted to be fastest.

    A RESHAPE is no step: its output is its input under another shape.
    """
    steps = []
    aliases: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.op, Reshape):
            source = node.inputs[0]
            aliases[node.output] = aliases.get(source, source)
            continue
        operands, output = graph.operands(node), graph.tensors[node.output]
        found = candidates(node.op, operands, output, libraries)
        steps.append(Step((node,), min(found, key=lambda candidate: candidate.cost.cycles)))
    if not steps:
        raise ModelNotSupported(
            "the model computes nothing: its output is its input in another shape",
            code="E_MODEL_EMPTY",
            where=graph.name,
            hint="deploy a model with at least one layer that computes",
        )
    return Schedule(graph, tuple(steps), aliases)
