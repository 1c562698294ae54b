"""A flame graph of an estimated inference: who calls whom, as wide as the cycles spent there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.report.write import page

Stacks = Sequence[tuple[tuple[str, ...], int]]
"""(functions, the caller first; cycles of the last one itself)"""

WIDTH = 1200
ROW = 18
HEAD = 46
NARROWEST = 0.3
"""Pixels: what is narrower is not drawn."""
LETTER = 6.6
"""Pixels of a letter, for names that are cut to fit."""
SHADES = 5


@dataclass(frozen=True, slots=True)
class Box:
    """One function beneath its callers."""

    x: float
    y: int
    width: float
    shade: int
    text: str
    title: str


def folded(stacks: Stacks) -> str:
    """A line a stack, as flamegraph.pl and speedscope read it; no name has a semicolon."""
    return "".join(f"{';'.join(part.replace(';', ',') for part in path)} {n}\n" for path, n in stacks)


def flame_svg(stacks: Stacks, title: str, note: str) -> str:
    """The picture as one file that needs no other; callers stand below, the widest first."""
    boxes = flame_boxes(stacks)
    height = HEAD + ROW * (1 + max((len(path) for path, _ in stacks), default=0))
    return page("flame.svg.j2", boxes=boxes, title=title, note=note, width=WIDTH, height=height, row=ROW)


def flame_boxes(stacks: Stacks) -> tuple[Box, ...]:
    """Where each function stands."""
    totals: dict[tuple[str, ...], int] = {}
    for path, cycles in stacks:
        for depth in range(1, len(path) + 1):
            totals[path[:depth]] = totals.get(path[:depth], 0) + cycles
    whole = sum(cycles for _, cycles in stacks) or 1
    deepest = max((len(path) for path, _ in stacks), default=0)
    starts = _starts(totals)
    boxes = []
    for path, cycles in totals.items():
        width = WIDTH * cycles / whole
        if width < NARROWEST:
            continue
        letters = int((width - 6) / LETTER)
        name = path[-1] if len(path[-1]) <= letters else path[-1][: max(letters - 1, 0)] + "…"
        boxes.append(
            Box(
                x=WIDTH * starts[path] / whole,
                y=HEAD + ROW * (deepest - len(path)),
                width=width,
                shade=sum(map(ord, path[-1])) % SHADES,
                text=name if letters >= 3 else "",
                title=f"{path[-1]}: {cycles:,} cycles, {100 * cycles / whole:.2f} %",
            )
        )
    return tuple(boxes)


def _starts(totals: Mapping[tuple[str, ...], int]) -> dict[tuple[str, ...], int]:
    """Cycles to the left of each: those of its callers' earlier callees."""
    starts: dict[tuple[str, ...], int] = {}
    used: dict[tuple[str, ...], int] = {}
    for path in sorted(totals, key=lambda path: (len(path), path[:-1], -totals[path], path[-1])):
        parent = path[:-1]
        starts[path] = starts.get(parent, 0) + used.get(parent, 0)
        used[parent] = used.get(parent, 0) + totals[path]
    return starts
