"""What operators on single int16 share: 65,536 values are too many for a table, so each has arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.operators.elementwise import Elementwise


@dataclass(frozen=True, slots=True)
class UnaryInt16(Elementwise):
    """y = f(x); what f is, is left open"""

    element: ClassVar[str] = "int16"
