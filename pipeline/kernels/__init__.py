"""Which C or assembly kernel can run which operator on which core, its cost and its scratch."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.boards import Board
from pipeline.kernels import cortex_m4, portable
from pipeline.kernels.base import Candidate, Cost, Kernel, array_bytes
from pipeline.kernels.portable import kernel_bytes, predicted_code_bytes, predicted_ram_code_bytes
from pipeline.operators import Operator, is_of_int16
from pipeline.tensors import Tensor

LIBRARIES = {"portable": portable.KERNELS, "cortex_m4": cortex_m4.KERNELS}


def libraries_of(board: Board) -> tuple[str, ...]:
    """The libraries whose kernels a board's core can run."""
    return ("cortex_m4", "portable") if board.has_dsp else ("portable",)


def candidates(
    op: Operator, inputs: Sequence[Tensor | None], output: Tensor, libraries: Sequence[str]
) -> tuple[Candidate, ...]:
    """All ways in which the kernels of these libraries can run a layer; `portable` can run any.

    A layer that reads nothing but constants, as an output that does not depend on the input, is its own:
    the others take maps in RAM. So is one of int16: they take maps of bytes.
    """
    if is_of_int16(inputs, (output,)) or all(x is None or x.is_constant for x in inputs):
        libraries = ("portable",)
    return tuple(
        candidate
        for library in libraries
        for kernel in LIBRARIES[library]
        for candidate in kernel.candidates(op, inputs, output)
    )


__all__ = [
    "LIBRARIES",
    "Candidate",
    "Cost",
    "Kernel",
    "array_bytes",
    "candidates",
    "kernel_bytes",
    "libraries_of",
    "predicted_code_bytes",
    "predicted_ram_code_bytes",
]
