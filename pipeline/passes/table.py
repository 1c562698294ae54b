"""Operators on single elements as tables of 256 results, one for all channels or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators.binary import Binary
from pipeline.operators.checks import array, present
from pipeline.operators.pooling import Pooling
from pipeline.operators.quantize import Requantize
from pipeline.operators.relu import Clamping
from pipeline.operators.unary import EVERY_INT8, Unary
from pipeline.tensors import Tensor

ENTRIES = len(EVERY_INT8)


@dataclass(frozen=True, slots=True)
class Table(Unary):
    """y[..., c] = table_c[x[..., c]]; what a chain of operators comes to, and in no file"""

    tflite_name: ClassVar[str] = "TABLE"

    tables: tuple[bytes, ...]
    """The int8 results for -128, -127 ... 127: one table for all channels, or one for each."""
    operators: tuple[str, ...]
    """What they stand for, by TFLite's names."""

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        raise TypeError("made by a pass: no TFLite file has this operator")

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        return np.stack([np.frombuffer(table, np.int8) for table in self.tables])


def tables_of(graph: Graph, node: Node) -> tuple[str, np.ndarray] | None:
    """The tensor that a node's elements depend on, and int8 (1 or channels, 256) what becomes of each value.

    None where an output element depends on more than one element, or the types are not int8.
    """
    operands, output = graph.operands(node), graph.tensors[node.output]
    source = next((name for name in node.inputs if name and not graph.tensors[name].is_constant), "")
    if not source or graph.tensors[source].dtype != "int8" or output.dtype != "int8":
        return None
    if graph.tensors[source].shape != output.shape:
        return None
    op, column = node.op, EVERY_INT8.astype(np.int8)[:, np.newaxis]
    if isinstance(op, Unary):
        return source, distinct(array(op.parameters(operands, output), "table"))
    if isinstance(op, Binary):
        arrays = [_beside(each, source, column) for each in operands]
    elif isinstance(op, Clamping | Requantize):
        arrays = [column]
    elif isinstance(op, Pooling) and op.window == op.stride == (1, 1):
        # A window of one element: its maximum and its mean are itself.
        return source, op.clamped(op.parameters(operands, output), column.T.astype(np.int64))[0]
    else:
        return None
    taken = [each for each in arrays if each is not None]
    if len(taken) < len(arrays):
        return None
    made = op.reference(op.parameters(operands, output), *taken)
    return source, distinct(np.ascontiguousarray(made.T))


def _beside(operand: Tensor | None, source: str, column: np.ndarray) -> np.ndarray | None:
    """An operand as it meets 256 values in a column: the column itself, or a row of constants."""
    tensor = present(operand)
    if tensor.name == source:
        return column
    channels = tensor.shape[-1] if tensor.shape else 1
    return None if tensor.data is None or tensor.elements != channels else tensor.data.reshape(1, channels)


def distinct(tables: np.ndarray) -> np.ndarray:
    """One table where those of all channels are alike."""
    return tables[:1] if (tables == tables[0]).all() else tables


def composed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What `second` makes of what `first` makes."""
    rows = max(len(first), len(second))
    first, second = (np.broadcast_to(each, (rows, ENTRIES)) for each in (first, second))
    return distinct(np.take_along_axis(second, first.astype(np.int64) + ENTRIES // 2, axis=1))
