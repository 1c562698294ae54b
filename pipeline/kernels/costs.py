"""Cost formulas of the kernels: fitted on profiles of many shapes, kept in costs.toml with their error.

A kernel counts its work in features, such as multiply-accumulates or results; each figure of its cost is a
sum of coefficient times feature. Instructions and zero-wait cycles are the core's; stalls are a board's as
well, and only they depend on features whose names begin with `flash_`. `stm32-deploy bench --fit` writes the
file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Features = Mapping[str, float]
Coefficients = Mapping[str, float]

FLASH = "flash_"
"""Features of this beginning cost nothing where memory answers at once."""
CORE_FIGURES = ("instructions", "zero_wait_cycles")
STALLS = ("fetch_stall_cycles", "data_stall_cycles")
FROM_FLASH = "_from_flash"
"""Behind the name of a board that has RAM to run code from without waiting: its figures with all in flash."""
COSTS_FILE = Path(__file__).with_name("costs.toml")
NEGLIGIBLE = 1e-4
"""A feature that is nowhere more than this share of a layer is left out."""
DIGITS = 4
"""Significant digits of a coefficient in the file."""
GUESSED = {"instructions": 40.0, "zero_wait_cycles": 60.0}
"""Of each thing counted that no formula was fitted on: about what scaling and storing a result takes."""


@dataclass(frozen=True, slots=True)
class Band:
    """How far a formula was off layers that it was not fitted on, in percent: leave-one-out."""

    median_percent: float
    worst_percent: float


@dataclass(frozen=True, slots=True)
class BoardCost:
    """What waiting for a board's flash adds, and the error of all cycles together."""

    stalls: Mapping[str, Coefficients]
    """By figure, of STALLS."""
    band: Band


