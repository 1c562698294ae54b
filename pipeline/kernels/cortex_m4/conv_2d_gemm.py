"""CONV_2D of any kind, as a product of matrices: four outputs times two channels at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.arithmetic import INT8_MAX, INT8_MIN, doubling_high_product
from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.conv_2d_gemm_work import (
    FEW_PIXELS,
    PIXELS,
    Behind,
    Format,
    WidenedRows,
    Work,
    can_widen_rows,
    count_work,
    rows_of_calls,
    runs_of,
)
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, constant, integer
from pipeline.operators.conv_2d import Conv2D
from pipeline.tensors import Tensor

GEOMETRY = (
    "input_height input_width input_channels output_width output_channels kernel_height kernel_width "
    "stride_y stride_x dilation_y dilation_x pad_top pad_left pool_height pool_width input_zero output_zero"
).split()
"""The first fields of the struct, which the operator's parameters have under the same names."""
STORES = {
    "stored": "store",
    "stored_half_up": "store_half_up",
    "stored_one_floor": "store_one_floor",
    "stored_half_up_one_floor": "store_half_up_one_floor",
    "stored_once_one_floor": "store_once_one_floor",
    "stored_one_scale": "store_one_scale",
    "stored_half_up_one_scale": "store_half_up_one_scale",
    "stored_once_one_scale": "store_once_one_scale",
    "stored_apart": "store_apart",
    "stored_half_up_apart": "store_half_up_apart",
    "stored_scaled": "store_scaled",
    "stored_saturated": "store_saturated",
    "stored_largest": "store_largest",
}
"""The routines, by what they are counted as."""
SCALED_SHIFT = 13
"""Of all channels where weights are scaled; gemm_macros.h has it too."""


class Conv2DGemm(Kernel):
    """firmware_templates/kernels/cortex_m4/conv_2d_gemm.c, with its loops in conv_2d_gemm.S."""

    name = "conv_2d_gemm"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """Weights as int8 or, twice the bytes and a little less time, as int16: these in RAM only, since
        reading them from flash takes longer than widening. Windows laid from memory or from widened rows."""
        if not isinstance(op, Conv2D):
            return ()
        p = op.parameters(inputs, output)
        weights = constant(inputs[1]).astype(np.int64)
        weights = weights.reshape(len(weights), -1)
        channels = exact_channels(p, weights)
        if channels is None:
            return ()
        one_floor, ceilings = bool(np.ptp(channels.floor) == 0), bool(np.ptp(channels.ceiling) > 0)
        found: list[Candidate] = []
        ways = [
            (rows, widened)
            for widened in (False, True)[: 1 + can_widen_rows(p)]
            for rows in rows_of_calls(p, output.shape[1], widened)
        ]
        for rows, widened in ways:
            work = count_work(p, output.shape[1], half_up(p, channels), one_floor, rows, widened, ceilings)
            scalable = scaling_of(p, weights, channels) is not None
            forms = Format.INT8, channels.scaled_form if scalable else Format.INT16
            narrow, wide = (candidate_of(p, weights, channels, work, form) for form in forms)
            found += (narrow, in_ram(narrow), in_ram(wide))
        return found


def in_ram(candidate: Candidate) -> Candidate:
    return candidate.in_ram_too({"weights": candidate.weights_bytes})


def candidate_of(
    p: Parameters, weights: np.ndarray, channels: Channels, work: Work, form: Format
) -> Candidate:
    record_bytes = work.record_bytes(form)
    return Candidate(
        library="cortex_m4",
        kernel=Conv2DGemm.name,
        variant="4 outputs x 2 channels"
        + ", rows widened" * work.widened
        + f", weights {form.value}" * (form is not Format.INT8),
        parameters=lambda: parameters_of(p, weights, channels, work, form),
        features={**work.features(form), **work.from_flash(form)},
        scratch_bytes=4 * PIXELS * work.steps + _bytes_aside(p, work),
        weights_bytes=record_bytes,
        streamed={"weights": record_bytes * work.blocks},
        streams=True,
        rows_per_call=work.calls[0],
    )


def _bytes_aside(p: Parameters, work: Work) -> int:
    """A window that hangs over the border; or what is left of the runs of four windows. Or widened rows."""
    if work.widened:
        return WidenedRows.of(p).ring_bytes
    runs, run_bytes = runs_of(p)
    return max(2 * work.steps, PIXELS * 4 * math.ceil(runs * (run_bytes % 4) / 4))


