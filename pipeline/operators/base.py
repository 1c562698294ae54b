"""What an operator has to say of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar

import numpy as np

from pipeline.tensors import Tensor

# A kernel's parameters: the fields of its C struct, in the struct's order. An array becomes a
# `static const` array of the same element type and the field a pointer to it; None a null pointer; a string
# is the name of a function that the kernel declares.
Parameters = Mapping[str, "int | float | str | np.ndarray | None"]

# What makes one output of an operator of the file: the operator, and the tensors that it takes.
Part = tuple["Operator", "tuple[Tensor | None, ...]"]


class Activation(Enum):
    """The fused activation of a TFLite operator, by the name the TFLite schema gives it."""

    NONE = "NONE"
    RELU = "RELU"
    RELU_N1_TO_1 = "RELU_N1_TO_1"
    RELU6 = "RELU6"
    TANH = "TANH"
    """In the schema, but refused by every operator here, as is the next."""
    SIGN_BIT = "SIGN_BIT"


class Operator(ABC):
    """One TFLite operator: a frozen, slotted dataclass of its attributes. Tensors come as arguments.

    `inputs` are the node's tensors in TFLite's order, None where an optional one is absent;
    every operator here has one output. The file's presence in this folder registers it.
    """

    __slots__ = ()

    tflite_name: ClassVar[str]
    """The name in the TFLite schema's BuiltinOperator, such as CONV_2D."""

    kernel: ClassVar[str]
    """The file in firmware_templates/kernels/portable/ and the struct of its parameters; empty: there is
    none, and kernels of other libraries are all that runs the operator."""

    element: ClassVar[str] = "int8"
    """What its activations are made of; a form for int16 stands beside that for int8 where kernels differ."""

    supported: ClassVar[str] = ""
    """Types and limits in words, for people."""

    @classmethod
    @abstractmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Operator:
        """Build the operator from the TFLite schema's options object (None where there are none)."""

    @classmethod
    def read_parts(
        cls, options: Any, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor]
    ) -> tuple[Part, ...]:
        """One operator for each output of the file's; most kinds have one. Raises ValueError."""
        if len(outputs) != 1:
            raise ValueError(f"{len(outputs)} outputs, expected one")
        return ((cls.read(options, inputs, outputs[0]), tuple(inputs)),)

    @abstractmethod
    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        """Why these tensors cannot be handled, a reason a line; empty when they can."""

    @abstractmethod
    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        """The shape that these inputs lead to."""

    def macs(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        """Multiply-accumulates of the definition, padding counted as work; 0 where there are none."""
        return 0

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        """Which inputs the C kernel takes as pointers, in order (a shape tensor, say, is none)."""
        return tuple(i for i, tensor in enumerate(inputs) if tensor is not None)

    def scratch_bytes(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        """Memory that the portable kernel needs for itself: a pointer to it then precedes the output's."""
        return 0

    def in_place(self, inputs: Sequence[Tensor | None], output: Tensor) -> tuple[int, ...]:
        """The inputs over which the output may be written: element i is read before i is written."""
        return ()

    def rows_read(
        self, inputs: Sequence[Tensor | None], output: Tensor, first: int, end: int
    ) -> tuple[int, int] | None:
        """The rows [low, high) of each activation that output rows [first, end) are made of.

        Of an activation of one row, that one. None where output rows are made of more than some rows each.
        """
        return None

    def beside(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        """The inputs of which output rows are made of the same rows, whatever those of the others are."""
        return ()

    @abstractmethod
    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct <kernel>`, in its order."""

    @abstractmethod
    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        """The output's integers, from the parameters and the operands' arrays. Bit-exact to TFLite."""
