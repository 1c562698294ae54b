"""What a kernel has to say of itself: in which ways it can run a layer, and what each costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from pipeline.kernels.costs import core_cost
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Cost:
    """What running a layer once is predicted to take, apart from waiting for flash."""

    instructions: float
    cycles: float
    """On a Cortex-M4 whose memory answers at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One way to run one layer. A schedule has one for each layer.

    The C function is `<kernel><entry>_<library>`, its parameters a `struct <kernel>`, its file
    firmware_templates/kernels/<library>/<kernel>.c (or .S beside it).
    """

    library: str
    kernel: str
    variant: str
    """What tells it from the kernel's other candidates for the layer, in words."""
    parameters: Callable[[], Parameters]
    """The fields of the struct, in its order; made when they are wanted, since weights may be large."""
    scratch_bytes: int = 0
    """Memory that one call needs for itself."""
    state_bytes: int = 0
    """Memory that must keep its bytes from the layer's first call to its last."""
    weights_bytes: int = 0
    """All arrays among the parameters."""
    streamed: Mapping[str, int] = field(default_factory=dict)
    """Bytes that one inference reads of an array, by the array's field; of the large arrays."""
    in_ram: frozenset[str] = frozenset()
    """Arrays that are copied to RAM when the target starts."""
    prepared: Mapping[str, int] = field(default_factory=dict)
    """Arrays of words in RAM, bytes by field, that `<kernel>_prepare_<library>` makes of the others. It is
    called with the parameters when the target starts; among these, such an array is None."""
    ram_bytes: int = 0
    """Of the arrays in RAM of either kind."""
    streams: bool = False
    """Whether rows can be asked for in any portions, in ascending order, from maps that are rings."""
    accumulates: bool = False
    """Whether it takes input rows one after the other, and makes its output when it has seen the last."""
    features: Mapping[str, float] = field(default_factory=dict)
    """How often each thing is done: what the work is counted by in costs.toml, under the same names."""
    rows_per_call: int = 1
    """Output rows that are cheapest to make at once; the features are those of calls of so many."""
    entry: str = ""
    """Which of a kernel's functions takes this layer's maps, where they are not as many for all layers."""
    once_a_call: frozenset[str] | None = None
    """Features that a call for fewer rows has as well; None: all."""

    @property
    def cost(self) -> Cost:
        """By the kernel's formula in costs.toml."""
        return self._cost_of(self.work)

    @property
    def fixed_share(self) -> float:
        """Of the cycles, what a call takes for fewer rows, too."""
        if self.once_a_call is None:
            return 1.0
        fixed = {name: count for name, count in self.features.items() if name in self.once_a_call}
        return self._cost_of(fixed).cycles / self.cost.cycles

    def _cost_of(self, work: Mapping[str, float]) -> Cost:
        return Cost(*core_cost(f"{self.library}/{self.kernel}", work))

    @property
    def flash_read_bytes(self) -> int:
        """Bytes of the large arrays that one inference reads from flash."""
        return sum(count for name, count in self.streamed.items() if name not in self.in_ram)

    @property
    def work(self) -> Mapping[str, float]:
        """The features, with what is read from flash, and 1 for what is done once a layer."""
        return {"flash_read": self.flash_read_bytes, "layers": 1, **self.features}

    def in_ram_too(self, sizes: Mapping[str, int]) -> Candidate:
        """The same with these arrays, bytes by field, in RAM."""
        return replace(
            self,
            variant=f"{self.variant}, in RAM",
            in_ram=self.in_ram | sizes.keys(),
            ram_bytes=self.ram_bytes + sum(sizes.values()),
        )


class Kernel(ABC):
    """One kernel of a library. The file's presence in the library's folder registers it."""

    name: ClassVar[str]

    @abstractmethod
    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """The ways in which this kernel can run a layer; none where it cannot."""


def array_bytes(parameters: Parameters) -> int:
    """Size of all arrays among a kernel's parameters."""
    return sum(value.nbytes for value in parameters.values() if isinstance(value, np.ndarray))
