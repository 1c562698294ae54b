"""A loaded model as a value, whatever file it came from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.tensors import Values


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model, without the batch."""

    name: str
    """As the model's author calls it; unique among the inputs, or among the outputs."""
    shape: tuple[int, ...]
    dtype: str = "float32"
    scale: float | None = None
    """None where it is not quantized."""
    zero_point: int = 0
    is_sigmoid: bool = False
    """Of an output: a sigmoid makes it."""

    @property
    def classes(self) -> int | None:
        """How many classes an output tells apart: one for each value, two by one value of a sigmoid."""
        if not self.shape:
            return None
        return 2 if self.is_sigmoid and math.prod(self.shape) == 1 else self.shape[-1]


@dataclass(frozen=True, slots=True, eq=False)
class FloatLayer:
    """One layer as the analysis sees it, whichever framework it comes from."""

    name: str
    kind: str
    """The Keras class name, such as Conv2D; of a SavedModel the nearest one to TensorFlow's operation."""
    inputs: tuple[str, ...]
    """The layers whose outputs it reads; the model's inputs by their own names."""
    input_shapes: tuple[tuple[int, ...], ...]
    """Without the batch."""
    output_shape: tuple[int, ...]
    attributes: Mapping[str, Any]
    """Keras's configuration as far as it decides cost: kernel_size, strides, padding, activation, ..."""
    parameters: int
    """Numbers to store for inference: of a batch norm a scale and an offset per channel, of a layer
    that is called twice nothing at its second call."""

    @property
    def is_sigmoid(self) -> bool:
        """Whether its output is one of a sigmoid."""
        return "sigmoid" in {self.kind.lower(), self.attributes.get("activation")}


@dataclass(frozen=True, eq=False)
class FloatModel:
    """A trained float model; its inputs and outputs are of known shape."""

    name: str
    """A C identifier, from the file's name."""
    path: Path
    sha256: str
    framework: str
    """In words, with versions."""
    api: str
    """Whose objects `live` holds: `keras`, `tf_keras` or `saved_model`."""
    layers: tuple[FloatLayer, ...]
    """In an order in which they can run; the inputs are none of them."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    """Named after the layers that make them."""
    live: Any
    """The model itself: called as `live(x, training=False)`, x a list where there are several inputs."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of the first input."""
        return self.inputs[0].shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of the first output."""
        return self.outputs[0].shape


@dataclass(frozen=True, slots=True, eq=False)
class TfliteModel:
    """A TFLite file as it is; what it holds is read by `read_tflite`."""

    name: str
    path: Path
    sha256: str
    content: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of the first input."""
        return self.inputs[0].shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of the first output."""
        return self.outputs[0].shape


def identifier(text: str) -> str:
    """A C identifier that resembles the text."""
    word = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_") or "model"
    return f"model_{word}" if word[0].isdigit() else word


@dataclass(frozen=True, eq=False)
class Raw:
    """Samples as a source holds them, before they are scaled and checked."""

    x: Values
    labels: np.ndarray | None
    classes: tuple[str, ...] | None
    origin: str
    where: str
    """For errors: the file or folder."""
    calibration: Values | None = None
    """A training set's samples, where the source has both."""
    offline: bool = False
