"""MEAN along any neighbouring axes, of whole maps."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.kernels.base import Candidate, Kernel
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer, present
from pipeline.operators.mean import Mean
from pipeline.tensors import Tensor

MOST_IN_A_LANE = 255
"""Words that are added up in a round."""


class MeanAxes(Kernel):
    """firmware_templates/kernels/cortex_m4/mean_axes.c"""

    name = "mean_axes"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        if not isinstance(op, Mean) or op.element != "int8":
            return ()
        fields = _fields(op.parameters(inputs, output), op.count(present(inputs[0])))
        outer, count, inner = (integer(fields, name) for name in ("outer", "count", "inner"))
        features: dict[str, float] = {"once": 1}
        if inner == 1:
            features |= {
                "along_outputs": outer,
                "along_words": outer * (count // 4),
                "along_rounds": outer * -(-(count // 4) // MOST_IN_A_LANE),
                "along_rest": outer * (count % 4),
                # Words that do not begin where words do take longer.
                "odd_words": outer * (count // 4) if count % 4 else 0,
            }
        else:
            features |= {
                "outers": outer,
                "fours": outer * (inner // 4),
                "words": outer * count * (inner // 4),
                "columns": outer * (inner % 4),
                "rest": outer * count * (inner % 4),
                "odd_words": outer * count * (inner // 4) if inner % 4 else 0,
            }
        return (
            Candidate(
                library="cortex_m4",
                kernel=self.name,
                variant="four sums at a time",
                parameters=lambda: fields,
                features=features,
            ),
        )


def _fields(p: Parameters, count: int) -> Parameters:
    """The fields of `struct mean_axes`, in its order."""
    shift = integer(p, "shift")
    return {
        **{name: p[name] for name in ("outer", "count", "inner")},
        "zeros": count * integer(p, "input_zero"),
        "output_zero": p["output_zero"],
        "multiplier": p["multiplier"],
        "left": max(shift, 0),
        "right": max(-shift, 0),
    }