def _may_end_with_few(p: Parameters) -> bool:
    """Whether calls for some number of rows end with a block that has fewer than its four outputs; or whether
    the last block of each pooling window has two at most."""
    pooled = integer(p, "pool_height") * integer(p, "pool_width")
    return 0 < pooled % PIXELS <= FEW_PIXELS if pooled > 1 else integer(p, "output_width") % PIXELS > 0


def half_up(p: Parameters, channels: Channels) -> bool:
    """Whether no result below the zero point shows, so that its rounding does not matter."""
    return bool((channels.floor >= integer(p, "output_zero")).all())


def parameters_of(
    p: Parameters, weights: np.ndarray, channels: Channels, work: Work, form: Format
) -> Parameters:
    """The fields of `struct conv_2d_gemm`, in its order."""
    behind = work.behind(form)
    ceiling = channels.ceiling
    uniform = bool((ceiling == ceiling[0]).all())
    order = row_order(p) if work.widened else tap_order(p)
    return {
        **{name: p[name] for name in GEOMETRY},
        "floor": -128 if behind is Behind.NOTHING else int(channels.floor[0]),
        "ceiling": int(ceiling[0]) if uniform else 0,
        "steps": work.steps,
        "pair_bytes": work.pair_bytes(form),
        "way": f"conv_2d_gemm_{work.way}",
        "multiply": f"conv_2d_gemm_{form.loop}",
        "multiply_two": f"conv_2d_gemm_{form.loop}_two" if _may_end_with_few(p) else None,
        "store": f"conv_2d_gemm_{STORES[work.store_of(form)]}",
        "weights": records(weights, order, channels, form, behind, scaling_of(p, weights, channels)),
        "ceilings": None if uniform else ceiling.astype(np.int8),
    }


def tap_order(p: Parameters) -> np.ndarray:
    """Which tap (row, column, channel) each lane of the steps multiplies; -1 is none.

    Of each run of contiguous bytes the whole words, then what is left of all runs; within four bytes
    the lanes are 0, 2, 1, 3, as UXTB16 makes them.
    """
    runs, run_bytes = runs_of(p)
    taps = np.arange(runs * run_bytes).reshape(runs, run_bytes)
    whole = run_bytes // 4 * 4
    order = np.concatenate([taps[:, :whole].ravel(), taps[:, whole:].ravel()])
    order = np.pad(order, (0, -len(order) % 4), constant_values=-1)
    lanes: np.ndarray = order.reshape(-1, 4)[:, [0, 2, 1, 3]].ravel()
    return lanes


