"""Tensors: the values that flow along the edges of the graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Values of several inputs or outputs by name, all of the same samples: counted and taken by sample."""

    arrays: Mapping[str, np.ndarray]
    """(N, ...) each, in the model's order."""

    def __len__(self) -> int:
        return min(map(len, self.arrays.values()))

    def __getitem__(self, rows: Any) -> Bundle:
        return self.map(lambda array: array[rows])

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> Bundle:
        """The same for each array."""
        return Bundle({name: change(array) for name, array in self.arrays.items()})


Values = np.ndarray | Bundle
"""What goes into a model or comes out of it: an array (N, ...), or of several inputs or outputs one each."""


def arrays_of(values: Values) -> tuple[np.ndarray, ...]:
    """One array (N, ...) for each input or output, in the model's order."""
    return tuple(values.arrays.values()) if isinstance(values, Bundle) else (values,)


def bundled(names: tuple[str, ...], arrays: tuple[np.ndarray, ...]) -> Values:
    """The array itself, or of several a bundle under their names."""
    return arrays[0] if len(arrays) == 1 else Bundle(dict(zip(names, arrays, strict=True)))


@dataclass(frozen=True, slots=True)
class Quantization:
    """real = scale * (integer - zero_point), per tensor or per index along `axis`.

    Source: TFLite 8-bit quantization specification. Scales are float32 values held as Python
    floats; one entry means per tensor.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        return len(self.scale) > 1


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A named array: an activation, or a constant when it carries data.

    `dtype` is numpy's name for it (`int8`, `int32`, `float32`, ...); `data`, if any, has exactly
    this shape and dtype. Activations are NHWC with N = 1, as in TFLite.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.data is not None and (self.data.shape != self.shape or self.data.dtype.name != self.dtype):
            raise ValueError(
                f"{self.name}: data {self.data.dtype}{self.data.shape}, declared {self.dtype}{self.shape}"
            )

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.elements * np.dtype(self.dtype).itemsize

    @property
    def scale(self) -> float:
        """The per-tensor scale."""
        return self._single().scale[0]

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point."""
        return self._single().zero_point[0]

    def _single(self) -> Quantization:
        if self.quantization is None or self.quantization.per_channel:
            raise ValueError(f"{self.name} has no per-tensor quantization")
        return self.quantization


def map_rows(tensor: Tensor) -> int:
    """How many rows a tensor has as a feature map: its height, or of (rows, features) the rows."""
    return tensor.shape[1] if len(tensor.shape) == 4 else (tensor.shape[0] if len(tensor.shape) > 1 else 1)


def row_bytes(tensor: Tensor) -> int:
    """Bytes of one row of a feature map."""
    return tensor.nbytes // max(map_rows(tensor), 1)


def activation_integers(dtypes: Iterable[str]) -> str:
    """Of a model whose values have these types: `int8`, `int16`, or `int8 and int16`."""
    return " and ".join(sorted({*dtypes} & {"int8", "int16"}, reverse=True)) or "int8"
