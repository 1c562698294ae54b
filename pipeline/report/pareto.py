"""Choices of board and aim as a picture: time across, RAM upwards, both by powers of ten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report import words

HEIGHT = 380
MARGIN_LEFT, MARGIN_RIGHT = 8.0, 6.0
"""Percent of the width."""
MARGIN_TOP, MARGIN_BOTTOM = 14, 34
"""Pixels."""
COLORS = 7
"""Of style.css, part0 and on."""


@dataclass(frozen=True, slots=True)
class Point:
    """One choice, before it is placed."""

    board: str
    aim: str
    seconds: float
    low_seconds: float | None
    """Where a span is known rather than a point, its other end."""
    ram_bytes: int
    best: bool


@dataclass(frozen=True, slots=True)
class Dot:
    """A choice in the picture: percent across, pixels down."""

    x: float
    low_x: float | None
    y: float
    css: str
    best: bool
    label: str


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class ParetoChart:
    dots: tuple[Dot, ...]
    across: tuple[Tick, ...]
    upwards: tuple[Tick, ...]
    keys: tuple[tuple[str, str], ...]
    """(css, board)"""
    height: int = HEIGHT


def pareto_chart(points: Sequence[Point]) -> ParetoChart | None:
    """The picture of some choices; None where there is none."""
    if not points:
        return None
    boards = list(dict.fromkeys(point.board for point in points))
    css = {board: f"part{number % COLORS}" for number, board in enumerate(boards)}
    across = _Scale(
        [point.seconds for point in points] + [point.low_seconds or point.seconds for point in points],
        MARGIN_LEFT,
        100 - MARGIN_RIGHT,
    )
    upwards = _Scale([float(point.ram_bytes) for point in points], HEIGHT - MARGIN_BOTTOM, MARGIN_TOP)
    dots = tuple(
        Dot(
            x=across.at(point.seconds),
            low_x=None if point.low_seconds is None else across.at(point.low_seconds),
            y=upwards.at(point.ram_bytes),
            css=css[point.board],
            best=point.best,
            label=f"{point.board}, {point.aim}: {words.milliseconds(point.seconds)}, "
            f"{words.size(point.ram_bytes)} of RAM",
        )
        for point in points
    )
    return ParetoChart(
        dots,
        tuple(Tick(across.at(value), words.milliseconds(value)) for value in across.ticks),
        tuple(Tick(upwards.at(value), words.size(round(value))) for value in upwards.ticks),
        tuple((css[board], board) for board in boards),
    )


class _Scale:
    """Logarithmic, from a little below the least value to a little above the largest."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low, self.high = math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """1, 2 and 5 of each power of ten that is shown."""
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        values = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
        return [value for value in values if self.low <= math.log10(value) <= self.high]
