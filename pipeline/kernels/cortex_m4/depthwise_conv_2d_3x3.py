"""DEPTHWISE_CONV_2D with 3 x 3 windows, stride 1 or 2: four channels of some output rows at a time."""

from __future__ import annotations

import math
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

ROWS_AT_ONCE = (1, 2, 8)
POSITION_BYTES = {1: 8 * CHANNELS_AT_ONCE, 2: 4 * CHANNELS_AT_ONCE}
"""By stride."""
PAIR_BYTES = 16
FILTER_BYTES = 18
ORDER = (0, 1, 3, 4, 6, 2, 7, 5, 8)
"""Of the weights, so that SXTB16 pairs those of two lines, and two of the third."""


class DepthwiseConv2D3x3(Kernel):
    """firmware_templates/kernels/cortex_m4/depthwise_conv_2d_3x3.c"""

    name = "depthwise_conv_2d_3x3"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """By rows, or with all columns at once; filters in flash and in RAM."""
        if not isinstance(op, DepthwiseConv2D) or not _takes(op, inputs, output):
            return ()
        p = op.parameters(inputs, output)
        weights = constant(inputs[1]).reshape(9, output.shape[3]).T.astype(np.int64)
        filters = exact_filters(Channels.of(p, weights), weights)
        if filters is None:
            return ()
        height = output.shape[1]
        rows = sorted({min(rows, height) for rows in (*ROWS_AT_ONCE, height)})
        found = [_candidate(p, filters, height, count, down=False) for count in rows]
        found.append(_candidate(p, filters, height, height, down=True))
        in_ram = [each.in_ram_too({"filters": filter_bytes(output.shape[3])}) for each in found]
        return (*found, *in_ram)


def filter_bytes(channels: int) -> int:
    """Of all filters, in whole words."""
    return whole_words(FILTER_BYTES * channels)


def _takes(op: DepthwiseConv2D, inputs: Sequence[Tensor | None], output: Tensor) -> bool:
    """Whether a layer's shapes are such that the kernel can run it."""
    x, w = present(inputs[0]), present(inputs[1])
    return (
        w.shape[1:3] == (3, 3)
        and op.stride in {(1, 1), (2, 2)}
        and op.dilation == (1, 1)
        and op.pool in {None, (1, 1)}
        and x.shape[3] == output.shape[3] >= CHANNELS_AT_ONCE
        # Some of each line lies inside the input.
        and all(op.pads[axis][0] < (output.shape[1 + axis] - 1) * op.stride[axis] + 3 for axis in (0, 1))
    )


