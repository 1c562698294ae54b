"""Turn a float model into an int8 TFLite model."""

from pipeline.quantize.convert import Check, Prepared, apply_recipe, prepare_model, quantize_model
from pipeline.quantize.findings import Finding, find_in_inputs, find_in_layers
from pipeline.quantize.inspect import Inspection, inspect_quantization
from pipeline.quantize.measure import (
    Cured,
    Fidelity,
    FloatRun,
    best_of,
    candidates,
    compare_recipes,
    run_float_graph,
    with_costly_layers,
)
from pipeline.quantize.predict import predict_float, predict_int8
from pipeline.quantize.recipe import BorderTypes, Recipe, parse_recipe
from pipeline.quantize.results import Calibration, QuantizedModel, TensorRange

__all__ = [
    "BorderTypes",
    "Calibration",
    "Check",
    "Cured",
    "Fidelity",
    "Finding",
    "FloatRun",
    "Inspection",
    "Prepared",
    "QuantizedModel",
    "Recipe",
    "TensorRange",
    "apply_recipe",
    "best_of",
    "candidates",
    "compare_recipes",
    "find_in_inputs",
    "find_in_layers",
    "inspect_quantization",
    "parse_recipe",
    "predict_float",
    "predict_int8",
    "prepare_model",
    "quantize_model",
    "run_float_graph",
    "with_costly_layers",
]
