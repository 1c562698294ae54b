"""ADD of two maps of one shape, row by row: the residual connections of networks."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.kernels.base import Candidate, Cost, Kernel
from pipeline.operators import Operator
from pipeline.operators.add import Add
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer, present
from pipeline.tensors import Tensor

# Instructions and zero-wait cycles of each feature, fitted on layers that were run (gcc 12.2, -O2).
COSTS = {"words": (74.0, 86.0), "rest": (74.0, 86.0), "rows": (40.0, 60.0)}
HALF = 2**30
"""The multiplier of the operand of the larger scale, whose factor is 1/2."""


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
        features = {"words": rows * (width // 4), "rest": rows * (width % 4), "rows": rows}
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
    return {
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


def _in_each_byte(value: int) -> int:
    word = value * 0x01010101
    return word - (1 << 32) if word >= 1 << 31 else word
