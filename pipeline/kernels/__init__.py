"""Which C or assembly kernel can run which operator on which core, its cost and its scratch."""

from pipeline.kernels.base import KernelCost, Library
from pipeline.kernels.portable import Portable, predicted_code_bytes

LIBRARIES: tuple[Library, ...] = (Portable(),)

__all__ = ["LIBRARIES", "KernelCost", "Library", "predicted_code_bytes"]
