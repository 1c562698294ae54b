"""EXPAND_DIMS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.operators.reshape import Reshape


@dataclass(frozen=True, slots=True)
class ExpandDims(Reshape):
    """y = x, the same bytes with axes of one element"""

    tflite_name: ClassVar[str] = "EXPAND_DIMS"
    supported: ClassVar[str] = "int8, int16 or float32; a constant axis"
