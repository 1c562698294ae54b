"""TRANSPOSE, SLICE, SPLIT, UNPACK and all else that only picks elements, of whole maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.kernels.base import Candidate, Kernel, array_bytes
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, integer
from pipeline.operators.strided_copy import StridedCopy
from pipeline.tensors import Tensor

INNER_LOOPS, MOST_LOOPS = 3, 7
"""Those that make groups of runs, and all."""


class StridedMoves(Kernel):
    """firmware_templates/kernels/cortex_m4/strided_moves.c"""

    name = "strided_moves"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        if not isinstance(op, StridedCopy):
            return ()
        p = op.parameters(inputs, output)
        counts, steps = array(p, "counts").tolist(), array(p, "steps").tolist()
        if len(counts) > MOST_LOOPS:
            return ()
        missing = max(INNER_LOOPS - len(counts), 0)
        counts, steps = [1] * missing + counts, [0] * missing + steps
        fields = _fields(integer(p, "start"), counts, steps)
        features = _features(integer(p, "start"), counts, steps)
        return (
            Candidate(
                library="cortex_m4",
                kernel=self.name,
                variant="runs of bytes" if steps[-1] == 1 else "four bytes at a time",
                parameters=lambda: fields,
                weights_bytes=array_bytes(fields),
                features=features,
            ),
        )


def _features(start: int, counts: Sequence[int], steps: Sequence[int]) -> dict[str, float]:
    """How often each thing is done."""
    *outer, groups, runs, run = counts
    turns = math.prod(outer)
    made = turns * groups * runs
    features: dict[str, float] = {
        "once": 1,
        "turns": turns - 1,
        # A loop that is at its end begins anew, and the one around it goes on.
        "carries": sum(math.prod(outer[:depth]) for depth in range(1, len(outer))),
        "groups": turns * groups,
    }
    words = made * (run // 4)
    if steps[-1] != 1:
        return features | {
            "picked_runs": made,
            "picked_words": words,
            # Words that do not begin where words do take longer.
            "odd_words": words if run % 4 else 0,
            "picked_rest": made * (run % 4),
        }
    return features | {
        "moved_runs": made,
        "moved_blocks": made * (run // 16),
        "moved_words": made * (run % 16 // 4),
        "moved_rest": made * (run % 4),
        "odd_words": words * sum(size % 4 > 0 for size in (run, math.gcd(start, *steps[:-1]))),
    }


def _fields(start: int, counts: Sequence[int], steps: Sequence[int]) -> Parameters:
    """The fields of `struct strided_moves`, in its order, of INNER_LOOPS loops or more."""
    around = len(counts) - INNER_LOOPS
    groups, runs, run = counts[around:]
    group_step, run_step, step = steps[around:]
    return {
        "start": start,
        "groups": groups,
        "group_step": group_step,
        "runs": runs,
        "run_step": run_step,
        "run": run,
        "step": step,
        "loops": around,
        "counts": np.array(counts[:around], np.int32) if around else None,
        "steps": np.array(steps[:around], np.int32) if around else None,
    }
