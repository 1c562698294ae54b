"""Turn a float model into an int8 TFLite model."""

from pipeline.quantize.convert import Prepared, apply_recipe, prepare_model, quantize_model
from pipeline.quantize.measure import Comparison, Cured, compare_recipes
from pipeline.quantize.predict import predict_float, predict_int8
from pipeline.quantize.recipe import Recipe, parse_recipe
from pipeline.quantize.results import Calibration, QuantizedModel, TensorRange

__all__ = [
    "Calibration",
    "Comparison",
    "Cured",
    "Prepared",
    "QuantizedModel",
    "Recipe",
    "TensorRange",
    "apply_recipe",
    "compare_recipes",
    "parse_recipe",
    "predict_float",
    "predict_int8",
    "prepare_model",
    "quantize_model",
]
