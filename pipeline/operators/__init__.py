"""What each operator means: shapes, cost, int8 reference, kernel parameters."""

from pathlib import Path

from pipeline.operators.base import Activation, Operator, Parameters
from pipeline.registry import discover

OPERATORS = discover(__name__, Path(__file__).parent, Operator)  # type: ignore[type-abstract]
BY_TFLITE_NAME = {operator.tflite_name: operator for operator in OPERATORS}

__all__ = ["BY_TFLITE_NAME", "OPERATORS", "Activation", "Operator", "Parameters"]
