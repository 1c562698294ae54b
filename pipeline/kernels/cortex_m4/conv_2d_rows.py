"""CONV_2D, 3 x 3, stride 1, directly: pieces of six or four columns and several rows, a channel at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.conv_2d_gemm import Channels, exact_channels
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import constant, integer, present
from pipeline.operators.conv_2d import Conv2D
from pipeline.tensors import Tensor

GEOMETRY = ("input_height input_width input_channels output_width output_channels pad_top pad_left").split()
"""The first fields of the struct, which CONV_2D's parameters have under the same names."""
ROWS = (1, 2, 4, 8, 16)
"""Of outputs before pooling, that may share a pass over the weights."""
FEW_ROWS = 2
"""With which it may be worth it that several strips share a pass, too."""
UNWIDENED_ROWS = (1, 2)
"""With which it may be worth it to read a filter's bytes for each row."""
WIDTHS = {"six": 6, "four": 4}
"""Columns of a strip. Words of a step are loaded together: six columns take less than four and two."""
RECORD_BYTES = 12

STEP_CYCLES = {"six": 34, "four": 24}
"""Of one filter's taps, two channels of them, for a strip: about what its loads and products take."""
ONCE_A_PIECE = frozenset({"calls", "filters", "filter_words", "byte_filters"})
"""Of the features, what fewer rows have as well."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A convolution as the kernel sees it."""

    fields: Parameters
    """Of CONV_2D."""
    weights: np.ndarray
    """(filters, 3, 3, channels), int64."""
    channels: Channels
    """Of the output."""

    @property
    def filters(self) -> int:
        return int(self.weights.shape[0])

    @property
    def depth(self) -> int:
        """Of the input."""
        return int(self.weights.shape[3])

    @property
    def pool(self) -> int:
        return integer(self.fields, "pool_height")

    @property
    def width(self) -> int:
        """Before pooling."""
        return integer(self.fields, "output_width") * self.pool

    @property
    def height(self) -> int:
        return integer(self.fields, "output_height") * self.pool

    def strips(self) -> dict[str, int]:
        """How many there are of each width: as few products as can be, the last strip overlapping."""

        def cycles(sixes: int) -> int:
            return sixes * STEP_CYCLES["six"] + self._fours(sixes) * STEP_CYCLES["four"]

        # Six columns overlap to the left, too: a map has to be as wide as that.
        most = math.ceil(self.width / 6) if self.width >= 6 else 0
        sixes = min(range(most + 1), key=cycles)
        return {"six": sixes, "four": self._fours(sixes)}

    def _fours(self, sixes: int) -> int:
        return max(math.ceil((self.width - 6 * sixes) / 4), 0)

    def scratch_bytes(self, rows: int, strips: int, widened: bool) -> int:
        """Perhaps a filter; for each strip of a piece the words beneath it, pointers to it and its rows."""
        pairs = self.depth // 2
        piece = max(
            min(strips, n) * ((rows + 2) * pairs * (WIDTHS[name] + 2) + 3 + rows // self.pool)
            for name, n in self.strips().items()
        )
        return 4 * (widened * 9 * pairs + piece)

    def features(self, rows: int, strips: int, widened: bool) -> dict[str, int]:
        """How many there are of each thing, in calls of so many rows before pooling."""
        calls = math.ceil(self.height / rows)
        all_strips = self.strips()
        pieces = calls * sum(math.ceil(n / strips) for n in all_strips.values())
        pixels = sum(n * (WIDTHS[name] + 2) for name, n in all_strips.items()) * (self.height + 2 * calls)
        form = "pooled" if self.pool > 1 else "rows"
        made = {name: n * self.height * self.filters for name, n in all_strips.items()}
        filters = {"byte_filters": pieces * self.filters}
        if widened:
            words = pieces * self.filters * 9 * self.depth // 4
            filters = {"filters": pieces * self.filters, "filter_words": words}
        steps = "steps" if widened else "byte_steps"
        return {
            "calls": calls,
            "pixels": pixels,
            "pixel_words": pixels * self.depth // 4,
            **filters,
            "strips": calls * sum(all_strips.values()) * self.filters,
            **{f"{steps}_{name}": n * 3 * self.depth // 2 for name, n in made.items()},
            **{f"{form}_{name}": n for name, n in made.items()},
        }

    def flash_read(self, rows: int, strips: int, widened: bool) -> int:
        """Bytes of weights that are read: all for each piece, or for each row of each of its strips."""
        strips_of_rows = sum(self.strips().values()) * self.height
        pieces = math.ceil(self.height / rows) * sum(math.ceil(n / strips) for n in self.strips().values())
        return (pieces if widened else strips_of_rows) * self.weights.size

    def parameters(self, rows: int, strips: int, widened: bool) -> Parameters:
        """The fields of `struct conv_2d_rows`, in its order."""
        kind = "" if widened else "_bytes"
        loops = {n: f"conv_2d_rows_{n}{kind}" if count else None for n, count in self.strips().items()}
        return {
            **{name: self.fields[name] for name in GEOMETRY},
            "pool": self.pool,
            "input_zero": self.fields["input_zero"],
            "output_zero": self.fields["output_zero"],
            "sixes": self.strips()["six"],
            "fours": self.strips()["four"],
            "rows": rows,
            "strips": strips,
            "widened": int(widened),
            **loops,
            "weights": self._ordered(),
            "records": self._records(),
        }

    def _ordered(self) -> np.ndarray:
        """The weights as the kernel widens them, int8.

        Of each row of a filter and pair of input channels the words of its three taps, in this order:
        channels 4n .. 4n + 3 are the lanes (4n, 4n + 2) and (4n + 1, 4n + 3). Four bytes make two words.
        """
        lanes = self.weights.reshape(self.filters, 3, 3, -1, 2, 2)  # filter, y, x, four channels, lane, word
        words = lanes.transpose(0, 1, 3, 5, 2, 4)  # filter, y, four channels, word, x, lane
        by_two = words.reshape(self.filters, -1, 2, 2).transpose(0, 1, 3, 2)
        return np.ascontiguousarray(by_two.astype(np.int8)).reshape(self.filters, -1)

    def _records(self) -> np.ndarray:
        """(filters, 3) int32."""
        c = self.channels
        clamp = (c.shift - 1) | (c.floor + 128) << 8 | (127 - c.ceiling) << 16
        stacked = np.stack([c.start, c.multiplier, clamp], axis=1)
        return (stacked & 0xFFFF_FFFF).astype(np.uint32).view(np.int32)


class Conv2DRows(Kernel):
    """firmware_templates/kernels/cortex_m4/conv_2d_rows.c, with its loops in conv_2d_rows.S."""

    name = "conv_2d_rows"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """With more rows at a time, weights are read less often, and scratch is larger."""
        if not isinstance(op, Conv2D) or not _takes(op, inputs, output):
            return ()
        p = op.parameters(inputs, output)
        weights = constant(present(inputs[1])).astype(np.int64)
        channels = exact_channels(p, weights.reshape(len(weights), -1))
        if channels is None:
            return ()
        layer = Layer(p, weights, channels)
        # The fewest that are no fewer than all rows are all of them.
        all_at_once = min((rows for rows in ROWS if rows >= layer.height), default=ROWS[-1])
        most = max(layer.strips().values())
        ways = [
            (min(rows, layer.height), strips, True)
            for rows in ROWS
            if rows % layer.pool == 0 and rows <= all_at_once
            # More rows take less memory than more strips, but for the rings of rows around the layer.
            for strips in (sorted({1, min(2, most), most}) if rows <= FEW_ROWS else [1])
        ]
        if layer.pool == 1:
            ways += [(rows, 1, False) for rows in UNWIDENED_ROWS if rows <= all_at_once]
        return [_candidate(layer, *way) for way in ways]


def _candidate(layer: Layer, rows: int, strips: int, widened: bool) -> Candidate:
    return Candidate(
        library="cortex_m4",
        kernel=Conv2DRows.name,
        variant=f"{rows} {'row' if rows == 1 else 'rows'}"
        + (f" of {strips} strips" if strips > 1 else "")
        + " at a time"
        + ", weights as bytes" * (not widened),
        parameters=lambda: layer.parameters(rows, strips, widened),
        features=layer.features(rows, strips, widened),
        scratch_bytes=layer.scratch_bytes(rows, strips, widened),
        weights_bytes=layer.weights.size + RECORD_BYTES * layer.filters,
        streamed={"weights": layer.flash_read(rows, strips, widened)},
        streams=True,
        rows_per_call=rows // layer.pool,
        once_a_call=ONCE_A_PIECE,
    )


def _takes(op: Conv2D, inputs: Sequence[Tensor | None], output: Tensor) -> bool:
    """Whether a layer's shapes are such that the kernel can run it."""
    _, height, width, channels = present(inputs[1]).shape
    pool = op.pool or (1, 1)
    return (
        (height, width) == (3, 3)
        and op.stride == op.dilation == (1, 1)
        and channels % 4 == 0
        and pool in {(1, 1), (2, 2)}
        and output.shape[2] * pool[1] >= WIDTHS["four"]
    )