@dataclass(frozen=True, slots=True)
class Formula:
    """The cost of one kernel, compiled in one way."""

    shapes: int
    """Layers that it was fitted on."""
    code_bytes: int
    """Flash of the kernel with its constants, apart from those of a layer, and from what it shares. Layers
    want some routines each: it is halfway between what one layer takes at most and what all take together."""
    features: tuple[str, ...]
    """What those layers were counted by; of a layer with others it says nothing."""
    core: Mapping[str, Coefficients]
    """By figure, of CORE_FIGURES."""
    bands: Mapping[str, Band]
    """By the same figure."""
    boards: Mapping[str, BoardCost] = field(default_factory=dict)
    """Code that asks for it in RAM, where the board has some to run it from; in flash under FROM_FLASH."""
    shared_code: Mapping[str, int] = field(default_factory=dict)
    """Flash of files that other kernels use as well, by `<library>/<file>`; some are of such a kernel."""

    def counts(self, features: Features) -> bool:
        """Whether all of a layer's work is of kinds that the formula was fitted on."""
        return {name for name, count in features.items() if count} <= set(self.features)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one layer is predicted to cost on one board."""

    instructions: float
    zero_wait_cycles: float
    fetch_stall_cycles: float
    data_stall_cycles: float
    band: Band

    @property
    def cycles(self) -> float:
        return self.zero_wait_cycles + self.fetch_stall_cycles + self.data_stall_cycles


Table = Mapping[str, Mapping[str, Formula]]
"""Formulas by the compiler's optimization level, then by `<library>/<kernel>`."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One profiled layer: what its work is counted by, and what it cost."""

    name: str
    features: Features
    routines: Mapping[str, int]
    """Flash of what the layer takes of the kernel, by the routine's name."""
    core: Mapping[str, float]
    """By figure, of CORE_FIGURES."""
    stalls: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By board as Formula.boards, then by figure, of STALLS."""
    shared_code: Mapping[str, int] = field(default_factory=dict)
    """As of Formula."""
    layer: str = ""
    """Which layer was run in this way; empty: one of its own."""

    @property
    def of(self) -> str:
        """The layer, run in this way or another."""
        return self.layer or self.name

    def cycles(self, board: str) -> float:
        return self.core["zero_wait_cycles"] + sum(self.stalls[board].values())


# --- predicting -------------------------------------------------------------------------------------


def forecast(
    kernel: str,
    features: Features,
    board: str,
    level: str = "-O2",
    table: Table | None = None,
    *,
    from_ram: bool = True,
) -> Forecast | None:
    """What a layer is predicted to cost on a board; None where this was not fitted.

    `kernel` is `<library>/<kernel>`, `level` how it is compiled; `from_ram`: code that asks for RAM is there,
    if the board has some that is fit.
    """
    formula = (costs_table() if table is None else table).get(level, {}).get(kernel)
    if formula is None or board not in formula.boards or not formula.counts(features):
        return None
    # Code that does not ask for RAM is in flash either way, and was fitted once.
    place = board if from_ram or board + FROM_FLASH not in formula.boards else board + FROM_FLASH
    on_board = formula.boards[place]
    figures = {name: total(formula.core[name], features) for name in CORE_FIGURES}
    figures |= {name: total(on_board.stalls[name], features) for name in STALLS}
    return Forecast(**figures, band=on_board.band)


def core_cost(kernel: str, features: Features, level: str = "-O2") -> tuple[float, float]:
    """Instructions, and cycles with memory that answers at once; of what was not fitted, a guess."""
    formula = costs_table().get(level, {}).get(kernel)
    known = formula.features if formula else ()
    new = sum(count for name, count in features.items() if name not in known and not name.startswith(FLASH))
    instructions, cycles = (
        (total(formula.core[name], features) if formula else 0.0) + GUESSED[name] * new
        for name in CORE_FIGURES
    )
    return instructions, cycles


def kernel_code(kernel: str, level: str = "-O2") -> Mapping[str, int] | None:
    """Flash of a kernel with its constants, and of what it shares, by name; None: it was not profiled."""
    formula = costs_table().get(level, {}).get(kernel)
    return {kernel: formula.code_bytes, **formula.shared_code} if formula else None


def total(coefficients: Coefficients, features: Features) -> float:
    """The sum of coefficient times feature; a feature that the layer has not counts 0."""
    return sum(value * features.get(name, 0.0) for name, value in coefficients.items())


# --- fitting ----------------------------------------------------------------------------------------


def fit_formula(observations: Sequence[Observation]) -> Formula:
    """The formula of one kernel from its profiled layers, with its error in leave-one-out over them.

    A layer that was run in several ways is left out with all of them.
    """
    coefficients = _fit(observations)
    layers = {one.of for one in observations}
    without = {layer: _fit([one for one in observations if one.of != layer]) for layer in layers}

    def band(figures: Sequence[str], actual: Sequence[float]) -> Band:
        errors = [
            100 * abs(sum(total(without[one.of][name], one.features) for name in figures) / counted - 1)
            for one, counted in zip(observations, actual, strict=True)
        ]
        return Band(float(np.median(errors)), max(errors))

    boards = {}
    for board in sorted({board for one in observations for board in one.stalls}):
        names = {stall: f"{board}.{stall}" for stall in STALLS}
        boards[board] = BoardCost(
            {stall: coefficients[name] for stall, name in names.items()},
            band(("zero_wait_cycles", *names.values()), [one.cycles(board) for one in observations]),
        )
    return Formula(
        shapes=len(layers),
        # A layer names few of a kernel's routines, and the layers of an image mostly the same ones.
        code_bytes=max(sum(one.routines.values()) for one in observations),
        shared_code=_largest([one.shared_code for one in observations]),
        features=tuple(sorted({name for one in observations for name, n in one.features.items() if n})),
        core={name: coefficients[name] for name in CORE_FIGURES},
        bands={name: band((name,), [one.core[name] for one in observations]) for name in CORE_FIGURES},
        boards=boards,
    )


def _largest(sizes: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Each name's largest size."""
    names = sorted({name for one in sizes for name in one})
    return {name: max(one.get(name, 0) for one in sizes) for name in names}


