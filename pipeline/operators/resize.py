"""What RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR share."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.operators.checks import constant, present, ranked, single
from pipeline.tensors import Tensor


def read_size(inputs: Sequence[Tensor | None]) -> tuple[int, int]:
    """Height and width of the output, from the second operand; zeros where it is computed."""
    size = present(inputs[1])
    if not size.is_constant:
        return 0, 0
    height, width = constant(size).reshape(-1)
    return int(height), int(width)


def size_problems(x: Tensor, size: tuple[int, int]) -> list[str]:
    """The input is one image, and the output has pixels."""
    found = [*ranked("input", x, 4), *single("input", x)]
    if not found and min(size) < 1:
        found.append(f"its size {list(size)} is not positive")
    return found