def row_order(p: Parameters) -> np.ndarray:
    """The same where rows are widened first: of each row of taps the whole words, then what is left."""
    rows, run = runs_of(p)
    taps = np.arange(rows * run).reshape(rows, run)
    order = np.concatenate([taps[:, : run // 2 * 2].ravel(), taps[:, run // 2 * 2 :].ravel()])
    return np.pad(order, (0, len(order) % 2), constant_values=-1)


def records(
    weights: np.ndarray,
    order: np.ndarray,
    channels: Channels,
    form: Format,
    behind: Behind,
    scaling: Scaling | None,
) -> np.ndarray:
    """The records of all pairs of channels, as conv_2d_gemm.S reads them, in words.

    `weights` are (channels, taps), `order` says which tap is in which lane of the steps.
    Of an odd number of channels the last makes a pair with the one before it, an only one with itself.
    """
    count = len(weights)
    pairs = np.arange(count // 2 * 2).reshape(-1, 2)
    if count % 2:
        pairs = np.vstack([pairs, [max(count - 2, 0), count - 1]])
    start = channels.start
    shifts = (channels.shift - 1).astype(np.uint8)
    multipliers = channels.multiplier[pairs].astype(np.uint32)
    end = [shifts[pairs], (channels.floor + 128)[pairs].astype(np.uint8)]
    if form.is_scaled and scaling:
        weights, start = weights * scaling.factor[:, np.newaxis], start * scaling.factor
        end = [scaling.addend[pairs].astype(np.uint32), end[1], end[1]]
    if form is Format.SATURATED and scaling:
        # Bytes with a sign begin at the floor.
        end = [(scaling.addend + (INT8_MIN << SCALED_SHIFT))[pairs].astype(np.uint32)]
    lanes = np.where(order < 0, 0, weights[:, order])[pairs].reshape(len(pairs), 2, -1, 2)
    steps = (
        lanes.transpose(0, 2, 3, 1).astype(np.int8)
        if form is Format.INT8
        else lanes.transpose(0, 2, 1, 3).astype(np.int16)
    )
    ends: Mapping[Behind, Sequence[np.ndarray]] = {
        Behind.NOTHING: [multipliers, *end],
        Behind.SHIFTS: [multipliers],
        Behind.SCALE: [],
        Behind.SCALES_APART: [],
    }
    as_bytes = [
        np.ascontiguousarray(field).reshape(len(pairs), -1).view(np.uint8)
        for field in (start[pairs].astype(np.uint32), steps, *ends[behind])
    ]
    found = np.hstack(as_bytes).reshape(-1)
    if behind is Behind.SHIFTS:
        # Two at a time are read, of an only channel too.
        all_shifts = np.resize(shifts, max(count, 2))
        found = np.concatenate([found, np.pad(all_shifts, (0, -len(all_shifts) % 4))])
    if behind is Behind.SCALE:
        scale = np.array([channels.multiplier[0], shifts[0]], np.uint32)
        found = np.concatenate([found, scale.view(np.uint8)])
    return found.view(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """What makes all channels' shifts the same: int64 arrays of one length."""

    factor: np.ndarray
    """Of the weights and the sum's start: 2^k."""
    addend: np.ndarray
    """Both halves that are rounded up by, and what lies between the output's zero point and the floor."""


def scaling_of(p: Parameters, weights: np.ndarray, channels: Channels) -> Scaling | None:
    """The scaling, where scaled sums fit int32 and scaled weights int16; for results rounded half up.

    `weights` are (channels, taps).
    """
    k = np.where(channels.multiplier == 0, 1, SCALED_SHIFT - channels.shift)
    if (k < 1).any() or not half_up(p, channels) or integer(p, "pool_height") * integer(p, "pool_width") > 1:
        return None
    largest = np.abs(weights).max(axis=1) << k
    if (largest >= 2**15).any() or (channels.largest << (k + 1) >= 2**31).any():
        return None
    above = (integer(p, "output_zero") - channels.floor) << SCALED_SHIFT
    return Scaling(1 << k, above + (1 << (SCALED_SHIFT - 1)) + (1 << (k - 1)))


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """What each output channel has besides its weights: int64 arrays of one length."""

    start: np.ndarray
    """Of the doubled sum of weights times (x + 128)."""
    multiplier: np.ndarray
    shift: np.ndarray
    """To the right, at least 1."""
    floor: np.ndarray
    ceiling: np.ndarray
    largest: np.ndarray
    """Magnitude of the sum over all inputs."""

    @property
    def scaled_form(self) -> Format:
        """The faster form of weights that are scaled."""
        saturated = (self.floor == INT8_MIN).all() and (self.ceiling == INT8_MAX).all()
        return Format.SATURATED if saturated else Format.SCALED


def exact_channels(p: Parameters, weights: np.ndarray) -> Channels | None:
    """The channels, where the kernel gives the reference's integers for every input; else None.

    The doubled sum, the rescaled sum and what is added to it have to fit int32, whatever the input is.
    `weights` are (channels, taps).
    """
    zero = integer(p, "input_zero")
    high, low = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    bias = array(p, "bias").astype(np.int64)
    sums = bias + np.array(
        [low * (127 - zero) - high * (128 + zero), high * (127 - zero) - low * (128 + zero)]
    )
    multiplier, shift, floor, ceiling = (
        np.broadcast_to(array(p, name).astype(np.int64), bias.shape)
        for name in ("multiplier", "shift", "minimum", "maximum")
    )
    shift = -shift
    rescaled = np.abs(doubling_high_product(sums, multiplier)).max(axis=0)
    # Where every sum is rescaled to the zero point, any small shift does.
    silent = (shift > 0) & (rescaled < 2.0 ** (shift - 1)) | (multiplier == 0)
    multiplier, shift, rescaled = (
        np.where(silent, value, kept) for value, kept in ((0, multiplier), (1, shift), (0, rescaled))
    )
    if (shift < 1).any() or (np.abs(sums) >= 2**30).any():
        return None
    added = (2 * (integer(p, "output_zero") - floor) + 1) << (shift - 1)
    if (np.abs(added) + rescaled + 1 >= 2**31).any():
        return None
    start = 2 * (bias - (zero + 128) * weights.sum(axis=1))
    return Channels(start, multiplier, shift, floor, ceiling, np.abs(sums).max(axis=0))
