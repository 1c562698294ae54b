"""What quantizing leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.metrics import Agreement


@dataclass(frozen=True, slots=True)
class TensorRange:
    """What calibration found for one activation tensor, and what int8 makes of it."""

    tensor: str
    minimum: float
    maximum: float
    """Real values seen with the calibration samples."""
    scale: float
    zero_point: int
    saturated: float
    """Share of the int8 values that lie on the ends -128 or 127, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """With what the ranges were found."""

    origin: str
    """Which data: a file's name, `CIFAR-10 (keras.datasets)`, `offline set made from the network`."""
    samples: int
    ranges: tuple[TensorRange, ...]
    rewrites: tuple[str, ...]
    """Float rewrites done before conversion, a sentence each with the largest difference they made."""


@dataclass(frozen=True, slots=True)
class QuantizedModel:
    """An int8 TFLite file and how it came about; `calibration` is None where it was given as it is."""

    name: str
    tflite: bytes
    calibration: Calibration | None
    agreement: Agreement | None
    """Float against int8 on the samples at hand."""
    sha256: str
    """Of the TFLite file."""
    function: Any = None
    """TensorFlow's concrete function that was converted: the float model that int8 is held against layer
    by layer; None where the file was given as it is."""
