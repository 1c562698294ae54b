"""What kernels share that add a residual to a convolution's results as they store them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.arithmetic import INT8_MAX, INT8_MIN
from pipeline.kernels.cortex_m4.binary_rows import LINE_SHIFT, line_of_sums
from pipeline.operators.base import Parameters
from pipeline.passes.fuse_add import RESIDUAL, ConvolutionAdd
from pipeline.tensors import Tensor

INT32 = np.iinfo(np.int32)
EVERY_INT8 = np.arange(INT8_MIN, INT8_MAX + 1)


@dataclass(frozen=True, slots=True)
class Addition:
    """ADD of a result q and the residual r: (of_result * q + of_residual * r + start) >> 22, saturated."""

    of_result: int
    of_residual: int
    start: int

    def words(self) -> np.ndarray:
        """As the kernels read it."""
        return np.array([self.of_result, self.of_residual, self.start], np.int32)


def addition_of(op: ConvolutionAdd, inputs: Sequence[Tensor | None], output: Tensor) -> Addition | None:
    """The numbers that give ADD's result for every pair of int8, if there are any.

    Nothing may be clamped but at the ends of int8, and neither may what the convolution stores.
    """
    stored, added = (
        op.convolution.parameters(inputs[:RESIDUAL], op.convolved),
        op.add.parameters(op.summands(inputs), output),
    )
    if not _is_int8(stored) or not _is_int8(added):
        return None
    line = line_of_sums(op.add, op.summands(inputs), output)
    if line is None:
        return None
    first, second, start = line
    of_residual, of_result = (first, second) if op.residual_first else (second, first)
    # What the line gives lies above the lower end; what saturates is signed.
    start += INT8_MIN << LINE_SHIFT
    sums = of_result * EVERY_INT8[:, np.newaxis] + of_residual * EVERY_INT8 + start
    in_range = sums.min() >= INT32.min and sums.max() <= INT32.max
    return Addition(of_result, of_residual, start) if in_range else None


def _is_int8(p: Parameters) -> bool:
    """Whether results are clamped at the ends of int8 only."""
    minimum, maximum = (np.asarray(p[name]) for name in ("minimum", "maximum"))
    return bool((minimum == INT8_MIN).all() and (maximum == INT8_MAX).all())
