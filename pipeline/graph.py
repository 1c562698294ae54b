"""The graph: operators applied to tensors, in execution order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from pipeline.operators import Operator
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Node:
    """One operator applied to named tensors; an absent optional input is the empty name."""

    name: str
    op: Operator
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can run; invalid ones cannot be constructed.

    Only tensors that a node or the border refers to are kept.
    """

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_names: tuple[str, ...] = ()
    """What the model's author calls each input; empty where nobody said."""
    output_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        used = {*self.inputs, *self.outputs}
        for node in self.nodes:
            used |= {*node.inputs, node.output} - {""}
        missing = used - self.tensors.keys()
        if missing:
            raise ValueError(f"{self.name}: tensors without a definition: {sorted(missing)}")
        kept = {name: self.tensors[name] for name in self.tensors if name in used}
        object.__setattr__(self, "tensors", MappingProxyType(kept))
        self._verify()

    def _verify(self) -> None:
        for tensors, given in ((self.inputs, self.input_names), (self.outputs, self.output_names)):
            if len(given) not in {0, len(tensors)}:
                raise ValueError(f"{self.name}: {len(given)} names for {len(tensors)} inputs or outputs")
        known = {name for name, tensor in self.tensors.items() if tensor.is_constant} | set(self.inputs)
        names: set[str] = set()
        for node in self.nodes:
            if node.name in names:
                raise ValueError(f"{self.name}: two nodes are called {node.name}")
            names.add(node.name)
            early = [name for name in node.inputs if name and name not in known]
            if early:
                raise ValueError(f"{node.name} reads {early} before anything writes it")
            if node.output in known:
                raise ValueError(f"{node.name} writes {node.output} a second time")
            shape = node.op.output_shape(self.operands(node))
            if shape != self.tensors[node.output].shape:
                raise ValueError(
                    f"{node.name} makes {shape}, its output is declared {self.tensors[node.output].shape}"
                )
            known.add(node.output)
        absent = set(self.outputs) - known
        if absent:
            raise ValueError(f"{self.name}: nothing writes the outputs {sorted(absent)}")

    def operands(self, node: Node) -> tuple[Tensor | None, ...]:
        """The node's input tensors, None for an absent optional one."""
        return tuple(self.tensors[name] if name else None for name in node.inputs)

    def macs(self, node: Node) -> int:
        """Multiply-accumulates of one node."""
        return node.op.macs(self.operands(node), self.tensors[node.output])

    @cached_property
    def _consumers(self) -> Mapping[str, tuple[Node, ...]]:
        found: dict[str, tuple[Node, ...]] = {}
        for node in self.nodes:
            for name in {name for name in node.inputs if name}:
                found[name] = (*found.get(name, ()), node)
        return found

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read this tensor."""
        return self._consumers.get(tensor, ())

    def only_consumer(self, tensor: str) -> Node | None:
        """The one node that reads this tensor, or None: several do, or the tensor leaves the graph."""
        consumers = self.consumers(tensor)
        return consumers[0] if len(consumers) == 1 and tensor not in self.outputs else None

    def with_nodes(self, nodes: Iterable[Node], tensors: Mapping[str, Tensor] | None = None) -> Graph:
        """This graph with other nodes, and with further or changed tensors."""
        return replace(self, nodes=tuple(nodes), tensors={**self.tensors, **(tensors or {})})
