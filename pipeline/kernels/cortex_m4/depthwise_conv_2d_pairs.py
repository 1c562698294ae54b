"""DEPTHWISE_CONV_2D with windows of any size: four outputs of a channel at a time, from pairs of pixels."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.depthwise import (
    CHANNELS_AT_ONCE,
    Channels,
    Filters,
    exact_filters,
    in_words,
    whole_words,
)
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import constant, integer, present
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.tensors import Tensor

MOST_COLUMNS = 5
"""Words of weights that the loops hold."""
POOL = 8
"""Registers for these and for words of pixels."""
OUTPUTS_AT_ONCE = 4
ROWS_AT_ONCE = (1, 2, 4, 8)
POSITION_BYTES = 4 * CHANNELS_AT_ONCE
JOB_BYTES, LINE_BYTES, PLACE_BYTES = 24, 16, 8
RECORD_BYTES = 8
GEOMETRY = (
    "input_height input_width channels output_width kernel_height kernel_width stride_y stride_x pad_top "
    "pad_left input_zero output_zero"
).split()
"""The first fields of the struct; the operator's parameters have all but `channels` under the same names."""


class DepthwiseConv2DPairs(Kernel):
    """firmware_templates/kernels/cortex_m4/depthwise_conv_2d_pairs.c"""

    name = "depthwise_conv_2d_pairs"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """By rows, or with all columns at once; filters in flash and in RAM."""
        if not isinstance(op, DepthwiseConv2D) or not _takes(op, inputs, output):
            return ()
        p = op.parameters(inputs, output)
        weights = constant(inputs[1]).reshape(-1, output.shape[3]).T.astype(np.int64)
        channels = Channels.of(p, weights)
        filters = exact_filters(channels, weights, may_scale=not channels.clamps.any())
        if filters is None:
            return ()
        height = output.shape[1]
        found: list[Candidate] = []
        for way in _ways(op, present(inputs[1]).shape[1:3]):
            if way.down and height < OUTPUTS_AT_ONCE:
                continue
            rows = {height} if way.down else {min(rows, height) for rows in (*ROWS_AT_ONCE, height)}
            made = [_candidate(p, filters, height, count, way) for count in sorted(rows)]
            found += made
            found += (each.in_ram_too({"filters": way.filter_bytes(output.shape[3])}) for each in made)
        return found


def _takes(op: DepthwiseConv2D, inputs: Sequence[Tensor | None], output: Tensor) -> bool:
    """Whether the kernel can run such a layer, and none that is made for it is always faster."""
    x, w = present(inputs[0]), present(inputs[1])
    return (
        op.dilation == (1, 1)
        and op.pool in {None, (1, 1)}
        and x.shape[3] == output.shape[3] >= CHANNELS_AT_ONCE
        and not (w.shape[1:3] == (3, 3) and op.stride in {(1, 1), (2, 2)})
    )


@dataclass(frozen=True, slots=True)
class Way:
    """How lines and pairs lie, and what the loops are made for."""

    down: bool
    """Whether lines are columns."""
    along: bool
    """Whether pairs lie along the lines."""
    paired: int
    """Taps along the axis of the pairs."""
    side: int
    """Taps along the other one."""
    stride: int
    """Words from an output to the next."""
    phases: int
    """Outputs of a line that follow each other go by turns to so many lines."""

    @property
    def pairs(self) -> tuple[int, int]:
        """Of a window that begins at an even place, and at an odd one."""
        return math.ceil(self.paired / 2), self.paired // 2 + 1

    @property
    def words(self) -> int:
        """That lie side by side."""
        return self.pairs[1] if self.along else self.side

    @property
    def segments_a_line(self) -> int:
        return math.ceil(self.words / MOST_COLUMNS)

    @property
    def columns(self) -> int:
        """Words of a segment."""
        return math.ceil(self.words / self.segments_a_line)

    @property
    def segments(self) -> tuple[int, int]:
        """Of each form."""
        even, odd = (1, 1) if self.along else self.pairs
        return even * self.segments_a_line, odd * self.segments_a_line

    @property
    def places(self) -> int:
        """Rows of taps that are widened together."""
        return self.paired if self.along else self.paired * self.segments_a_line

    @property
    def widened(self) -> int:
        """Taps side by side in a place."""
        return 1 if self.along else self.columns

    @property
    def bytes_a_filter(self) -> int:
        return self.places * self.widened

    def filter_bytes(self, channels: int) -> int:
        """Of all filters, in whole words."""
        return whole_words((RECORD_BYTES + self.bytes_a_filter + 1) * channels)

    @property
    def pixels(self) -> int:
        """Words of pixels in a segment of four outputs."""
        return (OUTPUTS_AT_ONCE - 1) * self.stride + self.columns


