"""Operators whose int8 form TFLite's reference kernels lack, or get wrong, by others that they have in int8.

`pipeline/operators/refused.py` says of each why.

Done in the float graph, before ranges are measured, so that every tensor in between gets its own. The
function stays the same, to float32's roundings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline.quantize.tflite_graph import Operator, TfliteGraph, operator_name


class _Site:
    """The place of one operator, which others take; the last of them makes its output."""

    def __init__(self, graph: TfliteGraph, operator: Any) -> None:
        self.graph, self.operator = graph, operator
        self.inputs = [int(index) for index in operator.inputs]
        self.output = int(operator.outputs[0])
        self.made: list[Any] = []

    def number(self, value: float) -> int:
        """A constant of one element."""
        return self.graph.add_constant(self._name(f"{value:g}"), np.float32(value).reshape(1))

    def add(self, kind: int, *inputs: int, shape: tuple[int, ...] | None = None, **options: Any) -> int:
        """The tensor that this operator makes; of the output's shape, unless one is given."""
        # As TensorFlow names an operation of a layer: a person is shown the layer's name alone.
        operation = f"{operator_name(kind).capitalize()}_{len(self.made)}"
        made = self.graph.add_tensor(self._name(operation), shape or self.graph.shape(self.output))
        self.made.append(self.graph.make_operator(kind, inputs, made, **options))
        return made

    def end(self, kind: int, *inputs: int, **options: Any) -> None:
        """This operator makes the output."""
        self.made.append(self.graph.make_operator(kind, inputs, self.output, **options))

    def constant_input(self, place: int) -> np.ndarray | None:
        """An operator may have fewer inputs than its kind allows."""
        return self.graph.constant(self.inputs[place]) if place < len(self.inputs) else None

    def _name(self, suffix: str) -> str:
        return f"{self.graph.name(self.output)}/{suffix}"


def _elu(site: _Site) -> str:
    """One part is 0 where x is negative, the other where it is not."""
    (x,) = site.inputs
    falling = site.add(Operator.EXP, site.add(Operator.MINIMUM, x, site.number(0)))
    below = site.add(Operator.SUB, falling, site.number(1))
    site.end(Operator.ADD, site.add(Operator.RELU, x), below)
    return "RELU(x) + (EXP(MINIMUM(x, 0)) - 1)"


def _neg(site: _Site) -> str:
    site.end(Operator.MUL, site.inputs[0], site.number(-1))
    return "x * -1"


def _square(site: _Site) -> str:
    (x,) = site.inputs
    site.end(Operator.MUL, x, x)
    return "x * x"


def _squared_difference(site: _Site) -> str:
    difference = site.add(Operator.SUB, *site.inputs)
    site.end(Operator.MUL, difference, difference)
    return "(x - y) * (x - y)"


def _sum(site: _Site) -> str | None:
    axes = site.constant_input(1)
    if axes is None:
        return None
    shape = site.graph.shape(site.inputs[0])
    count = int(np.prod([shape[axis] for axis in np.unique(axes % max(1, len(shape)))]))
    mean = site.add(Operator.MEAN, *site.inputs, keepDims=bool(site.operator.builtinOptions.keepDims))
    site.end(Operator.MUL, mean, site.number(count))
    return f"MEAN * {count}"


def _tile(site: _Site) -> str | None:
    repeats = site.constant_input(1)
    if repeats is None or repeats.min() < 1:
        return None
    tensor, shape = site.inputs[0], list(site.graph.shape(site.inputs[0]))
    *before, last = [axis for axis, repeat in enumerate(repeats) if repeat > 1] or [0]
    for axis in before:
        shape[axis] *= int(repeats[axis])
        copies = [tensor] * int(repeats[axis])
        tensor = site.add(Operator.CONCATENATION, *copies, shape=tuple(shape), axis=axis)
    site.end(Operator.CONCATENATION, *[tensor] * int(repeats[last]), axis=last)
    return "CONCATENATION"


BY_OTHERS: Mapping[int, Callable[[_Site], str | None]] = {
    Operator.ELU: _elu,
    Operator.NEG: _neg,
    Operator.SQUARE: _square,
    Operator.SQUARED_DIFFERENCE: _squared_difference,
    Operator.SUM: _sum,
    Operator.TILE: _tile,
}
"""What puts others in the operator's place, and says which; None: it cannot."""


def replace_operators(graph: TfliteGraph) -> tuple[str, ...]:
    """Put others in the place of what has no int8 form; what was done, a sentence for each kind."""
    found: dict[str, int] = {}
    for operator in graph.operators:
        put = BY_OTHERS.get(graph.kind(operator))
        if put is None or not graph.is_float(int(operator.outputs[0])):
            continue
        site = _Site(graph, operator)
        formula = put(site)
        if formula is not None:
            graph.replace(operator, site.made)
            said = f"{operator_name(graph.kind(operator))} as {formula}"
            found[said] = found.get(said, 0) + 1
    return tuple(f"{said}, {count} times" if count > 1 else said for said, count in found.items())
