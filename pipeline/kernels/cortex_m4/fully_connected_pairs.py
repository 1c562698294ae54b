"""FULLY_CONNECTED with two products of each multiplication."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.arithmetic import INT8_MAX, INT8_MIN, LARGEST_ACCUMULATOR
from pipeline.kernels.base import Candidate, Cost, Kernel
from pipeline.kernels.cortex_m4.thresholds import MOST_BITS, fitting_multipliers, thresholds_once
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, constant, integer, present
from pipeline.operators.fully_connected import FullyConnected
from pipeline.tensors import Tensor

GROUP = 4
"""Outputs that share the loads of the inputs; also inputs of a word."""

PART = 128
"""Inputs that are widened at once, where that takes less memory than all of them."""

# What a layer is counted by, and the instructions and cycles of each.
COSTS = {
    "steps": (14.0, 20.0),  # a word of inputs for a group
    "turns": (2.0, 2.3),  # of the unrolled loop
    "starts": (24.7, 48.0),  # of a group in a part
    "groups": (17.4, 19.4),  # rescaled
    "words": (12.4, 17.0),  # widened
    "rows": (123.0, 216.0),
}
UNROLLED = 8


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """(multiplier * sum / 2**32 + rounding) / 2**shift, rounded down twice, which is the same as once."""

    rounding: int
    shift: int
    multiplier: np.ndarray
    """Four for each group of outputs, or four in all where there is one for all."""


class FullyConnectedPairs(Kernel):
    """firmware_templates/kernels/cortex_m4/fully_connected_pairs.c"""

    name = "fully_connected_pairs"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> tuple[Candidate, ...]:
        if not isinstance(op, FullyConnected):
            return ()
        p = op.parameters(inputs, output)
        x = present(inputs[0])
        rows, depth, outputs = (integer(p, name) for name in ("rows", "inputs", "outputs"))
        by_rows = x.shape == (rows, depth)
        if output.shape != (rows, outputs) or not (by_rows or rows == 1):
            return ()
        weights = constant(inputs[1])
        scaling = _scaling(p, weights)
        if scaling is None:
            return ()
        whole = _filled(depth)
        parts = [whole]
        if _scratch(PART, whole, outputs) < _scratch(whole, whole, outputs):
            parts.append(PART)
        size = whole * _filled(outputs)
        found = []
        for part in parts:
            one = Candidate(
                library="cortex_m4",
                kernel=self.name,
                variant="pairs" if part == whole else f"pairs, {part} inputs at a time",
                parameters=lambda part=part: _parameters(p, weights, scaling, part),  # type: ignore[misc]
                cost=_cost(_features(rows, whole, outputs, part)),
                features=_features(rows, whole, outputs, part),
                scratch_bytes=_scratch(part, whole, outputs),
                weights_bytes=size + 4 * _filled(outputs) + scaling.multiplier.nbytes,
                streamed={"weights": size * rows},
                streams=by_rows,
            )
            found += [one, one.in_ram_too({"weights": size})]
        return tuple(found)


def _filled(count: int) -> int:
    """Up to a whole number of groups, or words."""
    return -(-count // GROUP) * GROUP


def _scratch(part: int, inputs: int, outputs: int) -> int:
    """Bytes: widened inputs, and sums where they have to wait."""
    return 2 * part + (4 * _filled(outputs) if part < inputs else 0)


def _cost(features: Mapping[str, float]) -> Cost:
    return Cost(*(sum(count * COSTS[name][i] for name, count in features.items()) for i in (0, 1)))


def _features(rows: int, inputs: int, outputs: int, part: int) -> dict[str, float]:
    """How often each thing of COSTS is done."""
    groups, words = _filled(outputs) // GROUP, inputs // GROUP
    lengths = [min(part, inputs - start) // GROUP for start in range(0, inputs, part)]
    return {
        "steps": rows * groups * words,
        "turns": rows * groups * sum(-(-length // UNROLLED) for length in lengths),
        "starts": rows * groups * len(lengths),
        "groups": rows * groups,
        "words": rows * words,
        "rows": rows,
    }


def _scaling(p: Parameters, weights: np.ndarray) -> Scaling | None:
    """Of the outputs above their minimum, exact for every sum that the weights can lead to; else None."""
    low, high, zero = (integer(p, name) for name in ("minimum", "maximum", "output_zero"))
    bias = array(p, "bias").astype(np.int64)
    positive, negative = (
        np.where(sign * weights > 0, weights, 0).sum(axis=1, dtype=np.int64) for sign in (1, -1)
    )
    least = bias + positive * INT8_MIN + negative * INT8_MAX
    most = bias + positive * INT8_MAX + negative * INT8_MIN
    multiplier, shifts = array(p, "multiplier").astype(np.int64), array(p, "shift").astype(np.int64)
    residue = array(p, "residue") if p["residue"] is not None else np.zeros_like(multiplier)
    if len(multiplier) == 1:
        least, most = least.min(keepdims=True), most.max(keepdims=True)
    bits = min(-int(shifts.max()) - 1, MOST_BITS)
    if bits < 1 or np.abs([least, most]).max() >= LARGEST_ACCUMULATOR:
        return None
    results = np.arange(low + 1, high + 1) - zero
    fitting = fitting_multipliers(
        thresholds_once(results, multiplier, residue, shifts),
        ((results << bits) - (1 << bits - 1)) << 32,
        least,
        most,
        # m / 2**(32 + bits) = multiplier / 2**(31 - shift)
        multiplier >> -(shifts + bits + 1),
    )
    if fitting is None:
        return None
    rounding = ((zero - low) << bits) + (1 << bits - 1)
    return Scaling(rounding, bits, _fill(np.resize(fitting, max(len(fitting), GROUP))).astype(np.int32))


def _fill(values: np.ndarray) -> np.ndarray:
    """With zeros, up to whole groups along the first axis."""
    return np.pad(values, [(0, _filled(len(values)) - len(values))] + [(0, 0)] * (values.ndim - 1))


def _parameters(p: Parameters, weights: np.ndarray, scaling: Scaling, part: int) -> Parameters:
    """The fields of `struct fully_connected_pairs`, in its order."""
    low, high = integer(p, "minimum"), integer(p, "maximum")
    above = 255 - (high - low)
    filled = _fill(_fill(weights).T).T
    pairs = (filled[:, ::2].astype(np.int64) * filled[:, 1::2]).sum(axis=1)
    parts = [
        filled[:, start : start + part].reshape(len(filled) // GROUP, GROUP, -1, GROUP).transpose(0, 2, 1, 3)
        for start in range(0, filled.shape[1], part)
    ]
    return {
        "inputs": integer(p, "inputs"),
        "outputs": integer(p, "outputs"),
        "part": part,
        "rounding": scaling.rounding,
        "shift": scaling.shift,
        "above": _in_all_bytes(above),
        "base": _in_all_bytes(low - above),
        "multiplier_step": 16 * integer(p, "scale_step"),
        "weights": np.concatenate([each.ravel() for each in parts]).view(np.int32),
        "bias": (_fill(array(p, "bias").astype(np.int64)) - pairs).astype(np.int32),
        "multiplier": scaling.multiplier,
    }


def _in_all_bytes(value: int) -> int:
    """A byte four times, as an int32."""
    return int(np.int32(np.uint32((value & 0xFF) * 0x01010101).view(np.int32)))
