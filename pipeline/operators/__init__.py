"""What each operator means: shapes, cost, int8 reference, kernel parameters."""

from pathlib import Path

from pipeline.operators.base import Activation, Operator, Parameters
from pipeline.operators.refused import REFUSED, REFUSED_TYPES
from pipeline.operators.static import evaluate
from pipeline.registry import discover

OPERATORS = discover(__name__, Path(__file__).parent, Operator)  # type: ignore[type-abstract]
BY_TFLITE_NAME = {operator.tflite_name: operator for operator in OPERATORS}


def operator_table() -> list[tuple[str, str]]:
    """(TFLite's name, what is supported of it, or why nothing is) of every operator, for people."""
    refused = [(name, f"no: {reason}") for name, reason in REFUSED.items()]
    types = [(f"any, on {name}", f"no: {reason}") for name, reason in REFUSED_TYPES.items()]
    return sorted([(operator.tflite_name, operator.supported) for operator in OPERATORS] + refused) + types


__all__ = [
    "BY_TFLITE_NAME",
    "OPERATORS",
    "REFUSED",
    "REFUSED_TYPES",
    "Activation",
    "Operator",
    "Parameters",
    "evaluate",
    "operator_table",
]
