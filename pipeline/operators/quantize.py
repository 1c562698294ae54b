"""QUANTIZE: from float32, and from one integer quantization to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.arithmetic import quantize_real
from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import elements, integer, missing, present, quantized
from pipeline.operators.rescaling import (
    requantization,
    requantization_int16,
    requantized,
    requantized_int16,
    same_shape,
    too_steep,
)
from pipeline.tensors import Tensor

INTEGERS = ("int8", "uint8")


@dataclass(frozen=True, slots=True)
class Quantize(Operator):
    """y = clamp(round(x / y_scale) + y_zero), in float32, ties away from zero

    Not a number becomes the smallest integer; what lies beyond int8 saturates.
    """

    tflite_name: ClassVar[str] = "QUANTIZE"
    kernel: ClassVar[str] = "quantize"
    supported: ClassVar[str] = "float32 to int8"

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Operator:
        """This operator for a float32 input, `Requantize` for an integer one, or their forms for int16."""
        x = present(inputs[0])
        if x.dtype == "float32":
            return QuantizeInt16() if output.dtype == "int16" else Quantize()
        return RequantizeInt16() if "int16" in {x.dtype, output.dtype} else Requantize()

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input",))
        if found:
            return found
        x = present(inputs[0])
        found = [*elements("output", output, self.element), *same_shape(x, output)]
        if x.dtype != "float32":
            found.append(f"its input {x.name} is {x.dtype}, expected float32")
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return present(inputs[0]).shape

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct quantize`, in its order."""
        return {"count": output.elements, "zero": output.zero_point, "scale": output.scale}

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        scale = p["scale"]
        assert isinstance(scale, float)
        return quantize_real(arrays[0], scale, integer(p, "zero"), self.element)


@dataclass(frozen=True, slots=True)
class QuantizeInt16(Quantize):
    """The same to int16"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "quantize_int16"
    supported: ClassVar[str] = "float32 to int16"


@dataclass(frozen=True, slots=True)
class Requantize(Operator):
    """y = clamp(rescale(x - x_zero) + y_zero)"""

    tflite_name: ClassVar[str] = "QUANTIZE"
    kernel: ClassVar[str] = "requantize"
    supported: ClassVar[str] = "int8 or uint8 to int8 or uint8; any scales"

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Operator:
        """As `Quantize.read`: whichever of the two is asked by name, the input's type decides."""
        return Quantize.read(options, inputs, output)

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input",))
        if found:
            return found
        x = present(inputs[0])
        found = [
            *quantized("input", x, INTEGERS),
            *quantized("output", output, INTEGERS),
            *same_shape(x, output),
        ]
        return found or too_steep(x, output, x.scale / output.scale)

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return present(inputs[0]).shape

    def in_place(self, inputs: Sequence[Tensor | None], output: Tensor) -> tuple[int, ...]:
        return (0,)

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct requantize`, in its order."""
        x = present(inputs[0])
        bounds = np.iinfo(output.dtype)
        return requantization(x, output, x.scale / output.scale, (int(bounds.min), int(bounds.max)))

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        return requantized(p, arrays[0], "uint8" if integer(p, "output_flip") else "int8")


@dataclass(frozen=True, slots=True)
class RequantizeInt16(Requantize):
    """The same from int16, or to it"""

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "requantize_int16"
    supported: ClassVar[str] = "int16 to int16 or int8, int8 or uint8 to int16; any scales"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input",))
        if found:
            return found
        x = present(inputs[0])
        found = same_shape(x, output)
        for role, tensor, others in (("input", x, INTEGERS), ("output", output, ("int8",))):
            if tensor.dtype in others:
                found += quantized(role, tensor, others)
            else:
                found += elements(role, tensor, "int16")
        return found or too_steep(x, output, x.scale / output.scale)

    def in_place(self, inputs: Sequence[Tensor | None], output: Tensor) -> tuple[int, ...]:
        return (0,) if present(inputs[0]).nbytes == output.nbytes else ()

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct requantize_int16`, in its order."""
        x, bounds = present(inputs[0]), np.iinfo(output.dtype)
        factor = x.scale / output.scale
        return requantization_int16(x, output, factor, (int(bounds.min), int(bounds.max)))

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        return requantized_int16(p, arrays[0])
