"""CONCATENATION along width or channels, row by row: what joins a skip to the rows that come of late."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.copied import copied
from pipeline.operators import Operator
from pipeline.operators.checks import present
from pipeline.operators.concatenation import Concatenation
from pipeline.tensors import Tensor

MOST_INPUTS = 5
"""So many maps are handed over in registers and on the stack without a thought."""


class ConcatenationRows(Kernel):
    """firmware_templates/kernels/cortex_m4/concatenation_rows.c"""

    name = "concatenation_rows"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        if not isinstance(op, Concatenation) or len(inputs) > MOST_INPUTS:
            return ()
        if op.rows_read(inputs, output, 0, 1) is None:
            return ()
        height, turns = output.shape[1], math.prod(output.shape[2 : op.axis])
        sizes = [present(x).nbytes // (height * turns) for x in inputs]
        pitch = sum(sizes)
        return (
            Candidate(
                library="cortex_m4",
                kernel=self.name,
                variant="row by row",
                parameters=lambda: {
                    "inputs": len(inputs),
                    "turns": turns,
                    "pitch": pitch,
                    "bytes": np.array(sizes, np.int32),
                },
                features={"rows": height * len(sizes), **copied(height * turns, sizes, pitch)},
                streams=True,
            ),
        )
