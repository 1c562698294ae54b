"""What conv_2d_gemm does for a layer, counted as its code does it, and what each of these things costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.kernels.base import Cost
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer

PIXELS = 4
"""Outputs of one block."""
UNROLLED = {"int8": 8, "int16": 16}
"""Steps of one round of the loops, by the format of the weights."""

# Instructions, and cycles where memory answers at once, of each thing that is counted: fitted on layers that
# were run (arm-none-eabi-gcc 12.2, -O2).
COSTS: Mapping[str, tuple[float, float]] = {
    "blocks": (153.1, 281.8),
    "border_rows": (26.63, 29.35),
    "border_words": (9.335, 13.81),
    "borders": (112.3, 176.8),
    "calls": (75.47, 127.5),
    "four_bytes": (10.65, 15.59),
    "four_runs": (10.99, 21.46),
    "four_words": (27.66, 29.86),
    "fours": (93.51, 121.3),
    "fours_with_rest": (68.17, 114.9),
    "odd_blocks": (48.31, 101.1),
    "rounds": (0.7999, 3.116),
    "steps_int16": (11.16, 17.26),
    "steps_int8": (14.28, 17.37),
    "stored": (80.16, 97.23),
    "stored_half_up": (70.49, 86.95),
    "stored_largest": (77.78, 91.92),
    "window_bytes": (5.881, 11.53),
    "window_four_words": (25.43, 27.19),
    "window_runs": (18.07, 29.28),
    "window_words": (7.758, 9.867),
    "windows": (59.75, 119.7),
    "windows_with_rest": (27.64, 59.16),
}


@dataclass(frozen=True, slots=True)
class Work:
    """A layer, made in calls of so many rows from whole maps."""

    calls: tuple[int, ...]
    blocks: int
    """Of four outputs, those that are made twice or for nothing among them."""
    pairs: int
    """Of output channels."""
    steps: int
    """Of two taps."""
    counts: Mapping[str, float]
    """How often each thing is done, whatever the format of the weights."""

    def features(self, wide: bool) -> dict[str, float]:
        """How often each thing of COSTS is done."""
        kind, multiplied = "int16" if wide else "int8", self.blocks * self.pairs
        return {
            **self.counts,
            f"steps_{kind}": multiplied * self.steps,
            "rounds": multiplied * math.ceil((self.steps - 1) / UNROLLED[kind]),
        }

    def cost(self, wide: bool) -> Cost:
        """The sum over all features."""
        features = self.features(wide)
        instructions, cycles = (
            sum(count * COSTS[name][figure] for name, count in features.items()) for figure in (0, 1)
        )
        return Cost(instructions, cycles)


def runs_of(p: Parameters) -> tuple[int, int]:
    """How many runs of contiguous bytes lie beneath a window, and how long they are."""
    height, width, depth = (integer(p, f) for f in ("kernel_height", "kernel_width", "input_channels"))
    return (height * width, depth) if integer(p, "dilation_x") > 1 else (height, width * depth)


def rows_of_calls(p: Parameters, height: int) -> tuple[int, ...]:
    """Rows that may be worth making at once: as many as end with a full block, and fewer, for small rings."""
    if integer(p, "pool_height") * integer(p, "pool_width") > 1:
        return (1,)
    full = min(PIXELS // math.gcd(integer(p, "output_width"), PIXELS), height)
    return tuple(sorted({1, min(2, full), full}, reverse=True))


def count_work(p: Parameters, height: int, half_up: bool, rows: int) -> Work:
    """Of a layer with so many output rows, in calls of `rows`."""
    runs, run_bytes = runs_of(p)
    channels, width = integer(p, "output_channels"), integer(p, "output_width")
    pairs, steps = math.ceil(channels / 2), math.ceil(runs * run_bytes / 4) * 2
    pool = integer(p, "pool_height"), integer(p, "pool_width")
    pooled = math.prod(pool) > 1
    calls = (rows,) * (height // rows) + (height % rows,) * (height % rows > 0)
    beneath = Beneath.of(p, height * pool[0], width * pool[1])
    places = list(_pooled_blocks(height, width, pool) if pooled else _blocks(calls, width))
    store = "stored_largest" if pooled else "stored_half_up" if half_up else "stored"
    counts = {
        "calls": len(calls),
        "blocks": len(places),
        "odd_blocks": len(places) * (channels % 2),
        store: len(places) * pairs,
        **beneath.counts(places),
    }
    return Work(calls, len(places), pairs, steps, counts)


Place = tuple[int, int]


def _blocks(calls: Sequence[int], width: int) -> Iterator[list[Place]]:
    """The outputs of each block, row and column: along the rows of a call, the last one repeated."""
    first = 0
    for rows in calls:
        last = rows * width - 1
        for start in range(0, rows * width, PIXELS):
            outputs = (min(start + k, last) for k in range(PIXELS))
            yield [(first + i // width, i % width) for i in outputs]
        first += rows


def _pooled_blocks(height: int, width: int, pool: Place) -> Iterator[list[Place]]:
    """The outputs of each block: those of one pooling window, the last one repeated."""
    last = math.prod(pool) - 1
    for row, column in np.ndindex(height, width):
        for start in range(0, last + 1, PIXELS):
            inside = (divmod(min(start + k, last), pool[1]) for k in range(PIXELS))
            yield [(row * pool[0] + y, column * pool[1] + x) for y, x in inside]


@dataclass(frozen=True, slots=True, eq=False)
class Beneath:
    """What lies beneath the windows of all outputs of the convolution."""

    runs: int
    run_bytes: int
    taps: tuple[np.ndarray, np.ndarray]
    """Of each row of windows and of each column, the taps that lie inside the input."""
    window: Place
    channels: int

    @classmethod
    def of(cls, p: Parameters, height: int, width: int) -> Beneath:
        window = integer(p, "kernel_height"), integer(p, "kernel_width")
        taps = _taps_inside(p, "height", "y", "top", height), _taps_inside(p, "width", "x", "left", width)
        return cls(*runs_of(p), taps, window, integer(p, "input_channels"))

    def counts(self, blocks: Sequence[Sequence[Place]]) -> dict[str, float]:
        """How the windows of all blocks are laid: four at once, or one by one, or put together first."""
        together = [block for block in blocks if self._are_neighbours(block)]
        one_by_one = [place for block in blocks if not self._are_neighbours(block) for place in block]
        border = [place for place in one_by_one if not self._is_inside(place)]
        words, left = divmod(self.run_bytes, 4)
        rest = math.ceil(self.runs * left / 4)
        fours, singles = len(together), len(one_by_one)
        return {
            "fours": fours,
            "fours_with_rest": fours * (left > 0),
            "four_runs": fours * self.runs,
            "four_words": fours * (self.runs * words + rest),
            "four_bytes": fours * self.runs * left,
            "windows": singles,
            "windows_with_rest": singles * (left > 0),
            "window_runs": singles * self.runs,
            "window_four_words": singles * (self.runs * (words // 4) + rest // 4),
            "window_words": singles * (self.runs * (words % 4) + rest % 4),
            "window_bytes": singles * self.runs * left,
            **self._border_counts(border),
        }

    def _is_inside(self, place: Place) -> bool:
        return all(self.taps[axis][place[axis]] == self.window[axis] for axis in (0, 1))

    def _are_neighbours(self, block: Sequence[Place]) -> bool:
        """Whether the block is laid at once: neighbours in a row, all inside."""
        (row, column), (last_row, last_column) = block[0], block[-1]
        return (
            self.runs == self.window[0]
            and (last_row, last_column) == (row, column + PIXELS - 1)
            and self._is_inside(block[0])
            and self._is_inside(block[-1])
        )

    def _border_counts(self, border: Sequence[Place]) -> dict[str, float]:
        """Windows that hang over the border, and the pieces that are copied."""
        dilated = self.runs > self.window[0]
        rows = np.array([self.taps[0][row] for row, _ in border], np.int64)
        columns = np.array([self.taps[1][column] for _, column in border], np.int64)
        pieces = rows * (columns if dilated else np.minimum(columns, 1))
        piece = np.full_like(columns, self.channels) if dilated else columns * self.channels
        return {
            "borders": len(border),
            "border_rows": int(rows.sum()),
            "border_words": int((pieces * (piece // 4)).sum()),
        }


def _taps_inside(p: Parameters, side: str, axis: str, before: str, outputs: int) -> np.ndarray:
    """How many taps of each window along one axis lie inside the input."""
    first = np.arange(outputs) * integer(p, f"stride_{axis}") - integer(p, f"pad_{before}")
    at = first[:, np.newaxis] + np.arange(integer(p, f"kernel_{side}")) * integer(p, f"dilation_{axis}")
    inside: np.ndarray = ((at >= 0) & (at < integer(p, f"input_{side}"))).sum(axis=1)
    return inside
