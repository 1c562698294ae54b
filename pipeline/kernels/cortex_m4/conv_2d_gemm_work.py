"""What conv_2d_gemm does for a layer, counted as its code does it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer

PIXELS, FEW_PIXELS = 4, 2
"""Outputs of one block, and of one at the end of a call that has no more left."""
WIDENED_ROWS = 4
"""Output rows of a call that share the rows widened for them."""
SIDES = (("height", "y"), ("width", "x"))


class Behind(Enum):
    """What stands once behind all records, and not in each of them."""

    NOTHING = "nothing"
    SHIFTS = "shifts"
    """Of all channels, which have one floor."""
    SCALE = "scale"
    """Multiplier and shift of all channels, which have one floor as well."""
    SCALES_APART = "scales apart"
    """Multipliers and shifts are in a table elsewhere, which several sets of records share; likewise."""


class Format(Enum):
    """How the weights of a pair of channels lie, with what their sums are rescaled by."""

    INT8 = "int8"
    INT16 = "int16"
    SCALED = "int16, scaled"
    """By a power of two for each channel, so that all shifts are the same."""
    SATURATED = "int16, saturated"
    """Likewise, where results are cut at the ends of int8 only."""

    @property
    def loop(self) -> str:
        return "int8" if self is Format.INT8 else "int16"

    @property
    def is_scaled(self) -> bool:
        return self in {Format.SCALED, Format.SATURATED}

    @property
    def step_bytes(self) -> int:
        """Of the weights of two taps and a pair of channels."""
        return 4 if self is Format.INT8 else 8

    def pair_bytes(self, steps: int, behind: Behind) -> int:
        """Size of a record: starting values, weights, then what does not stand behind all: multipliers, and
        shifts and floors, or addends and floors, or addends."""
        end = {Behind.NOTHING: 12, Behind.SHIFTS: 8, Behind.SCALE: 0, Behind.SCALES_APART: 0}[behind]
        end = {Format.SCALED: 20, Format.SATURATED: 16}.get(self, end)
        return 8 + self.step_bytes * steps + end


UNROLLED = {"int8": 8, "int16": 16, "int8_two": 8, "int16_two": 4}
"""Steps of one round of the loops."""


@dataclass(frozen=True, slots=True)
class Work:
    """A layer, made in calls of so many rows from whole maps."""

    calls: tuple[int, ...]
    blocks: int
    """Of four outputs, those that are made twice among them; or of two."""
    twos: int
    """Of these, those of two."""
    pairs: int
    """Of output channels."""
    steps: int
    """Of two taps."""
    counts: Mapping[str, float]
    """How often each thing is done, whatever the format of the weights."""
    store: str
    """What becomes of the sums, where weights are not scaled."""
    widened: bool = False
    """Whether rows are widened before windows are laid."""
    pointwise: bool = False
    """Whether windows are single pixels, each at its own place."""

    @property
    def way(self) -> str:
        """How windows are laid, as the C code calls it."""
        if self.store == "stored_largest":
            return "pooled_rows"
        return "widened_rows" if self.widened else "pixels" if self.pointwise else "rows"

    def behind(self, form: Format) -> Behind:
        """What the stores find behind all records."""
        if form.is_scaled:
            return Behind.NOTHING
        ends = {"_one_floor": Behind.SHIFTS, "_one_scale": Behind.SCALE, "_apart": Behind.SCALES_APART}
        return next((behind for end, behind in ends.items() if self.store.endswith(end)), Behind.NOTHING)

    def pair_bytes(self, form: Format) -> int:
        """Of a record."""
        return form.pair_bytes(self.steps, self.behind(form))

    def record_bytes(self, form: Format) -> int:
        """Of all records, and of what stands behind them."""
        behind = {Behind.SHIFTS: math.ceil(self.pairs / 2) * 4, Behind.SCALE: 8}
        return self.pairs * self.pair_bytes(form) + behind.get(self.behind(form), 0)

    def store_of(self, form: Format) -> str:
        """What the stores of sums are counted as."""
        stores = {Format.SCALED: "stored_scaled", Format.SATURATED: "stored_saturated"}
        return stores.get(form, self.store)

    def features(self, form: Format) -> dict[str, float]:
        """How often each thing is done."""
        loops = {form.loop: self.blocks - self.twos, f"{form.loop}_two": self.twos}
        rounds = {loop: math.ceil((self.steps - 1) / unrolled) for loop, unrolled in UNROLLED.items()}
        return {
            **self.counts,
            self.store_of(form): self.blocks * self.pairs,
            **{f"steps_{loop}": blocks * self.pairs * self.steps for loop, blocks in loops.items()},
            "rounds": sum(blocks * self.pairs * rounds[loop] for loop, blocks in loops.items()),
        }

    def from_flash(self, form: Format) -> dict[str, float]:
        """How often loop and store run in turns that are more than the 1 KB of an STM32L4's or F4's cache."""
        large = form is Format.INT16 and self.store != "stored_largest" and self.steps >= UNROLLED[form.loop]
        return {"flash_overflows": self.blocks * self.pairs * large}


def runs_of(p: Parameters) -> tuple[int, int]:
    """How many runs of contiguous bytes lie beneath a window, and how long they are."""
    height, width, depth = (integer(p, f) for f in ("kernel_height", "kernel_width", "input_channels"))
    return (height * width, depth) if integer(p, "dilation_x") > 1 else (height, width * depth)


def rows_of_calls(p: Parameters, height: int, widened: bool) -> tuple[int, ...]:
    """Rows that may be worth making at once: as many as end with a full block, and fewer, for small rings.

    Where rows are widened, so many that most are widened once.
    """
    if integer(p, "pool_height") * integer(p, "pool_width") > 1:
        return (1,)
    full = min(PIXELS // math.gcd(integer(p, "output_width"), PIXELS), height)
    more = {min(WIDENED_ROWS, height)} if widened else set()
    return tuple(sorted({1, min(2, full), full} | more, reverse=True))


def can_widen_rows(p: Parameters) -> bool:
    """Whether rows may be widened once for all windows over them, and windows overlap, so that it could pay.

    Four outputs that follow each other are then in two rows at most.
    """
    overlaps = any(integer(p, f"kernel_{side}") > integer(p, f"stride_{axis}") for side, axis in SIDES)
    plain = all(integer(p, name) == 1 for name in ("dilation_y", "dilation_x", "pool_height", "pool_width"))
    return overlaps and plain and integer(p, "output_width") >= PIXELS - 1


@dataclass(frozen=True, slots=True)
class WidenedRows:
    """The ring of widened rows that a call works on."""

    slots: int
    slot_bytes: int

    @property
    def ring_bytes(self) -> int:
        return self.slots * self.slot_bytes

    @classmethod
    def of(cls, p: Parameters) -> WidenedRows:
        channels, pad = integer(p, "input_channels"), integer(p, "pad_left")
        before = pad * channels + pad * channels % 2
        columns = (integer(p, "output_width") - 1) * integer(p, "stride_x") + integer(p, "kernel_width") - pad
        values = before + max(columns, integer(p, "input_width")) * channels
        return cls(integer(p, "kernel_height") + integer(p, "stride_y"), math.ceil(values / 2) * 4)


def count_work(
    p: Parameters,
    height: int,
    half_up: bool,
    one_floor: bool,
    rows: int,
    widened: bool,
    ceilings: bool = False,
) -> Work:
    """Of a layer with so many output rows, in calls of `rows`. `ceilings`: not all channels have the same."""
    runs, run_bytes = runs_of(p)
    channels, width = integer(p, "output_channels"), integer(p, "output_width")
    pairs, steps = math.ceil(channels / 2), math.ceil(runs * run_bytes / 4) * 2
    if widened:
        steps = runs * (run_bytes // 2) + math.ceil(runs * (run_bytes % 2) / 2)
    pool = integer(p, "pool_height"), integer(p, "pool_width")
    pooled = math.prod(pool) > 1
    calls = (rows,) * (height // rows) + (height % rows,) * (height % rows > 0)
    places = list(_pooled_blocks(height, width, pool) if pooled else _blocks(calls, width))
    pointwise = _is_pointwise(p)
    if widened:
        counts = {"blocks": len(places), **_widened_counts(p, calls, len(places))}
    elif pointwise:
        counts = _pixel_counts(integer(p, "input_channels"), places)
    else:
        beneath = Beneath.of(p, height * pool[0], width * pool[1])
        counts = {"blocks": len(places), **beneath.counts(places)}
    store = "stored_largest" if pooled else "stored" + "_half_up" * half_up + "_one_floor" * one_floor
    counts |= {
        "calls": len(calls),
        "odd_blocks": len(places) * (channels % 2),
        "ceilings": len(places) * pairs * ceilings,
    }
    twos = sum(len(place) < PIXELS for place in places)
    return Work(calls, len(places), twos, pairs, steps, counts, store, widened, pointwise)


def _pixel_counts(depth: int, blocks: Sequence[Sequence[Place]]) -> dict[str, float]:
    """How windows of single pixels are laid: four at once, or those of a block that has less."""
    full = sum(len(set(block)) == PIXELS for block in blocks)
    singles = sum(len(block) for block in blocks if len(set(block)) < PIXELS)
    words, left = divmod(depth, 4)
    rest = math.ceil(left / 4)
    return {
        "pixel_blocks": full,
        "pixel_ends": len(blocks) - full,
        "pixels": singles,
        "fours_with_rest": full * (left > 0),
        "four_words": full * (words + rest),
        "four_bytes": full * left,
        **_window_counts(singles, 1, words, left),
    }


def _window_counts(windows: int, runs: int, words: int, left: int) -> dict[str, float]:
    """Of windows that are laid one by one, each of so many runs of words and bytes left over."""
    rest = math.ceil(runs * left / 4)
    return {
        "windows_with_rest": windows * (left > 0),
        "window_four_words": windows * (runs * (words // 4) + rest // 4),
        "window_words": windows * (runs * (words % 4) + rest % 4),
        "window_bytes": windows * runs * left,
    }


def as_convolution(rows: int, depth: int, columns: int) -> Parameters:
    """A matrix (rows, depth) times one (depth, columns): windows of one pixel over a map of one row."""
    ones = "kernel_height kernel_width stride_y stride_x dilation_y dilation_x pool_height pool_width".split()
    return {
        **dict.fromkeys(ones, 1),
        **dict.fromkeys(("pad_top", "pad_left"), 0),
        "input_height": 1,
        "input_width": rows,
        "input_channels": depth,
        "output_width": rows,
        "output_channels": columns,
    }


def count_matrices(rows: int, depth: int, columns: int) -> Work:
    """The work of such a product in one call."""
    p = as_convolution(rows, depth, columns)
    return count_work(p, 1, half_up=True, one_floor=True, rows=1, widened=False)


def _widened_counts(p: Parameters, calls: Sequence[int], blocks: int) -> dict[str, float]:
    """Rows that are widened, and windows that are collected from them."""
    taps, stride, pad = (integer(p, name) for name in ("kernel_height", "stride_y", "pad_top"))
    run = integer(p, "kernel_width") * integer(p, "input_channels")
    ring = WidenedRows.of(p)
    inside = outside = first = 0
    for rows in calls:
        beneath = range(first * stride - pad, (first + rows - 1) * stride + taps - pad)
        inside += sum(0 <= row < integer(p, "input_height") for row in beneath)
        outside += sum(not 0 <= row < integer(p, "input_height") for row in beneath)
        first += rows
    row_bytes = integer(p, "input_width") * integer(p, "input_channels")
    odd = integer(p, "stride_x") * integer(p, "input_channels") % 2
    return {
        "widened_rows": inside,
        "widened_words": inside * (row_bytes // 4),
        "widened_bytes": inside * (row_bytes % 4),
        "padding_words": (inside + outside) * ring.slot_bytes // 4 - inside * row_bytes // 2,
        "padding_rows": outside,
        "collected_rows": blocks * taps,
        "collected_words": blocks * taps * (run // 2),
        "collected_odd_words": blocks * taps * (run // 2) * odd,
        "collected_rest": blocks * taps * (run % 2),
    }


Place = tuple[int, int]


def _blocks(calls: Sequence[int], width: int) -> Iterator[list[Place]]:
    """The outputs of each block, row and column: along the rows of a call, the last one repeated.

    No more than two that are left make a block of two.
    """
    first = 0
    for rows in calls:
        last = rows * width - 1
        for start in range(0, rows * width, PIXELS):
            made = PIXELS if last - start >= FEW_PIXELS else FEW_PIXELS
            outputs = (min(start + k, last) for k in range(made))
            yield [(first + i // width, i % width) for i in outputs]
        first += rows


def _pooled_blocks(height: int, width: int, pool: Place) -> Iterator[list[Place]]:
    """The outputs of each block: those of one pooling window, the last one repeated; or two, as above."""
    last = math.prod(pool) - 1
    for row, column in np.ndindex(height, width):
        for start in range(0, last + 1, PIXELS):
            made = PIXELS if last - start >= FEW_PIXELS else FEW_PIXELS
            inside = (divmod(min(start + k, last), pool[1]) for k in range(made))
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
            "window_runs": singles * self.runs,
            **_window_counts(singles, self.runs, words, left),
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


def _is_pointwise(p: Parameters) -> bool:
    """Whether each output is made of the pixel at its own place."""
    ones = "kernel_height kernel_width stride_y stride_x pool_height pool_width".split()
    plain = all(integer(p, name) == 1 for name in ones) and not integer(p, "pad_top") + integer(p, "pad_left")
    return plain and integer(p, "output_width") == integer(p, "input_width")


def _taps_inside(p: Parameters, side: str, axis: str, before: str, outputs: int) -> np.ndarray:
    """How many taps of each window along one axis lie inside the input."""
    first = np.arange(outputs) * integer(p, f"stride_{axis}") - integer(p, f"pad_{before}")
    at = first[:, np.newaxis] + np.arange(integer(p, f"kernel_{side}")) * integer(p, f"dilation_{axis}")
    inside: np.ndarray = ((at >= 0) & (at < integer(p, f"input_{side}"))).sum(axis=1)
    return inside
