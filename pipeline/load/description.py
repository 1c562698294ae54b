"""A loaded model as a value, whatever file it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class FloatLayer:
    """One layer as the analysis sees it, whichever framework it comes from."""

    name: str
    kind: str
    """The Keras class name, such as Conv2D; of a SavedModel the nearest one to TensorFlow's operation."""
    inputs: tuple[str, ...]
    """The layers whose outputs it reads; the model's input by `FloatModel.input_name`."""
    input_shapes: tuple[tuple[int, ...], ...]
    """Without the batch."""
    output_shape: tuple[int, ...]
    attributes: Mapping[str, Any]
    """Keras's configuration as far as it decides cost: kernel_size, strides, padding, activation, ..."""
    parameters: int
    """Numbers to store for inference: of a batch norm a scale and an offset per channel, of a layer
    that is called twice nothing at its second call."""


@dataclass(frozen=True, eq=False)
class FloatModel:
    """A trained float model with one input and one output, both of known shape."""

    name: str
    """A C identifier, from the file's name."""
    path: Path
    sha256: str
    framework: str
    """In words, with versions."""
    api: str
    """Whose objects `live` holds: `keras`, `tf_keras` or `saved_model`."""
    layers: tuple[FloatLayer, ...]
    """In an order in which they can run; the input is none of them."""
    input_name: str
    input_shape: tuple[int, ...]
    """Without the batch, which is one on the target."""
    output_name: str
    output_shape: tuple[int, ...]
    live: Any
    """The model itself: called as `live(x, training=False)`."""


@dataclass(frozen=True, slots=True, eq=False)
class TfliteModel:
    """A TFLite file as it is; what it holds is read by `read_tflite`."""

    name: str
    path: Path
    sha256: str
    content: bytes
    input_shape: tuple[int, ...]
    """Without the batch."""
    input_dtype: str
    input_scale: float | None
    """None where the input is not quantized."""
    input_zero_point: int
    output_shape: tuple[int, ...] = ()
    """Without the batch; empty where unknown."""


def identifier(text: str) -> str:
    """A C identifier that resembles the text."""
    word = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_") or "model"
    return f"model_{word}" if word[0].isdigit() else word


@dataclass(frozen=True, eq=False)
class Raw:
    """Samples as a source holds them, before they are scaled and checked."""

    x: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...] | None
    origin: str
    where: str
    """For errors: the file or folder."""
    calibration: np.ndarray | None = None
    """A training set's samples, where the source has both."""
    offline: bool = False