def _ways(op: DepthwiseConv2D, window: tuple[int, ...]) -> Iterator[Way]:
    """Lines are rows, or columns of the whole map. Pairs lie along windows of one line, else across lines."""
    for down in (False, True):
        across, along = (1, 0) if down else (0, 1)
        if window[across] == 1:
            odd = op.stride[along] % 2
            stride = op.stride[along] if odd else op.stride[along] // 2
            yield from _made(Way(down, True, window[along], 1, stride, 2 if odd else 1))
        else:
            yield from _made(Way(down, False, window[across], window[along], op.stride[along], 1))


def _made(way: Way) -> Iterator[Way]:
    """The way, if there is a loop for it."""
    if way.stride in {1, 2}:
        yield way


def _records(filters: Filters, way: Way) -> np.ndarray:
    """`struct depthwise_conv_2d_pairs_filter` of every channel, then weights and exponents, as words."""
    of_each = np.zeros(len(filters.weights), [("start", np.uint32), ("multiplier", np.int32)])
    of_each["start"], of_each["multiplier"] = filters.start, filters.channels.multiplier
    shape = (way.side, way.paired) if way.down != way.along else (way.paired, way.side)
    lines = filters.weights.reshape(-1, *shape)
    lines = lines.transpose(0, 2, 1) if way.down != way.along else lines
    filled = np.pad(lines, ((0, 0), (0, 0), (0, way.bytes_a_filter // way.paired - way.side)))
    return in_words(of_each.tobytes() + filled.astype(np.int8).tobytes() + filters.forms.tobytes())


@dataclass(frozen=True, slots=True)
class Axis:
    """How windows lie along one axis of the input, as in depthwise_conv_2d_pairs.c."""

    taps: int
    stride: int
    first: int
    windows: int
    size: int

    @property
    def reach(self) -> int:
        """Places beneath all windows."""
        return (self.windows - 1) * self.stride + self.taps

    def inside(self, first: int, end: int) -> int:
        """Places of [first, end) in the input."""
        return max(min(end, self.size) - max(first, 0), 0)


@dataclass(frozen=True, slots=True)
class Call:
    """The work of one call, as make_rows in depthwise_conv_2d_pairs.c does it."""

    way: Way
    along: Axis
    across: Axis

    @property
    def parity(self) -> int:
        return self.along.first % 2 if self.way.along else 0

    @property
    def pitch(self) -> int:
        """Words of a line of pixels."""
        return math.ceil((self.parity + self.along.reach) / 2) if self.way.along else self.along.reach

    @property
    def lines_beneath(self) -> int:
        return self.across.reach if self.way.along else math.ceil(self.across.reach / 2)

    @property
    def jobs(self) -> list[int]:
        """Positions of each job of widening."""
        if not self.way.along:
            inside = self.along.inside(self.along.first, self.along.first + self.pitch)
            return [inside] * (self.lines_beneath if inside else 0)
        first = self.along.first - self.parity
        inside = self.along.inside(first, first + 2 * self.pitch)
        each = [count for count in (inside // 2, inside % 2) if count]
        return each * self.across.inside(self.across.first, self.across.first + self.across.reach)

    @property
    def lines(self) -> list[tuple[int, int]]:
        """Outputs and parity of each line."""
        if not self.way.along:
            return [(self.along.windows, i * self.across.stride % 2) for i in range(self.across.windows)]
        phases = self.way.phases
        return [
            (math.ceil((self.along.windows - phase) / phases), (self.parity + phase * self.along.stride) % 2)
            for phase in range(min(phases, self.along.windows))
        ] * self.across.windows

    @property
    def scratch_bytes(self) -> int:
        jobs = self.lines_beneath * (2 if self.way.along else 1)
        slack = (OUTPUTS_AT_ONCE - 1) * self.way.stride + self.way.columns
        return (
            JOB_BYTES * jobs
            + LINE_BYTES * self.across.windows * self.way.phases
            + PLACE_BYTES * self.way.places
            + 4 * (self.way.columns + 1) * sum(self.way.segments)
            + POSITION_BYTES * (self.lines_beneath * self.pitch + slack)
        )


def _calls(p: Parameters, height: int, rows: int, way: Way) -> Iterator[Call]:
    """The calls for so many rows each."""
    for first in range(0, height, rows):
        at = first * integer(p, "stride_y") - integer(p, "pad_top")
        vertical = Axis(
            integer(p, "kernel_height"), integer(p, "stride_y"), at,
            min(rows, height - first), integer(p, "input_height"),
        )  # fmt: skip
        horizontal = Axis(
            integer(p, "kernel_width"), integer(p, "stride_x"), -integer(p, "pad_left"),
            integer(p, "output_width"), integer(p, "input_width"),
        )  # fmt: skip
        along, across = (vertical, horizontal) if way.down else (horizontal, vertical)
        yield Call(way, along, across)


def _candidate(p: Parameters, filters: Filters, height: int, rows: int, way: Way) -> Candidate:
    """In calls of so many rows."""
    channels = len(filters.weights)
    calls = list(_calls(p, height, rows, way))
    clamped = bool(filters.channels.clamps.any())
    filter_bytes = way.filter_bytes(channels)

    def parameters() -> Parameters:
        return {
            **{name: channels if name == "channels" else p[name] for name in GEOMETRY},
            "rows_at_once": rows,
            "down": int(way.down),
            "pairs_along": int(way.along),
            "segment": way.columns,
            "widen": f"depthwise_conv_2d_pairs_widen_{way.widened}",
            "runs": f"depthwise_conv_2d_pairs_runs_{way.columns}_{way.stride}",
            "filters": _records(filters, way),
            "clamps": filters.channels.clamps.astype(np.uint8).view(np.int8).reshape(-1) if clamped else None,
        }

    by = "all columns" if way.down else "1 row" if rows == 1 else f"{rows} rows"
    return Candidate(
        library="cortex_m4",
        kernel=DepthwiseConv2DPairs.name,
        variant=f"4 outputs of a channel, by {by}",
        parameters=parameters,
        features=_features(filters, calls),
        scratch_bytes=max(call.scratch_bytes for call in calls) + whole_words(channels),
        weights_bytes=filter_bytes + 2 * clamped * channels,
        streamed={"filters": filter_bytes * len(calls)},
        streams=not way.down,
        rows_per_call=rows,
    )


def _features(filters: Filters, calls: Sequence[Call]) -> dict[str, float]:
    """How often each thing is done."""
    way = calls[0].way
    groups = math.ceil(len(filters.weights) / CHANNELS_AT_ONCE)
    made = groups * CHANNELS_AT_ONCE
    any_shift = float(filters.any_shift.mean())
    runs = segments = 0
    counts: dict[str, float] = defaultdict(float)
    for call in calls:
        jobs, lines = call.jobs, call.lines
        counts["calls"] += 1
        counts["filled"] += CHANNELS_AT_ONCE * (call.lines_beneath * call.pitch - sum(jobs))
        counts["jobs"] += groups * len(jobs)
        counts["laid"] += groups * sum(jobs)
        counts["lines"] += len(lines) + call.lines_beneath
        counts["line_starts"] += made * len(lines)
        counts["places"] += way.places + sum(way.segments)
        counts["filters"] += made
        counts["widened"] += made * way.bytes_a_filter
        counts["widened_rows"] += made * way.places
        for outputs, parity in lines:
            counts["line_ends"] += made * (outputs % OUTPUTS_AT_ONCE > 0)
            runs += math.ceil(outputs / OUTPUTS_AT_ONCE)
            segments += math.ceil(outputs / OUTPUTS_AT_ONCE) * way.segments[parity]
    counts["runs"] = made * runs
    counts["runs_any_shift"] = made * runs * any_shift
    counts["segments"] = made * segments
    counts["loads"] = made * segments * (way.columns + way.pixels + 1)
    counts["waits"] = made * segments * math.ceil((way.pixels + 1) / (POOL - way.columns))
    counts["products"] = made * segments * OUTPUTS_AT_ONCE * way.columns
    return {name: times for name, times in counts.items() if times}
