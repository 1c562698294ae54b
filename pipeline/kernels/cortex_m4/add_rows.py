"""ADD of two maps of one shape, row by row: the residual connections of networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from pipeline.kernels.base import Candidate, Cost, Kernel
from pipeline.operators import Operator
from pipeline.operators.add import HEADROOM_BITS, Add
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer, present
from pipeline.tensors import Tensor

# Instructions and zero-wait cycles of each feature, fitted on layers that were run (gcc 12.2, -O2).
COSTS = {
    "words": (76.0, 90.0),
    "rest": (74.0, 86.0),
    "rows": (109.0, 178.0),
    "line_words": (32.0, 35.0),
    "line_rest": (15.7, 21.8),
    "line_rows": (131.0, 209.0),
}
HALF = 2**30
"""The multiplier of the operand of the larger scale, whose factor is 1/2."""
INT32 = np.iinfo(np.int32)
LINE_SHIFT = 22
"""Bits below the output's unit, where a sum is one of two products."""
NEIGHBOURS = 3
"""Factors that are tried lie so far from the real ones at most."""


class AddRows(Kernel):
    """firmware_templates/kernels/cortex_m4/add_rows.c"""

    name = "add_rows"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        # SUB shares ADD's arithmetic, but for a sign.
        if type(op) is not Add or op.rows_read(inputs, output, 0, 1) is None:
            return ()
        fields = _fields(op, inputs, output)
        if fields is None:
            return ()
        rows, width = output.shape[1], output.elements // output.shape[1]
        form = "line_" if fields["line"] else ""
        features = {
            f"{form}words": rows * (width // 4),
            f"{form}rest": rows * (width % 4),
            f"{form}rows": rows,
        }
        instructions, cycles = (sum(n * COSTS[name][i] for name, n in features.items()) for i in (0, 1))
        return (
            Candidate(
                library="cortex_m4",
                kernel=self.name,
                variant="row by row",
                parameters=lambda: fields,
                cost=Cost(instructions, cycles),
                features=features,
                streams=True,
            ),
        )


def _fields(op: Add, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters | None:
    """The fields of `struct add_rows`, in its order; None where its arithmetic would not do."""
    p = op.parameters(inputs, output)
    a, b = present(inputs[0]), present(inputs[1])
    large, small = ("a", "b") if a.scale >= b.scale else ("b", "a")
    if (integer(p, f"{large}_multiplier"), integer(p, f"{large}_shift")) != (HALF, 0):
        return None
    shift, right = -integer(p, "output_shift"), -integer(p, f"{small}_shift")
    floor = integer(p, "minimum")
    # The sums are below 2**29, what is added after scaling has to leave int32 room.
    if integer(p, "maximum") != 127 or not 1 <= shift <= 21 or not 0 <= right <= 27:
        return None
    line = _line(op, tuple((name, integer(p, name)) for name in p))
    return {
        "line": int(line is not None),
        **dict(zip(("a_factor", "b_factor", "constant"), line or (0, 0, 0), strict=True)),
        "swapped": int(large == "b"),
        "row_bytes": output.elements // output.shape[1],
        "large_term": -(integer(p, f"{large}_zero") << 20),
        "small_term": -(integer(p, f"{small}_zero") << 21),
        "small_multiplier": integer(p, f"{small}_multiplier"),
        "small_round": 1 << right >> 1,
        "small_shift": right,
        "multiplier": integer(p, "output_multiplier"),
        "start": (1 << (shift - 1)) + ((integer(p, "output_zero") - floor) << shift),
        "shift": shift,
        "floors": _in_each_byte(floor + 128),
    }


@lru_cache(maxsize=64)
def _line(op: Add, p: tuple[tuple[str, int], ...]) -> tuple[int, int, int] | None:
    """Factors f, g and a constant c with which (f * a + g * b + c) >> LINE_SHIFT, saturated to unsigned
    bytes, is the reference's result less the clamp's lower end, for all 65,536 pairs of operands; or None.

    Each pair bounds c from one or both sides, given the factors.
    """
    fields = dict(p)
    x = np.arange(-128, 128)
    a, b = x[:, np.newaxis], x[np.newaxis, :]
    result = op.reference(fields, a, b).astype(np.int64) - fields["minimum"]
    # Of results at the clamp one bound is the other side of the line; above 127 bytes saturate.
    bottom, top = result == 0, result == fields["maximum"] - fields["minimum"]
    output = np.ldexp(fields["output_multiplier"], fields["output_shift"] - 31 + HEADROOM_BITS + LINE_SHIFT)
    real = [
        output * np.ldexp(fields[f"{name}_multiplier"], fields[f"{name}_shift"] - 31) for name in ("a", "b")
    ]
    steps = range(-NEIGHBOURS, NEIGHBOURS + 1)
    for near in sorted(((i, j) for i in steps for j in steps), key=lambda ij: max(map(abs, ij))):
        f, g = (round(factor) + step for factor, step in zip(real, near, strict=True))
        line = f * a + g * b
        least = np.where(bottom, INT32.min, (result << LINE_SHIFT) - line).max()
        most = np.where(top, INT32.max, ((result + 1 << LINE_SHIFT) - 1) - line).min()
        c = int(least + most) // 2
        if least <= c <= most and INT32.min <= (line + c).min() and (line + c).max() <= INT32.max:
            return f, g, c
    return None


def _in_each_byte(value: int) -> int:
    word = value * 0x01010101
    return word - (1 << 32) if word >= 1 << 31 else word
