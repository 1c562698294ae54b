"""SQUEEZE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.operators.reshape import Reshape


@dataclass(frozen=True, slots=True)
class Squeeze(Reshape):
    """y = x, the same bytes without axes of one element"""

    tflite_name: ClassVar[str] = "SQUEEZE"
    supported: ClassVar[str] = "int8, int16 or float32"
