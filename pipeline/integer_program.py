"""Choose stretches that cover a model, each layer once: an integer program, solved exactly (HiGHS).

A schedule is a path from the first layer to the last, and a stretch of layers a step on it. Its cycles,
weights and RAM add up, its arena is that of the largest stretch, and the code of a kernel counts once.
Shortest paths also tell, in milliseconds, the least that a schedule with a given stretch can have of each
figure: stretches that limits have no room for never reach the solver, nor do limits that nothing exceeds.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from pipeline.kernels import kernel_bytes

if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint
    from scipy.sparse import csr_array

# Of scaled limits, for the solver's own tolerance: less than a byte of an arena.
SLACK = 3e-6


@contextmanager
def _native_output_dropped() -> Iterator[None]:
    """Drop what C code prints: HiGHS says some lines whatever it is told, and output is the user's."""
    sys.stdout.flush()
    flush = ctypes.CDLL(None).fflush
    flush(None)
    saved, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        flush(None)
        os.dup2(saved, 1)
        os.close(saved)
        os.close(nothing)


class Stretch(Protocol):
    """Layers from `first` to `last`, inclusive, run in one way."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def cycles(self) -> float: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def weights_bytes(self) -> int: ...
    @property
    def ram_bytes(self) -> int: ...
    @property
    def kernels(self) -> Sequence[str]:
        """`<library>/<kernel>` of each layer, or of several that are fused."""
        ...


S = TypeVar("S", bound=Stretch)


@dataclass(frozen=True, slots=True)
class Chosen(Generic[S]):
    """A solution, and its figures."""

    options: list[S]

    @property
    def cycles(self) -> float:
        return sum(option.cycles for option in self.options)

    @property
    def weights(self) -> float:
        return sum(option.weights_bytes for option in self.options)

    @property
    def arena(self) -> float:
        return max(option.arena_bytes for option in self.options)

    @property
    def weights_in_ram(self) -> float:
        return sum(option.ram_bytes for option in self.options)

    @property
    def ram(self) -> float:
        return self.arena + self.weights_in_ram

    @property
    def code(self) -> float:
        return sum(kernel_bytes(kernel) for kernel in {k for option in self.options for k in option.kernels})

    def figure(self, weights: Mapping[str, float]) -> float:
        """A weighted sum of figures, by the names that limits and objectives have."""
        figures = {
            "cycles": self.cycles,
            "weights": self.weights,
            "ram": self.ram,
            "weights in RAM": self.weights_in_ram,
            "arena": self.arena,
            "code": self.code,
        }
        return sum(weight * figures[name] for name, weight in weights.items())


@dataclass(frozen=True, slots=True)
class _Row:
    """A weighted sum of figures, linear in the variables."""

    weights: Mapping[str, float]
    options: np.ndarray
    """What each option adds."""
    arena: float
    """What a byte of the arena adds."""
    code: float
    """What a byte of a kernel's code adds, if the kernel is used."""
    scale: float
    """The largest coefficient, about."""

    def most(self, limit: float) -> float:
        """A limit as it is kept."""
        return limit + SLACK * self.scale


