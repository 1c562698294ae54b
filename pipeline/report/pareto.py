"""Choices as a picture: time across, RAM upwards, both by powers of ten."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline.report import words
from pipeline.report.schema import Choice, Choices

HEIGHT = 380
MARGIN_LEFT, MARGIN_RIGHT = 8.0, 6.0
"""Percent of the width."""
MARGIN_TOP, MARGIN_BOTTOM = 14, 34
"""Pixels."""
SMALL_WEIGHTS = 1.1
"""Weights at most so many times the least count as small."""
FEWEST_TICKS = 3
COLORS = 7
"""Of style.css, part0 and on."""


@dataclass(frozen=True, slots=True)
class Point:
    """One choice, before it is placed."""

    group: str
    """What has a color of its own, such as the board."""
    name: str
    time: float
    low_time: float | None
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
    """(css, group)"""
    height: int = HEIGHT


def pareto_chart(
    points: Sequence[Point], time_words: Callable[[float], str] = words.milliseconds
) -> ParetoChart | None:
    """The picture of some choices; None where there is none. `time_words` says a time: seconds by default."""
    if not points:
        return None
    groups = list(dict.fromkeys(point.group for point in points))
    css = {group: f"part{number % COLORS}" for number, group in enumerate(groups)}
    across = _Scale(
        [point.time for point in points] + [point.low_time or point.time for point in points],
        MARGIN_LEFT,
        100 - MARGIN_RIGHT,
    )
    upwards = _Scale([float(point.ram_bytes) for point in points], HEIGHT - MARGIN_BOTTOM, MARGIN_TOP)
    dots = tuple(
        Dot(
            x=across.at(point.time),
            low_x=None if point.low_time is None else across.at(point.low_time),
            y=upwards.at(point.ram_bytes),
            css=css[point.group],
            best=point.best,
            label=f"{point.group}, {point.name}: "
            f"{time_words(point.time)}, {words.size(point.ram_bytes)} of RAM",
        )
        for point in points
    )
    return ParetoChart(
        dots,
        tuple(Tick(across.at(value), _short(time_words(value))) for value in across.decimal_ticks),
        tuple(Tick(upwards.at(value), _short(words.size(round(value)))) for value in upwards.binary_ticks),
        tuple((css[group], group) for group in groups),
    )


def choices_chart(choices: Choices) -> ParetoChart | None:
    """The schedules that a model could have, the one that it has as the large dot."""
    lightest = min((each.weights_bytes for each in choices.others), default=0)

    def point(each: Choice) -> Point:
        larger = each.weights_bytes > SMALL_WEIGHTS * lightest
        return Point(
            group="more flash for weights" if larger else "weights as small as int8",
            name=f"{words.size(each.weights_bytes)} of weights",
            time=each.cycles,
            low_time=None,
            ram_bytes=max(each.ram_bytes, 1),
            best=each == choices.chosen,
        )

    return pareto_chart([point(each) for each in (*choices.others, choices.chosen)], words.million_cycles)


class _Scale:
    """Logarithmic, from a little below the least value to a little above the largest."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low, self.high = math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def decimal_ticks(self) -> list[float]:
        """1, 2 and 5 of each power of ten that is shown; where these are few, multiples of a round step."""
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        found = self._shown(factor * 10.0**decade for decade in decades for factor in (1, 2, 5))
        if len(found) >= FEWEST_TICKS:
            return found
        widest = self._span / FEWEST_TICKS
        decade = 10.0 ** math.floor(math.log10(widest))
        return self._multiples(max(factor * decade for factor in (1, 2, 2.5, 5) if factor * decade <= widest))

    @property
    def binary_ticks(self) -> list[float]:
        """Powers of two; where these are few, multiples of one."""
        bits = math.log2(10)
        found = self._shown(
            2.0**k for k in range(math.floor(self.low * bits), math.ceil(self.high * bits) + 1)
        )
        if len(found) >= FEWEST_TICKS:
            return found
        return self._multiples(max(1.0, 2.0 ** math.floor(math.log2(self._span / FEWEST_TICKS))))

    @property
    def _span(self) -> float:
        return 10**self.high - 10**self.low

    def _multiples(self, step: float) -> list[float]:
        first, last = math.ceil(10**self.low / step), math.floor(10**self.high / step)
        return [k * step for k in range(first, last + 1)]

    def _shown(self, values: Iterable[float]) -> list[float]:
        return [value for value in values if self.low <= math.log10(value) <= self.high]


def _short(text: str) -> str:
    """8.000 KiB -> 8 KiB: a tick's number is round."""
    number, unit = text.split(" ", 1)
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"
