"""BATCH_MATMUL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.arithmetic import (
    LARGEST_ACCUMULATOR,
    quantize_multiplier,
    reduced_multipliers,
    rescale,
    rescale_sum,
)
from pipeline.operators.base import Operator, Parameters
from pipeline.operators.binary import loops
from pipeline.operators.checks import LARGEST_FACTOR, LARGEST_SUM, elements, integer, missing, present
from pipeline.tensors import Tensor

BATCH_LOOPS = 2


@dataclass(frozen=True, slots=True)
class BatchMatMul(Operator):
    """y[i, j] = clamp(rescale(sum_k (a[i, k] - a_zero) * (b[k, j] - b_zero)) + y_zero), for each matrix"""

    tflite_name: ClassVar[str] = "BATCH_MATMUL"
    kernel: ClassVar[str] = "batch_matmul"
    supported: ClassVar[str] = "int8; two to five axes; either operand transposed, constant or broadcast"

    a_transposed: bool = False
    b_transposed: bool = False

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> BatchMatMul:
        return cls(bool(options.adjX), bool(options.adjY))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("first operand", "second operand"))
        if found:
            return found
        a, b = present(inputs[0]), present(inputs[1])
        found = [
            *elements("first operand", a, self.element),
            *elements("second operand", b, self.element),
            *elements("output", output, self.element),
        ]
        if found:
            return found
        if min(len(a.shape), len(b.shape)) < 2 or 0 in (*a.shape, *b.shape) or not self._meet(a, b):
            return [f"its operands {list(a.shape)} and {list(b.shape)} cannot be multiplied"]
        if len(loops(a.shape[:-2], b.shape[:-2])) > BATCH_LOOPS:
            return [f"its operands {list(a.shape)} and {list(b.shape)} need more than {BATCH_LOOPS} loops"]
        if self.output_shape(inputs) != output.shape:
            expected = list(self.output_shape(inputs))
            return [f"its output {output.name} has the shape {list(output.shape)}, expected {expected}"]
        return self._overflows(self._sizes(a, b)[1], self._factor(inputs, output))

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        a, b = present(inputs[0]), present(inputs[1])
        rows, _, columns = self._sizes(a, b)
        return (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), rows, columns)

    def macs(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        return output.elements * self._sizes(present(inputs[0]), present(inputs[1]))[1]

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct batch_matmul`, in its order."""
        a, b = present(inputs[0]), present(inputs[1])
        batch = loops(a.shape[:-2], b.shape[:-2])
        (outer, a_outer, b_outer), (inner, a_inner, b_inner) = [(1, 0, 0)] * (2 - len(batch)) + batch
        rows, depth, columns = self._sizes(a, b)
        multiplier, shift = self._multiplier(self._factor(inputs, output))
        return {
            "outer": outer,
            "inner": inner,
            "a_outer": a_outer * rows * depth,
            "a_inner": a_inner * rows * depth,
            "b_outer": b_outer * depth * columns,
            "b_inner": b_inner * depth * columns,
            "rows": rows,
            "depth": depth,
            "columns": columns,
            "a_row": 1 if self.a_transposed else depth,
            "a_depth": rows if self.a_transposed else 1,
            "b_depth": 1 if self.b_transposed else columns,
            "b_column": depth if self.b_transposed else 1,
            "a_zero": a.zero_point,
            "b_zero": b.zero_point,
            "output_zero": output.zero_point,
            "multiplier": multiplier,
            "shift": shift,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        a, b = (x.astype(np.int64) - integer(p, f"{name}_zero") for name, x in zip("ab", arrays, strict=True))
        sums = np.matmul(
            np.swapaxes(a, -1, -2) if self.a_transposed else a,
            np.swapaxes(b, -1, -2) if self.b_transposed else b,
        )
        y = self._rescaled(sums, integer(p, "multiplier"), integer(p, "shift")) + integer(p, "output_zero")
        bounds = np.iinfo(self.element)
        stored: np.ndarray = np.clip(y, bounds.min, bounds.max).astype(self.element)
        return stored

    def _overflows(self, depth: int, factor: float) -> list[str]:
        if depth * 255**2 << max(quantize_multiplier(factor)[1], 0) >= LARGEST_ACCUMULATOR:
            return [f"its sums of {depth} products leave 32 bits no room for rounding"]
        return []

    def _multiplier(self, factor: float) -> tuple[int, int]:
        return quantize_multiplier(factor)

    def _rescaled(self, sums: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
        return rescale(sums, multiplier, shift)

    def _sizes(self, a: Tensor, b: Tensor) -> tuple[int, int, int]:
        """(rows, depth, columns) of one product of matrices."""
        rows, depth = a.shape[-2:][::-1] if self.a_transposed else a.shape[-2:]
        return rows, depth, b.shape[-2 if self.b_transposed else -1]

    def _meet(self, a: Tensor, b: Tensor) -> bool:
        try:
            np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            return False
        return self._sizes(a, b)[1] == b.shape[-1 if self.b_transposed else -2]

    @staticmethod
    def _factor(inputs: Sequence[Tensor | None], output: Tensor) -> float:
        return present(inputs[0]).scale * present(inputs[1]).scale / output.scale


@dataclass(frozen=True, slots=True)
class BatchMatMulInt16(BatchMatMul):
    """The same of int16: sums of 64 bits, of whose factor 15 are kept"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "batch_matmul_int16"
    supported: ClassVar[str] = "int16; two to five axes; either operand transposed, constant or broadcast"

    def _overflows(self, depth: int, factor: float) -> list[str]:
        largest = depth << 30
        if largest >= LARGEST_SUM or factor >= LARGEST_FACTOR or largest * factor >= 2.0**31 - 1:
            return [f"its sums of {depth} products leave 64 bits no room for their factor {factor:g}"]
        return []

    def _multiplier(self, factor: float) -> tuple[int, int]:
        multiplier, shift = reduced_multipliers([factor])
        return int(multiplier[0]), int(shift[0])

    def _rescaled(self, sums: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
        return rescale_sum(sums, multiplier, shift)
