"""Add a residual as a convolution stores its results: a schedule may choose this for two layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators.add import Add
from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import present
from pipeline.operators.conv_2d import Conv2D
from pipeline.tensors import Tensor

RESIDUAL = 3
"""The operand behind a convolution's input, weights and bias."""
ADD = "add_"
"""Before the names of ADD's parameters, among those of the convolution."""


@dataclass(frozen=True, slots=True)
class ConvolutionAdd(Operator):
    """y = ADD(CONV_2D(x, weights, bias), residual), or SUB; in no file, and no plain C runs it

    The convolution's results are rounded to int8 as they are without ADD, but never stored.
    """

    tflite_name: ClassVar[str] = "CONV_2D"
    kernel: ClassVar[str] = ""

    convolution: Conv2D
    convolved: Tensor
    """What the convolution's results would be stored as."""
    add: Add
    residual_first: bool
    """Whether the residual is the first operand of ADD."""

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        raise TypeError("chosen by a schedule: no TFLite file has this operator")

    @property
    def operators(self) -> tuple[str, ...]:
        """What it stands for besides the convolution, by TFLite's names."""
        return (self.add.tflite_name,)

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        return [
            *self.convolution.problems(inputs[:RESIDUAL], self.convolved),
            *self.add.problems(self.summands(inputs), output),
        ]

    def summands(self, inputs: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """The operands of ADD, in its order."""
        residual = present(inputs[RESIDUAL])
        return (residual, self.convolved) if self.residual_first else (self.convolved, residual)

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return self.convolution.output_shape(inputs[:RESIDUAL])

    def macs(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        return self.convolution.macs(inputs[:RESIDUAL], self.convolved)

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (*self.convolution.operands(inputs[:RESIDUAL]), RESIDUAL)

    def in_place(self, inputs: Sequence[Tensor | None], output: Tensor) -> tuple[int, ...]:
        return (RESIDUAL,)

    def beside(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (RESIDUAL,)

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int]:
        return self.convolution.rows_read(inputs[:RESIDUAL], self.convolved, first, end)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """Those of both, ADD's under other names."""
        added = self.add.parameters(self.summands(inputs), output)
        return {
            **self.convolution.parameters(inputs[:RESIDUAL], self.convolved),
            **{f"{ADD}{name}": value for name, value in added.items()},
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        *taken, residual = arrays
        convolved = self.convolution.reference(p, *taken)
        summands = (residual, convolved) if self.residual_first else (convolved, residual)
        added = {name.removeprefix(ADD): value for name, value in p.items() if name.startswith(ADD)}
        return self.add.reference(added, *summands)


def fused_adds(graph: Graph, nodes: Sequence[Node]) -> Mapping[int, Node]:
    """By the position of a convolution, the node that it and the ADD behind it could be.

    ADD follows at once, is of two maps of one shape, and is all that reads the convolution's results; its
    other operand is not what the convolution reads, since windows would find rows that are written over.
    """
    found = {}
    for position, (node, add) in enumerate(pairwise(nodes)):
        if (
            isinstance(node.op, Conv2D)
            and isinstance(add.op, Add)
            and add.op.element == "int8"
            and graph.only_consumer(node.output) is add
            and len(set(add.inputs)) == len(add.inputs)
        ):
            fused = _fused(graph, node, add)
            if fused is not None:
                found[position] = fused
    return found


def _fused(graph: Graph, node: Node, add: Node) -> Node | None:
    residual_first = add.inputs[1] == node.output
    name = add.inputs[0 if residual_first else 1]
    convolved, residual = graph.tensors[node.output], graph.tensors[name]
    if not isinstance(node.op, Conv2D) or not isinstance(add.op, Add):
        return None
    if residual.is_constant or residual.shape != convolved.shape or name in node.inputs:
        return None
    op = ConvolutionAdd(node.op, convolved, add.op, residual_first)
    inputs = (*node.inputs, *[""] * (RESIDUAL - len(node.inputs)), name)
    return Node(node.name, op, inputs, add.output)
