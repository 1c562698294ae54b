"""Read a Keras model and the samples that calibrate it."""

from pipeline.load.description import FloatLayer, FloatModel, TensorSpec, TfliteModel
from pipeline.load.models import load_model
from pipeline.load.samples import (
    Preprocessing,
    Samples,
    declare_preprocessings,
    load_samples,
    offline_samples,
    random_samples,
)

__all__ = [
    "FloatLayer",
    "FloatModel",
    "Preprocessing",
    "Samples",
    "TensorSpec",
    "TfliteModel",
    "declare_preprocessings",
    "load_model",
    "load_samples",
    "offline_samples",
    "random_samples",
]
