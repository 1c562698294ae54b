"""What the kernels of FULLY_CONNECTED share: two products of each multiplication."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import INT8_MAX, INT8_MIN, LARGEST_ACCUMULATOR
from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.thresholds import MOST_BITS, fitting_multipliers, thresholds_once
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, constant, integer, present
from pipeline.operators.fully_connected import FullyConnected
from pipeline.tensors import Tensor

GROUP = 4
"""Outputs that share the loads of the inputs; also inputs of a word."""


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """(multiplier * sum / 2**32 + rounding) / 2**shift, rounded down twice, which is the same as once."""

    rounding: int
    shift: int
    multiplier: np.ndarray
    """Four for each group of outputs, or four in all where there is one for all."""


class InnerProduct(Kernel):
    """firmware_templates/kernels/cortex_m4/fully_connected.h"""

    unrolled: ClassVar[int]
    """Words of inputs in a turn of the loop."""
    way: ClassVar[str]
    """How it reads the inputs."""

    @abstractmethod
    def scratch(self, inputs: int) -> int | None:
        """Bytes for so many inputs, or None: it cannot take so many."""

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
        scratch, scaling = self.scratch(depth), _scaling(p, weights)
        if scratch is None or scaling is None:
            return ()
        size = filled(depth) * filled(outputs)
        one = Candidate(
            library="cortex_m4",
            kernel=self.name,
            variant=self.way,
            parameters=lambda: _parameters(p, weights, scaling),
            features=self._features(rows, filled(depth), outputs),
            scratch_bytes=scratch,
            weights_bytes=size + 4 * filled(outputs) + scaling.multiplier.nbytes,
            streamed={"weights": size * rows},
            streams=by_rows,
        )
        return one, one.in_ram_too({"weights": size})

    def _features(self, rows: int, inputs: int, outputs: int) -> dict[str, float]:
        """How often each thing is done."""
        groups, words = filled(outputs) // GROUP, inputs // GROUP
        return {
            "steps": rows * groups * words,
            "turns": rows * groups * -(-words // self.unrolled),
            "groups": rows * groups,
            "words": rows * words,
            "rows": rows,
        }


def filled(count: int) -> int:
    """Up to a whole number of groups, or words."""
    return -(-count // GROUP) * GROUP


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
    return np.pad(values, [(0, filled(len(values)) - len(values))] + [(0, 0)] * (values.ndim - 1))


def _parameters(p: Parameters, weights: np.ndarray, scaling: Scaling) -> Parameters:
    """FULLY_CONNECTED_FIELDS, in their order."""
    low, high = integer(p, "minimum"), integer(p, "maximum")
    above = 255 - (high - low)
    weights = _fill(_fill(weights).T).T
    pairs = (weights[:, ::2].astype(np.int64) * weights[:, 1::2]).sum(axis=1)
    words = weights.reshape(len(weights) // GROUP, GROUP, -1, GROUP).transpose(0, 2, 1, 3)
    return {
        "inputs": integer(p, "inputs"),
        "outputs": integer(p, "outputs"),
        "rounding": scaling.rounding,
        "shift": scaling.shift,
        "above": _in_all_bytes(above),
        "base": _in_all_bytes(low - above),
        "multiplier_step": 16 * integer(p, "scale_step"),
        "weights": np.ascontiguousarray(words).ravel().view(np.int32),
        "bias": (_fill(array(p, "bias").astype(np.int64)) - pairs).astype(np.int32),
        "multiplier": scaling.multiplier,
    }


def _in_all_bytes(value: int) -> int:
    """A byte four times, as an int32."""
    return int(np.int32(np.uint32((value & 0xFF) * 0x01010101).view(np.int32)))
