"""FULLY_CONNECTED of many rows, such as tokens: four of them times two outputs, by conv_2d_gemm's product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.arithmetic import INT8_MAX, INT8_MIN
from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.conv_2d_gemm import (
    SCALED_SHIFT,
    STORES,
    Channels,
    Scaling,
    records,
    tap_order,
)
from pipeline.kernels.cortex_m4.conv_2d_gemm_work import (
    PIXELS,
    Behind,
    Format,
    Work,
    as_convolution,
    count_matrices,
)
from pipeline.kernels.cortex_m4.thresholds import MOST_BITS, fitting_multipliers, thresholds_once
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, constant, integer
from pipeline.operators.fully_connected import FullyConnected
from pipeline.tensors import Tensor


class FullyConnectedGemm(Kernel):
    """firmware_templates/kernels/cortex_m4/fully_connected_gemm.c, with the loops of conv_2d_gemm.S."""

    name = "fully_connected_gemm"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """Weights as those of conv_2d_gemm."""
        if not isinstance(op, FullyConnected):
            return ()
        p = op.parameters(inputs, output)
        weights = constant(inputs[1]).astype(np.int64)
        channels = exact_outputs(p, weights) if integer(p, "rows") > 1 else None
        if channels is None:
            return ()
        wide = channels.scaled_form if scaling_of(p, weights, channels) else Format.INT16
        found = [_candidate(p, weights, channels, form) for form in (Format.INT8, wide)]
        in_ram = [each.in_ram_too({"weights": each.weights_bytes}) for each in found]
        return (found[0], *in_ram)


def exact_outputs(p: Parameters, weights: np.ndarray) -> Channels | None:
    """The outputs, where the kernel gives the reference's integers for every input; else None.

    `p` are the operator's parameters, `weights` are (outputs, inputs). The reference rounds once, ties away
    from zero: where that differs from a multiplier's product rounded half up, another multiplier may do.
    """
    bias = array(p, "bias").astype(np.int64)
    high, low = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    least = bias + high * INT8_MIN + low * INT8_MAX
    most = bias + high * INT8_MAX + low * INT8_MIN
    minimum, maximum, zero = (integer(p, name) for name in ("minimum", "maximum", "output_zero"))
    multiplier, shift = (array(p, name).astype(np.int64) for name in ("multiplier", "shift"))
    residue = np.zeros_like(multiplier) if p["residue"] is None else array(p, "residue").astype(np.int64)
    if len(multiplier) == 1:
        # One for all outputs.
        least, most = least.min(keepdims=True), most.max(keepdims=True)
    largest = np.abs([least, most]).max(axis=0)
    # An output whose sums are too small to leave the zero point has any shift.
    silent = largest * multiplier * 2.0 ** (shift - 31) < 0.5
    right, wanted = np.where(silent, 1, -shift), np.where(silent, 0, multiplier)
    if (right < 1).any() or (right > MOST_BITS).any() or (largest >= 2**30).any():
        return None
    results = np.arange(minimum + 1, maximum + 1) - zero
    half = np.int64(1) << (right - 1)
    fitting = fitting_multipliers(
        thresholds_once(results, multiplier, residue, shift),
        ((results << right[:, np.newaxis]) - half[:, np.newaxis]) << 31,
        least,
        most,
        wanted,
    )
    if fitting is None:
        return None
    added = (2 * (zero - minimum) + 1) << (right - 1)
    if ((largest * fitting >> 31) + added + 1 >= 2**31).any():
        return None
    start = 2 * (bias - 128 * weights.sum(axis=1))
    each = (fitting, right, np.array(minimum), np.array(maximum), largest)
    return Channels(start, *(np.broadcast_to(one, start.shape) for one in each))


def scaling_of(p: Parameters, weights: np.ndarray, channels: Channels) -> Scaling | None:
    """The scaling, where scaled sums fit int32 and scaled weights int16."""
    k = SCALED_SHIFT - channels.shift
    if (k < 1).any():
        return None
    if (np.abs(weights).max(axis=1) << k >= 2**15).any() or (channels.largest << (k + 1) >= 2**31).any():
        return None
    above = (integer(p, "output_zero") - channels.floor) << SCALED_SHIFT
    return Scaling(1 << k, above + (1 << (SCALED_SHIFT - 1)))


def _store(channels: Channels) -> str:
    """What becomes of the sums; of a layer quantized as a whole with one scale."""
    one = all((each == each[0]).all() for each in (channels.multiplier, channels.shift))
    return "stored_once_one_scale" if one else "stored_once_one_floor"


def _sizes(p: Parameters) -> tuple[int, int, int]:
    return integer(p, "rows"), integer(p, "inputs"), integer(p, "outputs")


def _candidate(p: Parameters, weights: np.ndarray, channels: Channels, form: Format) -> Candidate:
    work = replace(count_matrices(*_sizes(p)), store=_store(channels))
    record_bytes = work.record_bytes(form)
    left = integer(p, "inputs") % 4
    return Candidate(
        library="cortex_m4",
        kernel=FullyConnectedGemm.name,
        variant="4 rows x 2 outputs" + f", weights {form.value}" * (form is not Format.INT8),
        parameters=lambda: _parameters(p, weights, channels, work, form),
        features=work.features(form),
        scratch_bytes=4 * PIXELS * work.steps + max(2 * work.steps, PIXELS * 4 * math.ceil(left / 4)),
        weights_bytes=record_bytes,
        streamed={"weights": record_bytes * work.blocks},
    )


def _parameters(
    p: Parameters, weights: np.ndarray, channels: Channels, work: Work, form: Format
) -> Parameters:
    """The fields of `struct fully_connected_gemm`, in its order."""
    behind = work.behind(form)
    order = tap_order(as_convolution(*_sizes(p)))
    return {
        **{name: p[name] for name in ("rows", "inputs", "outputs", "output_zero")},
        "floor": -128 if behind is Behind.NOTHING else p["minimum"],
        "ceiling": p["maximum"],
        "steps": work.steps,
        "pair_bytes": work.pair_bytes(form),
        "multiply": f"conv_2d_gemm_{form.loop}",
        "multiply_two": f"conv_2d_gemm_{form.loop}_two" if work.twos else None,
        "store": f"conv_2d_gemm_{STORES[work.store_of(form)]}",
        "weights": records(weights, order, channels, form, behind, scaling_of(p, weights, channels)),
    }
