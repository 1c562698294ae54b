"""DEPTHWISE_CONV_2D of any kind: one output pixel after the other, from pointers to its taps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.depthwise import Channels
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import constant, integer
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.tensors import Tensor

CHANNELS_AT_ONCE = 4
KEPT_BYTES = 160
"""Of filters that an STM32L4's data cache still has at the next pixel: five of its eight lines."""
POINTER_BYTES = 4
GEOMETRY = (
    "input_height input_width input_channels output_width output_channels kernel_height kernel_width "
    "stride_y stride_x dilation_y dilation_x pad_top pad_left pool_height pool_width input_zero"
).split()
"""The first fields of the struct, which the operator's parameters have under the same names."""
RESCALING = np.dtype([("multiplier", np.int32), ("shift", np.uint8), ("zero", np.int16)], align=True)


class DepthwiseConv2DTaps(Kernel):
    """firmware_templates/kernels/cortex_m4/depthwise_conv_2d_taps.c"""

    name = "depthwise_conv_2d_taps"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """One, with filters in flash or in RAM. Layers that are scaled up are left to others."""
        if not isinstance(op, DepthwiseConv2D):
            return ()
        p = op.parameters(inputs, output)
        count = output.shape[3]
        weights = constant(inputs[1]).reshape(-1, count).T.astype(np.int64)
        channels = Channels.of(p, weights)
        # What is added last is small, and added to what is shifted already.
        if ((channels.shift < 1) | (channels.shift > 31) | (channels.largest >= 2**30)).any():
            return ()
        clamped = bool(channels.clamps.any())
        filter_bytes = filters(weights, channels).nbytes
        features = _features(p, output.shape[1], clamped)
        pixels = output.shape[1] * output.shape[2] * _pooled(p)
        candidate = Candidate(
            library="cortex_m4",
            kernel=self.name,
            variant="4 channels of a pixel",
            parameters=lambda: {
                **{name: p[name] for name in GEOMETRY},
                "filters": filters(weights, channels),
                "clamps": clamps(channels) if clamped else None,
            },
            features=features,
            scratch_bytes=_scratch_bytes(p),
            weights_bytes=filter_bytes + (clamps(channels).nbytes if clamped else 0),
            streamed={"filters": filter_bytes * (pixels if filter_bytes > KEPT_BYTES else 1)},
            streams=True,
        )
        return (candidate, candidate.in_ram_too({"filters": filter_bytes}))


def _pooled(p: Parameters) -> int:
    return integer(p, "pool_height") * integer(p, "pool_width")


def _taps(p: Parameters) -> int:
    return integer(p, "kernel_height") * integer(p, "kernel_width")


def _even(taps: int) -> int:
    return math.ceil(taps / 2) * 2


def _pixel_bytes(p: Parameters) -> int:
    return max(integer(p, "output_channels"), CHANNELS_AT_ONCE)


def _copied(p: Parameters) -> bool:
    return _pixel_bytes(p) > integer(p, "input_channels")


def _scratch_bytes(p: Parameters) -> int:
    """Pointers to taps and lines, a pixel of padding, one of outputs, copied lines."""
    height, pixel = integer(p, "kernel_height"), _pixel_bytes(p)
    pointers = _even(_taps(p)) + height
    copies = height * integer(p, "input_width") * pixel if _copied(p) else 0
    return POINTER_BYTES * pointers + pixel + CHANNELS_AT_ONCE + copies


def fours(count: int) -> np.ndarray:
    """The channels of each record, (records, 4): the last ones overlap those before, or do not exist."""
    first = np.arange(0, count, CHANNELS_AT_ONCE)
    return np.minimum(first, max(count - CHANNELS_AT_ONCE, 0))[:, np.newaxis] + np.arange(CHANNELS_AT_ONCE)


def filters(weights: np.ndarray, channels: Channels) -> np.ndarray:
    """The records of depthwise_conv_2d_taps.S, as words; weights are (channels, taps)."""
    count, taps = weights.shape
    missing, odd = max(CHANNELS_AT_ONCE - count, 0), _even(taps) - taps
    records = fours(count)
    rescaling = np.zeros(count, RESCALING)
    rescaling["multiplier"], rescaling["shift"] = channels.multiplier, channels.shift - 1
    rescaling["zero"] = 2 * channels.zero + 1
    start = np.pad(channels.start, (0, missing))[records]
    # Of two taps, those of channels 0 and 1, then of 2 and 3.
    pairs = np.pad(weights, ((0, missing), (0, odd)))[records].reshape(len(records), 2, 2, -1, 2)
    fields = (
        (start & 0xFFFF_FFFF).astype(np.uint32),
        pairs.transpose(0, 3, 1, 4, 2).astype(np.int8),
        np.pad(rescaling.view(np.int64), (0, missing))[records],
    )
    as_bytes = [np.ascontiguousarray(each).reshape(len(records), -1).view(np.uint8) for each in fields]
    return np.hstack(as_bytes).reshape(-1).view(np.int32)


def clamps(channels: Channels) -> np.ndarray:
    """What is taken off the bytes of each record's channels, and added again; as int8."""
    missing = max(CHANNELS_AT_ONCE - len(channels.start), 0)
    values = np.pad(channels.clamps, ((0, 0), (0, missing)))[:, fours(len(channels.start))]
    return values.transpose(1, 0, 2).astype(np.uint8).view(np.int8).reshape(-1)


def _features(p: Parameters, height: int, clamped: bool) -> dict[str, float]:
    """How often each thing is done."""
    taps, width = _taps(p), integer(p, "output_width") * integer(p, "pool_width")
    rows = height * integer(p, "pool_height")
    inside = _windows_inside(p, rows, "height", "y", "top")
    columns = _windows_inside(p, width, "width", "x", "left")
    # The list of a pixel inside moves on from that of the one before, if that is inside as well.
    moved = int(inside.sum()) * int((columns[1:] & columns[:-1]).sum())
    pixels = rows * width
    fours_made = pixels * math.ceil(integer(p, "output_channels") / CHANNELS_AT_ONCE)
    few = integer(p, "output_channels") < CHANNELS_AT_ONCE
    features = {
        "rows": rows,
        "lines": rows * integer(p, "kernel_height"),
        "copied_pixels": rows * integer(p, "kernel_height") * integer(p, "input_width") * _copied(p),
        "pixels": pixels,
        "few_channels": pixels * few,
        "moved_taps": moved * taps,
        "found_taps": (pixels - moved) * taps,
        "fours": fours_made,
        "pairs": fours_made * _even(taps) / 2,
        "clamped": fours_made * clamped,
        "pooled": fours_made * (1 - 1 / _pooled(p)),
    }
    features["copied_channels"] = features["copied_pixels"] * integer(p, "input_channels")
    features["copied_bytes"] = features["copied_pixels"] * _pixel_bytes(p)
    return {name: float(times) for name, times in features.items() if times}


def _windows_inside(p: Parameters, count: int, side: str, axis: str, before: str) -> np.ndarray:
    """Whether each window along an axis lies inside the input."""
    first = np.arange(count) * integer(p, f"stride_{axis}") - integer(p, f"pad_{before}")
    reach = (integer(p, f"kernel_{side}") - 1) * integer(p, f"dilation_{axis}")
    inside: np.ndarray = (first >= 0) & (first + reach < integer(p, f"input_{side}"))
    return inside
