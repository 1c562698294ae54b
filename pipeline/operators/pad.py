"""PAD and PADV2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.operators.base import Operator, Parameters
from pipeline.operators.checks import alike, constant, integer, missing, present, same_quantization
from pipeline.tensors import Tensor

RANK = 4


@dataclass(frozen=True, slots=True)
class Pad(Operator):
    """y = x, with the zero point (real 0) around it"""

    tflite_name: ClassVar[str] = "PAD"
    kernel: ClassVar[str] = "pad"
    supported: ClassVar[str] = "int8 or int16; up to four axes, the batch not padded; constant paddings"

    pads: tuple[tuple[int, int], ...]
    """(before, after) of each axis of the input."""

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        paddings = present(inputs[1])
        if not paddings.is_constant:
            return cls(())
        return cls(tuple((int(before), int(after)) for before, after in constant(paddings).reshape(-1, 2)))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input", "paddings"))
        if found:
            return found
        x, paddings = present(inputs[0]), present(inputs[1])
        if not paddings.is_constant:
            return [f"its paddings {paddings.name} are not constant"]
        found = alike(x, output)
        if len(self.pads) != len(x.shape) or any(min(pair) < 0 for pair in self.pads):
            found.append(f"its paddings {self.pads} do not fit its input {list(x.shape)}")
        elif len(x.shape) > RANK or (len(x.shape) == RANK and (x.shape[0] != 1 or any(self.pads[0]))):
            found.append(f"its input {list(x.shape)} has a batch, or more than {RANK} axes")
        elif self.output_shape(inputs) != output.shape:
            expected = list(self.output_shape(inputs))
            found.append(f"its output {output.name} has the shape {list(output.shape)}, expected {expected}")
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        shape = present(inputs[0]).shape
        return tuple(before + size + after for size, (before, after) in zip(shape, self.pads, strict=True))

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0,)

    def value(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        """The integer put around the input."""
        return output.zero_point

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct pad`, in its order. Its channels are bytes, which an int16 has two of.

        Elements of trailing axes that are not padded are moved together: they count as the last axis.
        """
        size = np.dtype(output.dtype).itemsize
        axes = [(1, 0, 0), (1, 0, 0), *self._merged(present(inputs[0]).shape)]
        (height, top, bottom), (width, left, right), (channels, front, back) = axes[-3:]
        return {
            "height": height,
            "width": width,
            "channels": channels * size,
            "top": top,
            "bottom": bottom,
            "left": left,
            "right": right,
            "front": front * size,
            "back": back * size,
            "value": int(_bytes(self.value(inputs, output), output.dtype)[0]),
        }

    def _merged(self, shape: tuple[int, ...]) -> list[tuple[int, int, int]]:
        """(size, before, after) of each axis, with a last one that is padded, or the only one."""
        axes = [(size, *pair) for size, pair in zip(shape, self.pads, strict=True)]
        while len(axes) > 1 and axes[-1][1:] == (0, 0):
            inner, _, _ = axes.pop()
            size, before, after = axes.pop()
            axes.append((size * inner, before * inner, after * inner))
        return axes

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        (x,) = arrays
        value = np.full(x.itemsize, integer(p, "value"), np.int8).view(x.dtype)[0]
        return np.pad(x, self.pads, constant_values=value)


def _bytes(value: int, dtype: str) -> np.ndarray:
    """An integer of this type as int8."""
    return np.array([value], dtype).view(np.int8)


@dataclass(frozen=True, slots=True)
class PadV2(Pad):
    """y = x, with a constant around it"""

    tflite_name: ClassVar[str] = "PADV2"

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = super(PadV2, self).problems(inputs, output) or missing(inputs, ("input", "paddings", "value"))
        if found:
            return found
        value = present(inputs[2])
        if value.dtype != output.dtype or value.elements != 1 or not value.is_constant:
            stated = f"{value.dtype}{list(value.shape)}"
            return [f"its value {value.name} is {stated}, expected one constant {output.dtype}"]
        if len(set(_bytes(self.value(inputs, output), output.dtype).tolist())) > 1:
            return [f"its value {self.value(inputs, output)} has two bytes that differ, expected 0 or -1"]
        return same_quantization(value, output)

    def value(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        return int(constant(inputs[2]).reshape(-1)[0])
