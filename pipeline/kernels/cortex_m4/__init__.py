"""The library for cores with the DSP extension (Cortex-M4, M7, M33): one file a kernel."""

from __future__ import annotations

from pathlib import Path

from pipeline.kernels.base import Kernel
from pipeline.registry import discover

KERNELS = tuple(
    kernel()
    for kernel in discover(__name__, Path(__file__).parent, Kernel)  # type: ignore[type-abstract]
)