class IntegerProgram(Generic[S]):
    """One variable for each option, 0 or 1; one for the arena; one for each kernel, 1 where it is used."""

    def __init__(self, options: Sequence[S], layers: int) -> None:
        self.options, self.layers = options, layers
        self.first = np.array([option.first for option in options], int)
        self.end = np.array([option.last + 1 for option in options], int)
        self.starting = [np.flatnonzero(self.first == layer) for layer in range(layers)]
        self.ending = [np.flatnonzero(self.end == layer + 1) for layer in range(layers)]
        self.arena = np.array([option.arena_bytes for option in options], float)
        # Figures near 1, so that the solver's tolerances mean something.
        self.largest = float(self.arena.max(initial=0.0)) or 1.0
        self.added = {
            name: np.array([getattr(option, attribute) for option in options], float)
            for name, attribute in (("cycles", "cycles"), ("weights", "weights_bytes"), ("ram", "ram_bytes"))
        }
        self.added["weights in RAM"] = self.added["ram"]
        self._solved: dict[tuple[frozenset[tuple[str, float]], ...], Chosen[S] | None] = {}
        self._late = {"ram", "weights in RAM"}
        """Limits that are hardly ever reached by what is best without them: tried without, until they are."""

    def solve(
        self,
        objective: Mapping[str, float],
        limits: Mapping[str, float],
        known: Chosen[S] | None = None,
    ) -> Chosen[S] | None:
        """The options that minimize the weighted figures within limits, or None: nothing is within them.

        `known` is a choice within the limits, if there is one: what cannot be better is left out.
        """
        key = frozenset(objective.items()), frozenset(limits.items())
        if key not in self._solved:
            cost = self._row(objective)
            bounds = {name: (self._row({name: 1.0}), most) for name, most in limits.items()}
            if known:
                bounds["objective"] = cost, known.figure(objective)
            self._solved[key] = self._best(cost, bounds)
        return self._solved[key]

    def _row(self, weights: Mapping[str, float]) -> _Row:
        options = np.zeros(len(self.options))
        for name in weights.keys() & self.added.keys():
            options += weights[name] * self.added[name]
        arena = weights.get("ram", 0.0) + weights.get("arena", 0.0)
        scale = max(float(np.abs(options).max(initial=0.0)), arena * self.largest) or 1.0
        return _Row(weights, options, arena, weights.get("code", 0.0), scale)

    def _best(self, cost: _Row, bounds: Mapping[str, tuple[_Row, float]]) -> Chosen[S] | None:
        kept, least_arena = self._within(bounds.values())
        if not kept.any():
            return None
        binding = [name for name, (row, limit) in bounds.items() if self._most(row, kept) > row.most(limit)]
        chosen = self._milp(
            cost, [bounds[name] for name in binding if name not in self._late], kept, least_arena
        )
        exceeded = {
            name
            for name, (row, limit) in bounds.items()
            if chosen and chosen.figure(row.weights) > row.most(limit)
        }
        if exceeded:
            self._late -= exceeded
            chosen = self._milp(cost, [bounds[name] for name in binding], kept, least_arena)
        return chosen

    # --- paths ------------------------------------------------------------------------------------------

    def _least(self, figure: np.ndarray, kept: np.ndarray, join: np.ufunc) -> np.ndarray:
        """Of each option, the least of a figure on a path over it; `join` makes the path's of its steps'."""
        before, after = np.full((2, self.layers + 1), np.inf)
        before[0] = after[-1] = 0.0
        for layer in range(self.layers):
            steps = self.ending[layer][kept[self.ending[layer]]]
            before[layer + 1] = join(before[self.first[steps]], figure[steps]).min(initial=np.inf)
        for layer in reversed(range(self.layers)):
            steps = self.starting[layer][kept[self.starting[layer]]]
            after[layer] = join(after[self.end[steps]], figure[steps]).min(initial=np.inf)
        least: np.ndarray = join(join(before[self.first], figure), after[self.end])
        return np.where(kept, least, np.inf)

    def _within(self, bounds: Collection[tuple[_Row, float]]) -> tuple[np.ndarray, float]:
        """Which options may be in a schedule within bounds, and the least arena of any."""
        kept = np.ones(len(self.options), bool)
        while True:
            count = np.count_nonzero(kept)
            arena = self._least(self.arena, kept, np.maximum)
            for row, limit in bounds:
                least = self._least(row.options, kept, np.add)
                kept &= (least + row.arena * arena if row.arena else least) <= row.most(limit)
            if np.count_nonzero(kept) == count:
                return kept, float(arena.min(initial=np.inf))

    def _most(self, row: _Row, kept: np.ndarray) -> float:
        """The most that a schedule of these options can have of a figure; code can have any."""
        if row.code:
            return np.inf
        least = self._least(-row.options, kept, np.add)
        return row.arena * float(self.arena[kept].max()) - float(least.min())

    # --- program ----------------------------------------------------------------------------------------

    def _milp(
        self, cost: _Row, limits: Sequence[tuple[_Row, float]], kept: np.ndarray, least_arena: float
    ) -> Chosen[S] | None:
        """The best schedule of the options that are kept, within limits; `least_arena` bounds it below."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        options = [option for option, keep in zip(self.options, kept, strict=True) if keep]
        counted = any(row.code for row in (cost, *(row for row, _ in limits)))
        kernels = sorted({kernel for option in options for kernel in option.kernels}) if counted else []
        code = np.array([kernel_bytes(kernel) for kernel in kernels], float)
        count, width = len(options), len(options) + 1 + len(kernels)

        def coefficients(row: _Row) -> np.ndarray:
            return np.concatenate([row.options[kept], [row.arena * self.largest], row.code * code])

        constraints = self._structure(options, kernels, np.maximum(self.arena[kept], least_arena))
        for row, limit in limits:
            constraints.append(
                LinearConstraint(
                    coefficients(row)[np.newaxis] / row.scale, -np.inf, row.most(limit) / row.scale
                )
            )
        weights = coefficients(cost)
        with _native_output_dropped():
            found = milp(
                weights / (np.abs(weights).max() or 1.0),
                constraints=constraints,
                bounds=Bounds(
                    np.array([0.0] * count + [least_arena / self.largest] + [0.0] * len(kernels)),
                    np.array([1.0] * count + [np.inf] + [1.0] * len(kernels)),
                ),
                integrality=np.array([1] * count + [0] * (width - count)),
                options={"mip_rel_gap": 0.0},
            )
        if found.x is None:
            return None
        picked = [option for option, x in zip(options, found.x[:count], strict=True) if x > 0.5]
        return Chosen(sorted(picked, key=lambda option: option.first))

    def _structure(
        self, options: Sequence[S], kernels: Sequence[str], arena: np.ndarray
    ) -> list[LinearConstraint]:
        """What makes a schedule of chosen options."""
        from scipy.optimize import LinearConstraint
        from scipy.sparse import csr_array

        place, width = len(options), len(options) + 1 + len(kernels)

        def rows(entries: Mapping[tuple[int, int], float], count: int) -> csr_array:
            places = np.array(list(entries), int).reshape(-1, 2)
            return csr_array((list(entries.values()), places.T), shape=(count, width))

        columns = {kernel: column for column, kernel in enumerate(kernels, place + 1)}
        covers: dict[tuple[int, int], float] = {}
        holds = {(layer, place): 1.0 for layer in range(self.layers)}
        # A row for each layer and each kernel that can run it.
        uses: dict[tuple[int, int], float] = {}
        numbers: dict[tuple[int, str], int] = {}
        for column, option in enumerate(options):
            share = -float(arena[column]) / self.largest
            for layer in range(option.first, option.last + 1):
                covers[layer, column] = 1.0
                holds[layer, column] = share
            # Of layers that are fused, one kernel counts at any of them.
            for layer, kernel in enumerate(option.kernels, option.first):
                if kernel in columns:
                    uses[numbers.setdefault((layer, kernel), len(numbers)), column] = -1.0
        for (_, kernel), row in numbers.items():
            uses[row, columns[kernel]] = 1.0
        found = [
            LinearConstraint(rows(covers, self.layers), 1.0, 1.0),
            # The options over one layer exclude each other: one of them is chosen, and the arena holds it.
            LinearConstraint(rows(holds, self.layers), 0.0, np.inf),
        ]
        # And the kernel that this one runs the layer by is used.
        return [*found, LinearConstraint(rows(uses, len(numbers)), 0.0, np.inf)] if numbers else found
