"""TRANSPOSE_CONV as one convolution of the input for each phase of the output, by conv_2d_gemm's product."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.conv_2d_gemm import (
    STORES,
    Channels,
    Scaling,
    exact_channels,
    half_up,
    records,
    row_order,
    scaling_of,
)
from pipeline.kernels.cortex_m4.conv_2d_gemm_work import FEW_PIXELS, PIXELS, Behind, Format, Work
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import constant, integer, present
from pipeline.operators.transpose_conv import TransposeConv
from pipeline.tensors import Tensor

INPUT = ("input_height", "input_width", "input_channels")
"""The first fields of the struct, which the operator's parameters have under the same names."""
FULL_CALLS = 4
"""Rows of each phase in a call that has memory to spare: most input rows are then widened once."""


class TransposeConvGemm(Kernel):
    """firmware_templates/kernels/cortex_m4/transpose_conv_gemm.c, with the loops of conv_2d_gemm.S."""

    name = "transpose_conv_gemm"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """Weights as those of conv_2d_gemm; one row of each phase at once, or several."""
        if type(op) is not TransposeConv:
            return ()
        layer = _Layer.of(op.parameters((*inputs,), output), constant(present(inputs[1])))
        if layer is None:
            return ()
        wide = Format.SCALED if layer.is_scalable else Format.INT16
        found: list[Candidate] = []
        stride, height = op.stride[0], op.size[0]
        for rows in sorted({min(stride, height), min(FULL_CALLS * stride, height)}, reverse=True):
            found += (
                _candidate(layer, Format.INT8, rows),
                *(_in_ram(layer, form, rows) for form in (Format.INT8, wide)),
            )
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """The outputs of one phase in a row, and what lies beneath them, as the C code has it."""

    first: int
    count: int
    beneath: int
    """The input's column at which the first window begins; negative in the padding."""
    taps: int

    @classmethod
    def of(cls, phase: int, taps: int, stride: int, pad: int, width: int) -> _Columns:
        first = (phase - pad) % stride
        last = (first + pad) // stride
        return cls(first, len(range(first, width, stride)), last - taps + 1, taps)

    @property
    def end(self) -> int:
        """The input's column behind the last window."""
        return self.beneath + self.taps + self.count - 1


