"""What quantizing leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.metrics import Agreement
from pipeline.quantize.recipe import PLAIN
from pipeline.quantize.tflite_graph import TfliteGraph
from pipeline.tensors import activation_integers


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
    """Float rewrites and cures, a sentence each; folds with the largest difference they made."""
    recipe: str = PLAIN
    """Which cures were applied, as `pipeline.quantize.recipe` writes it."""


@dataclass(frozen=True, slots=True)
class QuantizedModel:
    """A quantized TFLite file and how it came about; `calibration` is None where it was given as it is."""

    name: str
    tflite: bytes
    calibration: Calibration | None
    agreement: Agreement | None
    """Float against quantized on the samples at hand."""
    sha256: str
    """Of the TFLite file."""
    float_tflite: bytes | None = None
    """The float TFLite file that the quantized one was made of, after float rewrites and cures: the same
    operators and names of tensors. None where the file was given as it is."""

    @property
    def activations(self) -> str:
        """As `activation_integers` has it."""
        graph = TfliteGraph(self.tflite)
        return activation_integers(graph.dtype(index) for index in graph.made())
