"""What a kernel has to say of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.operators import Operator
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class KernelCost:
    """What running one layer with one kernel is predicted to cost."""

    instructions: int
    scratch_bytes: int = 0


class Library(Protocol):
    """A family of kernels: which layers it can run, and at what cost."""

    name: str

    def accepts(self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor) -> bool:
        """Whether this library has a kernel for the layer."""

    def cost(self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor) -> KernelCost:
        """The predicted cost of a layer that it accepts."""
