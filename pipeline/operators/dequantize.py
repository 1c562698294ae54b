"""DEQUANTIZE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import elements, integer, missing, present
from pipeline.operators.rescaling import same_shape
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Dequantize(Operator):
    """y = x_scale * (x - x_zero), in float32

    TFLite multiplies in float64 and rounds to float32; nine or seventeen bits times twenty-four are exact in
    float64, so one rounding in float32 gives the same.
    """

    tflite_name: ClassVar[str] = "DEQUANTIZE"
    kernel: ClassVar[str] = "dequantize"
    supported: ClassVar[str] = "int8 to float32"

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        return cls()

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input",))
        if found:
            return found
        x = present(inputs[0])
        found = [*elements("input", x, self.element), *same_shape(x, output)]
        if output.dtype != "float32":
            found.append(f"its output {output.name} is {output.dtype}, expected float32")
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return present(inputs[0]).shape

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct dequantize`, in its order."""
        x = present(inputs[0])
        return {"count": output.elements, "zero": x.zero_point, "scale": x.scale}

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        shifted = (arrays[0].astype(np.int64) - integer(p, "zero")).astype(np.float32)
        y: np.ndarray = shifted * np.float32(p["scale"])
        return y


@dataclass(frozen=True, slots=True)
class DequantizeInt16(Dequantize):
    """The same of int16"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "dequantize_int16"
    supported: ClassVar[str] = "int16 to float32"