def records(filters: Filters, down: bool) -> np.ndarray:
    """`struct depthwise_conv_2d_3x3_filter` of every channel, then last weights and exponents, as words.

    `down`: transposed for columns.
    """
    windows = filters.weights.reshape(-1, 3, 3)
    lines = (windows.transpose(0, 2, 1) if down else windows).reshape(-1, 9)
    fields = [("start", np.uint32), ("multiplier", np.int32), ("weights", np.int8, 8)]
    of_each = np.zeros(len(lines), fields)
    of_each["start"], of_each["multiplier"] = filters.start, filters.channels.multiplier
    of_each["weights"] = lines[:, ORDER[:-1]]
    lasts = lines[:, ORDER[-1]].astype(np.int8)
    return in_words(of_each.tobytes() + lasts.tobytes() + filters.forms.tobytes())


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of one call, as make_rows in depthwise_conv_2d_3x3.c lays them."""

    stride: int
    lines: int
    length: int
    """Outputs of a line."""
    before: int
    """Positions beneath a line: padding in front, inside the input, padding behind."""
    inside: int
    behind: int
    ends: bool
    """Whether the last pair of lines beneath, with stride 1, is all padding."""

    @property
    def even_lines(self) -> int:
        return math.ceil(self.lines / 2) if self.stride == 1 else self.lines

    @property
    def reach(self) -> int:
        return self.before + self.inside + self.behind

    @property
    def pitch(self) -> int:
        return math.ceil((self.reach - min(self.before, self.behind)) / self.stride)

    @property
    def laid_lines(self) -> int:
        return self.even_lines if self.stride == 1 else self.even_lines + 1

    @property
    def even(self) -> int:
        return (self.even_lines - 1) * self.pitch + self.length

    @property
    def odd(self) -> int:
        odd_lines = self.lines // 2 if self.stride == 1 else 0
        return (odd_lines - 1) * self.pitch + self.length if odd_lines else 0

    @property
    def scratch_bytes(self) -> int:
        """Pairs, positions, words of the outputs."""
        positions = (self.laid_lines - 1) * self.pitch * self.stride + self.reach + 1
        return (
            PAIR_BYTES * (self.even_lines + 1)
            + POSITION_BYTES[self.stride] * positions
            + 4 * (self.even + 1 + self.odd + 1)
        )


def _calls(p: Parameters, height: int, rows: int, down: bool) -> Iterator[Lines]:
    """The lines of each call for so many rows."""
    stride, width = integer(p, "stride_y"), integer(p, "output_width")
    for first in range(0, height, rows):
        count = min(rows, height - first)
        vertical = first * stride - integer(p, "pad_top"), count, integer(p, "input_height")
        horizontal = -integer(p, "pad_left"), width, integer(p, "input_width")
        along, across = (vertical, horizontal) if down else (horizontal, vertical)
        start, length, size = along
        reach = (length - 1) * stride + 3
        before = max(-start, 0)
        inside = min(size - max(start, 0), reach - before)
        beneath, lines, end = across
        last_pair = beneath + 2 * math.ceil(lines / 2)
        yield Lines(stride, lines, length, before, inside, reach - before - inside, last_pair >= end)


def _candidate(p: Parameters, filters: Filters, height: int, rows: int, *, down: bool) -> Candidate:
    """In calls of so many rows."""
    channels, stride = integer(p, "input_channels"), integer(p, "stride_y")
    calls = list(_calls(p, height, rows, down))
    clamped = bool(filters.channels.clamps.any())
    features = _features(filters, calls)

    def parameters() -> Parameters:
        return {
            "input_height": p["input_height"],
            "input_width": p["input_width"],
            "channels": channels,
            "output_width": p["output_width"],
            "stride": stride,
            "pad_top": p["pad_top"],
            "pad_left": p["pad_left"],
            "input_zero": p["input_zero"],
            "output_zero": p["output_zero"],
            "rows_at_once": rows,
            "down": int(down),
            "filters": records(filters, down),
            "clamps": filters.channels.clamps.astype(np.uint8).view(np.int8).reshape(-1) if clamped else None,
        }

    by = "all columns" if down else "1 row" if rows == 1 else f"{rows} rows"
    return Candidate(
        library="cortex_m4",
        kernel=DepthwiseConv2D3x3.name,
        variant=f"4 channels of {by}",
        parameters=parameters,
        features=features,
        scratch_bytes=max(call.scratch_bytes for call in calls) + whole_words(channels),
        weights_bytes=filter_bytes(channels) + 2 * clamped * channels,
        streamed={"filters": filter_bytes(channels) * len(calls)},
        streams=not down,
        rows_per_call=rows,
    )


def _features(filters: Filters, calls: Sequence[Lines]) -> dict[str, float]:
    """How often each thing is done."""
    channels = len(filters.weights)
    groups = math.ceil(channels / CHANNELS_AT_ONCE)
    made = groups * CHANNELS_AT_ONCE
    # Of the channels that are made twice, it is not asked which form they have.
    any_shift = made * float(filters.any_shift.mean())
    stride = calls[0].stride
    counts: dict[str, float] = {}

    def count(name: str, times: float) -> None:
        counts[name] = counts.get(name, 0.0) + times

    for call in calls:
        step = 2 if stride == 1 else 1
        outputs = sum(step * math.ceil(n / step) for n in (call.even, call.odd))
        halves = [math.ceil(n / step) for n in (call.even, call.odd)]
        passes = 1 + (call.odd > 0)
        count("calls", 1)
        once = 2 - call.ends if stride == 1 else call.even_lines + 1
        twice = call.even_lines - 1 if stride == 1 else 0
        count("filled", call.laid_lines * (call.before + call.behind) * POSITION_BYTES[stride] / 4)
        count("filled", call.reach * CHANNELS_AT_ONCE * (stride == 1 and call.ends))
        count("pairs", call.even_lines + 1)
        count("channels", channels)
        count(f"groups_{stride}", groups)
        count("laid_pairs", groups * (once + twice))
        count("laid_rounds", groups * (once + twice) * math.ceil(call.inside / 2))
        count("laid_once", groups * once * call.inside)
        count("laid_twice", groups * twice * call.inside)
        count("passes", made * passes)
        count("rounds", (made - any_shift) * sum(math.ceil(n / 2) for n in halves) + any_shift * sum(halves))
        count(f"outputs_{stride}", (made - any_shift) * outputs)
        count(f"outputs_{stride}_any_shift", any_shift * outputs)
        count("stored_lines", groups * call.lines)
        clamped = "_clamped" if filters.channels.clamps.any() else ""
        count(f"stored{clamped}", groups * call.lines * (call.length // 2))
        count(f"stored_last{clamped}", groups * call.lines * (call.length % 2))
    return {name: times for name, times in counts.items() if times}
