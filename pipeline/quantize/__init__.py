"""Turn a float model into an int8 TFLite model."""

from pipeline.quantize.convert import quantize_model
from pipeline.quantize.predict import predict_float, predict_int8
from pipeline.quantize.results import Calibration, QuantizedModel, TensorRange

__all__ = [
    "Calibration",
    "QuantizedModel",
    "TensorRange",
    "predict_float",
    "predict_int8",
    "quantize_model",
]