@dataclass(frozen=True, slots=True, eq=False)
class _Phase:
    """Outputs that the same taps meet: a convolution with these taps alone."""

    p: Parameters
    """As of a CONV_2D."""
    weights: np.ndarray
    """int64 (channels, taps)."""
    channels: Channels

    @property
    def scaling(self) -> Scaling | None:
        return scaling_of(self.p, self.weights, self.channels)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A transposed convolution by its phases."""

    p: Parameters
    stride: tuple[int, int]
    phases: Sequence[Sequence[_Phase]]
    """By row, then by column."""
    columns: Sequence[_Columns]

    @classmethod
    def of(cls, p: Parameters, weights: np.ndarray) -> _Layer | None:
        """None where a sum or what is added to it might leave int32. `weights` are (channels, height, width,
        input channels)."""
        stride = integer(p, "stride_y"), integer(p, "stride_x")
        # A phase without taps has one of zeros.
        missing = [(0, max(step - taps, 0)) for step, taps in zip(stride, weights.shape[1:3], strict=True)]
        weights = np.pad(weights.astype(np.int64), ((0, 0), *missing, (0, 0)))
        channels = exact_channels(_as_convolution(p, weights), weights.reshape(len(weights), -1))
        if channels is None:
            return None
        taps = (weights[:, row :: stride[0]] for row in range(stride[0]))
        phases = [
            [_phase(p, each[:, :, column :: stride[1]], channels) for column in range(stride[1])]
            for each in taps
        ]
        pad, width = integer(p, "pad_left"), integer(p, "output_width")
        columns = [
            _Columns.of(k, integer(phase.p, "kernel_width"), stride[1], pad, width)
            for k, phase in enumerate(phases[0])
        ]
        return cls(p, stride, phases, columns)

    @property
    def every(self) -> Sequence[_Phase]:
        return [phase for row in self.phases for phase in row]

    @property
    def is_scalable(self) -> bool:
        """Whether the weights of all phases can be scaled."""
        return all(phase.scaling for phase in self.every)

    @property
    def kernel_height(self) -> int:
        return sum(integer(row[0].p, "kernel_height") for row in self.phases)

    @property
    def most_taps(self) -> int:
        """In a column, of any phase."""
        return integer(self.phases[0][0].p, "kernel_height")

    @property
    def pad_left(self) -> int:
        """Columns of padding before a widened row."""
        return max(0, *(-columns.beneath for columns in self.columns))

    @property
    def values_before(self) -> int:
        """These in values, an even number."""
        return math.ceil(self.pad_left * integer(self.p, "input_channels") / 2) * 2

    @property
    def slot_bytes(self) -> int:
        """Of a widened row."""
        columns = max(integer(self.p, "input_width"), *(each.end for each in self.columns if each.count))
        return math.ceil((self.values_before + columns * integer(self.p, "input_channels")) / 2) * 4

    @property
    def store(self) -> str:
        signed = all(half_up(phase.p, phase.channels) for phase in self.every)
        return "stored" + "_half_up" * signed + "_apart"

    def work(self, row: int, column: int, rows: int) -> Work:
        """Of `rows` rows of one phase."""
        p = self.phases[row][column].p
        count = self.columns[column].count
        few = 0 < count % PIXELS <= FEW_PIXELS
        taps, run = integer(p, "kernel_height"), integer(p, "kernel_width") * integer(p, "input_channels")
        blocks = rows * math.ceil(count / PIXELS)
        odd = integer(p, "input_channels") % 2
        counts = {
            "lines": rows,
            "blocks": blocks,
            "odd_blocks": blocks * (integer(p, "output_channels") % 2),
            "collected_rows": blocks * taps,
            "collected_words": blocks * taps * (run // 2),
            "collected_odd_words": blocks * taps * (run // 2) * odd,
            "collected_rest": blocks * taps * (run % 2),
        }
        return Work(
            calls=(rows,),
            blocks=blocks,
            twos=rows * few,
            pairs=math.ceil(integer(p, "output_channels") / 2),
            steps=taps * (run // 2) + math.ceil(taps * (run % 2) / 2),
            counts=counts,
            store=self.store,
            widened=True,
        )

    def works(self) -> Sequence[Work]:
        """Of all rows of each phase."""
        pad, height = integer(self.p, "pad_top"), integer(self.p, "output_height")
        rows = Counter((row + pad) % self.stride[0] for row in range(height))
        return [
            self.work(row, column, rows[row])
            for row in range(self.stride[0])
            for column in range(self.stride[1])
        ]

    def widened(self, calls: int) -> dict[str, int]:
        """Input rows that are widened in calls for so many output rows, and what pads them."""
        pad, height = integer(self.p, "pad_top"), integer(self.p, "output_height")
        beneath: list[int] = []
        for first in range(0, height, calls):
            low, phase = divmod(first + pad, self.stride[0])
            high = (min(first + calls, height) - 1 + pad) // self.stride[0]
            beneath += range(low - integer(self.phases[phase][0].p, "kernel_height") + 1, high + 1)
        inside = sum(0 <= row < integer(self.p, "input_height") for row in beneath)
        row_bytes = integer(self.p, "input_width") * integer(self.p, "input_channels")
        return {
            "widened_rows": inside,
            "widened_words": inside * (row_bytes // 4),
            "widened_bytes": inside * (row_bytes % 4),
            "padding_words": len(beneath) * self.slot_bytes // 4 - inside * row_bytes // 2,
            "padding_rows": len(beneath) - inside,
        }

    def features(self, form: Format, calls: int) -> dict[str, float]:
        """How often each thing is done."""
        height = integer(self.p, "output_height")
        found: Counter[str] = Counter()
        for work in self.works():
            found.update({name: round(count) for name, count in work.features(form).items()})
        return {**found, **self.widened(calls), "rows": height, "calls": math.ceil(height / calls)}

    def parameters(self, form: Format) -> Parameters:
        """The fields of `struct transpose_conv_gemm`, in its order."""
        p, works = self.p, self.works()
        behind = works[0].behind(form)
        arrays = [
            records(phase.weights, row_order(phase.p), phase.channels, form, behind, phase.scaling)
            for phase in self.every
        ]
        sizes = [array.nbytes for array in arrays]
        begins = np.cumsum([0, *sizes[:-1]]).astype(np.int32)
        return {
            **{name: p[name] for name in INPUT},
            "output_channels": p["output_channels"],
            "kernel_height": self.kernel_height,
            **{name: p[name] for name in ("stride_y", "stride_x", "pad_top")},
            "pad_left": self.pad_left,
            "slot_bytes": self.slot_bytes,
            **{name: p[name] for name in ("input_zero", "output_zero")},
            "floor": -128 if behind is Behind.NOTHING else p["minimum"],
            "ceiling": p["maximum"],
            "steps": max(work.steps for work in works),
            "pair_bytes": form.pair_bytes(0, behind),
            "step_bytes": form.step_bytes,
            "multiply": f"conv_2d_gemm_{form.loop}",
            "multiply_two": f"conv_2d_gemm_{form.loop}_two" if any(work.twos for work in works) else None,
            "store": f"conv_2d_gemm_{STORES[works[0].store_of(form)]}",
            "columns": np.array([self._fields(each) for each in self.columns], np.int32),
            "phases": begins,
            "weights": np.concatenate(arrays),
            "scales": None if behind is Behind.NOTHING else self._scales(),
        }

    def _scales(self) -> np.ndarray:
        """The table that all phases share, in words."""
        channels = self.phases[0][0].channels
        # Two at a time are read, of an only channel too.
        count = max(len(channels.shift), 2)
        multipliers, shifts = (np.resize(each, count) for each in (channels.multiplier, channels.shift - 1))
        return np.stack([multipliers, shifts | np.roll(shifts, -1) << 8], axis=1).astype(np.int32)

    def table_bytes(self, form: Format) -> int:
        """Of all that stands beside the records."""
        scales = 0 if form is Format.SCALED else self._scales().nbytes
        return scales + 4 * len(self.every) + 20 * len(self.columns)

    def _fields(self, columns: _Columns) -> tuple[int, ...]:
        """Of `struct transpose_conv_gemm_columns`."""
        depth = integer(self.p, "input_channels")
        start = 2 * (self.values_before + columns.beneath * depth)
        return columns.first, columns.count, start, *divmod(columns.taps * depth, 2)


def _as_convolution(p: Parameters, weights: np.ndarray) -> Parameters:
    """With taps (channels, height, width, input channels)."""
    height, width = weights.shape[1:3]
    window = {"kernel_height": height, "kernel_width": width, "dilation_y": 1, "dilation_x": 1}
    clamps = {name: np.array([integer(p, name)]) for name in ("minimum", "maximum")}
    return {**p, **window, **clamps, "pool_height": 1, "pool_width": 1}


def _phase(p: Parameters, weights: np.ndarray, channels: Channels) -> _Phase:
    """The convolution with some of all taps, whose windows run the other way. It has all taps' scales."""
    of_conv, turned = _as_convolution(p, weights), weights[:, ::-1, ::-1].reshape(len(weights), -1)
    own = exact_channels(of_conv, turned)
    assert own is not None  # fewer taps, smaller sums
    return _Phase(of_conv, turned, replace(own, multiplier=channels.multiplier, shift=channels.shift))


def _in_ram(layer: _Layer, form: Format, rows: int) -> Candidate:
    sizes = {"weights": sum(work.record_bytes(form) for work in layer.works())}
    return _candidate(layer, form, rows).in_ram_too(sizes)


def _candidate(layer: _Layer, form: Format, rows: int) -> Candidate:
    works = layer.works()
    sizes = [work.record_bytes(form) for work in works]
    return Candidate(
        library="cortex_m4",
        kernel=TransposeConvGemm.name,
        variant="4 outputs x 2 channels, by phases" + f", weights {form.value}" * (form is not Format.INT8),
        parameters=lambda: layer.parameters(form),
        features=layer.features(form, rows),
        scratch_bytes=4 * PIXELS * max(work.steps for work in works) + layer.most_taps * layer.slot_bytes,
        weights_bytes=sum(sizes) + layer.table_bytes(form),
        streamed={"weights": sum(size * work.blocks for size, work in zip(sizes, works, strict=True))},
        streams=True,
        rows_per_call=rows,
    )
