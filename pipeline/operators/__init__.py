"""What each operator means: shapes, cost, reference of its integers, kernel parameters."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.operators.base import Activation, Operator, Parameters
from pipeline.operators.refused import REFUSED, REFUSED_INT16
from pipeline.operators.static import evaluate
from pipeline.registry import discover
from pipeline.tensors import Tensor

OPERATORS = discover(__name__, Path(__file__).parent, Operator)  # type: ignore[type-abstract]
BY_TFLITE_NAME = {operator.tflite_name: operator for operator in OPERATORS if operator.element != "int16"}
INT16_FORMS = {operator.tflite_name: operator for operator in OPERATORS if operator.element == "int16"}


def operator_of(
    kind: str, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor]
) -> type[Operator] | None:
    """Who reads an operator of this TFLite name: its form for int16, if any, where activations are int16."""
    form = INT16_FORMS.get(kind) if is_of_int16(inputs, outputs) else None
    return form or BY_TFLITE_NAME.get(kind)


def is_of_int16(inputs: Sequence[Tensor | None], outputs: Sequence[Tensor]) -> bool:
    """Whether an operator reads or writes int16; a state of int16, as a recurrent layer's, does not count."""
    return any(tensor is not None and tensor.dtype == "int16" for tensor in (*inputs[:1], *outputs))


def operator_table() -> list[tuple[str, str]]:
    """(TFLite's name, what is supported of it, or why nothing is) of every operator, for people."""
    refused = [(name, f"no: {reason}") for name, reason in REFUSED.items()]
    narrow = [(name, f"int16: no: {reason}") for name, reason in REFUSED_INT16.items()]
    return sorted([(operator.tflite_name, operator.supported) for operator in OPERATORS] + refused + narrow)


__all__ = [
    "BY_TFLITE_NAME",
    "INT16_FORMS",
    "OPERATORS",
    "REFUSED",
    "REFUSED_INT16",
    "Activation",
    "Operator",
    "Parameters",
    "evaluate",
    "is_of_int16",
    "operator_of",
    "operator_table",
]
