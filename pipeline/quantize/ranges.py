"""Which range of real values an activation's 256 integers are spread over.

- `minmax`: from the smallest to the largest value seen. Nothing is cut off; one outlier makes all
  other values coarse.
- `percentile`: between the quantiles of all values seen, at both ends; what lies outside saturates.
- `mse`: the range with the smallest mean square difference between a value and its integer, of those
  that shrink the full range towards zero: coarse steps and saturation weighed against each other.

Source of the last two: H. Wu, P. Judd, X. Zhang, M. Isaev, P. Micikevicius, "Integer Quantization for
Deep Learning Inference: Principles and Empirical Evaluation", 2020 (section 4.2: max, percentile; MSE in
the place of entropy).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.progress import Progress
from pipeline.quantize.tflite_graph import Operator, TfliteGraph, run_graph
from pipeline.tensors import Values

RangeMethod = Literal["minmax", "percentile", "mse"]
PERCENTILE = 99.99
BINS = 2048
PARTS = np.linspace(0.02, 1, 99)
"""Candidate ends for `mse`: these parts of the full range's."""
INTEGERS = 256


PICKING = frozenset(
    {
        Operator.GATHER,
        Operator.MAXIMUM,
        Operator.MINIMUM,
        Operator.REDUCE_MAX,
        Operator.REDUCE_MIN,
        Operator.SLICE,
        Operator.SPLIT,
        Operator.SPLIT_V,
        Operator.STRIDED_SLICE,
        Operator.UNPACK,
    }
)
"""Every value of an output is one of an input's."""


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """What one activation held over all samples."""

    low: float
    high: float
    counts: np.ndarray
    """int64 (BINS,): values in equal parts of low..high."""
    channel_peaks: np.ndarray
    """float32 (channels,): the largest magnitude along the last axis."""

    @property
    def centres(self) -> np.ndarray:
        """float64 (BINS,)"""
        width = (self.high - self.low) / BINS
        centres: np.ndarray = self.low + width * (np.arange(BINS) + 0.5)
        return centres


def measure_ranges(graph: TfliteGraph, x: Values, progress: Progress | None = None) -> None:
    """Give every float activation of the graph the smallest and largest value it takes on the samples."""
    tensors = graph.activations()
    ends = dict.fromkeys(tensors, (np.inf, -np.inf))
    for number, values in enumerate(run_graph(graph.pack(), x, tensors)):
        for tensor, held in values.items():
            low, high = ends[tensor]
            ends[tensor] = (min(low, float(held.min())), max(high, float(held.max())))
        if progress:
            progress("calibrating", number + 1, len(x))
    for tensor, (low, high) in ends.items():
        graph.set_range(tensor, low, high)


def share_ranges(graph: TfliteGraph) -> None:
    """Let what picks values out of a tensor keep the tensor's whole range, where others read it too.

    TFLite's kernels want one scale on both sides of a MINIMUM, say. The quantizer takes that of its output,
    for the input as well, and what the other readers need of it is cut off.
    """
    for operator in graph.operators:
        if graph.kind(operator) not in PICKING:
            continue
        made = [int(index) for index in operator.outputs]
        for index in map(int, operator.inputs):
            shared = len(made) > 1 or (index >= 0 and graph.only_reader(index) is None)
            given = graph.range(index) if shared and index >= 0 else None
            if given is None:
                continue
            for tensor in made:
                low, high = graph.range(tensor) or given
                graph.set_range(tensor, min(low, given[0]), max(high, given[1]))


def observe(graph: TfliteGraph, x: Values, progress: Progress | None = None) -> dict[int, Observed]:
    """Histograms of every activation, for samples float32 (N, *input_shape).

    The graph's ranges have to be the smallest and largest values on the same samples.
    """
    ends = {tensor: found for tensor in graph.activations() if (found := graph.range(tensor)) is not None}
    counts = {tensor: np.zeros(BINS, np.int64) for tensor in ends}
    peaks = {tensor: np.zeros(graph.shape(tensor)[-1:] or (1,), np.float32) for tensor in ends}
    for number, values in enumerate(run_graph(graph.pack(), x, list(ends))):
        for tensor, (low, high) in ends.items():
            held = values[tensor]
            # Another order of sums moves values by a rounding past the ends.
            parts = (held - low) * (BINS / max(high - low, 1e-12))
            bins = np.clip(parts.astype(np.int64).reshape(-1), 0, BINS - 1)
            counts[tensor] += np.bincount(bins, minlength=BINS)
            flat = np.abs(held).reshape(-1, len(peaks[tensor]))
            np.maximum(peaks[tensor], flat.max(axis=0), out=peaks[tensor])
        if progress:
            progress("histograms of activations", number + 1, len(x))
    return {
        tensor: Observed(low, high, counts[tensor], peaks[tensor]) for tensor, (low, high) in ends.items()
    }


def choose_ranges(observed: Mapping[int, Observed], method: RangeMethod) -> dict[int, tuple[float, float]]:
    """(low, high) of each activation by a method."""
    choose = {"minmax": _full, "percentile": _between_quantiles, "mse": _least_square_error}[method]
    return {tensor: choose(held) for tensor, held in observed.items()}


def _full(held: Observed) -> tuple[float, float]:
    return held.low, held.high


def _between_quantiles(held: Observed) -> tuple[float, float]:
    """The edges of the bins that hold the quantiles."""
    total = held.counts.sum()
    outside = (1 - PERCENTILE / 100) * total
    width = (held.high - held.low) / BINS
    below = np.searchsorted(np.cumsum(held.counts), outside, side="right")
    above = np.searchsorted(np.cumsum(held.counts[::-1]), outside, side="right")
    return held.low + width * float(below), held.high - width * float(above)


def _least_square_error(held: Observed) -> tuple[float, float]:
    """One end after the other, to the best of its candidates; the second round starts from the first's."""
    low, high = min(held.low, 0.0), max(held.high, 0.0)
    lows, highs = low * PARTS, high * PARTS
    for _ in range(2):
        high = float(min(highs, key=lambda end: square_error(held, low, end)))
        low = float(min(lows, key=lambda end: square_error(held, end, high)))
    return low, high


def square_error(held: Observed, low: float, high: float) -> float:
    """Mean square difference of the values seen and their integers over low..high."""
    if high <= low:
        return float("inf")
    scale = (high - low) / (INTEGERS - 1)
    zero = np.round(-low / scale)
    integers = np.clip(np.round(held.centres / scale) + zero, 0, INTEGERS - 1)
    error = (integers - zero) * scale - held.centres
    return float((held.counts * error * error).sum() / max(1, held.counts.sum()))