def _fit(observations: Sequence[Observation]) -> dict[str, Coefficients]:
    """Coefficients by figure; a board's stalls under `<board>.<figure>`.

    What is kept small is the relative error: of a core's figure to itself, of stalls to all cycles.
    """
    from scipy.optimize import nnls

    every = sorted({name for one in observations for name in one.features})
    of_core = [name for name in every if not name.startswith(FLASH)]

    def solve(names: Sequence[str], actual: Sequence[float], whole: Sequence[float]) -> Coefficients:
        work = np.array([[one.features.get(name, 0.0) for name in names] for one in observations])
        weights = 1 / np.array(whole, float)
        relative = work * weights[:, np.newaxis]
        solved, _ = nnls(relative, np.array(actual) * weights)
        shares = (relative * solved).max(axis=0)
        return {
            name: _rounded(value)
            for name, value, share in zip(names, solved, shares, strict=True)
            if share > NEGLIGIBLE
        }

    found = {}
    for name in CORE_FIGURES:
        counted = [one.core[name] for one in observations]
        found[name] = solve(of_core, counted, counted)
    for board in observations[0].stalls:
        cycles = [one.cycles(board) for one in observations]
        for stall in STALLS:
            waited = [one.stalls[board][stall] for one in observations]
            found[f"{board}.{stall}"] = solve(every, waited, cycles)
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


# --- the file ---------------------------------------------------------------------------------------


@cache
def costs_table() -> Table:
    """The formulas that the project ships."""
    return read_costs(COSTS_FILE.read_text(encoding="utf-8"))


def read_costs(text: str) -> Table:
    """The formulas of a file as `costs_text` writes it."""
    return {
        level: {kernel: _read_formula(entry) for kernel, entry in kernels.items()}
        for level, kernels in tomllib.loads(text)["level"].items()
    }


def compiler_of(text: str) -> str:
    """The compiler whose code the formulas of such a file are of."""
    return str(tomllib.loads(text)["compiler"])


def _read_formula(entry: Mapping[str, Any]) -> Formula:
    return Formula(
        shapes=entry["shapes"],
        code_bytes=entry["code_bytes"],
        shared_code=entry.get("shared_code", {}),
        features=tuple(entry["features"]),
        core={name: entry[name] for name in CORE_FIGURES},
        bands={name: Band(*entry["error_percent"][name]) for name in CORE_FIGURES},
        boards={
            board: BoardCost({name: found[name] for name in STALLS}, Band(*found["error_percent"]))
            for board, found in entry.get("board", {}).items()
        },
    )


def costs_text(table: Table, compiler: str) -> str:
    """The file's text."""
    lines = [
        "# Cost formulas of the kernels. Written by `stm32-deploy bench --fit`; docs/timing.md says how.",
        "# error_percent: median and worst in leave-one-out over the shapes; of a board, of all its cycles.",
        f'compiler = "{compiler}"',
    ]
    for level, kernels in table.items():
        for kernel, formula in sorted(kernels.items()):
            head = f'level."{level}"."{kernel}"'
            bands = {name: [band.median_percent, band.worst_percent] for name, band in formula.bands.items()}
            lines += ["", f"[{head}]", f"shapes = {formula.shapes}", f"code_bytes = {formula.code_bytes}"]
            if formula.shared_code:
                shared = {f'"{name}"': count for name, count in formula.shared_code.items()}
                lines += [f"shared_code = {_inline(shared)}"]
            lines += ["features = [{}]".format(", ".join(f'"{name}"' for name in formula.features))]
            lines += [f"{name} = {_inline(formula.core[name])}" for name in CORE_FIGURES]
            lines += [f"error_percent = {_inline(bands)}"]
            for board, cost in formula.boards.items():
                band = [cost.band.median_percent, cost.band.worst_percent]
                lines += [f"[{head}.board.{board}]"]
                lines += [f"{name} = {_inline(cost.stalls[name])}" for name in STALLS]
                lines += [f"error_percent = {_value(band)}"]
    return "\n".join(lines) + "\n"


def _inline(values: Mapping[str, float | list[float]]) -> str:
    listed = ", ".join(f"{name} = {_value(value)}" for name, value in values.items())
    return f"{{ {listed} }}" if listed else "{}"


def _value(value: float | list[float]) -> str:
    if isinstance(value, list):
        return f"[{', '.join(f'{each:.1f}' for each in value)}]"
    return f"{value:.{DIGITS}g}"
