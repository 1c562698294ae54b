"""RESIZE_NEAREST_NEIGHBOR, and MIRROR_PAD of height and width, row by row."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.copied import copied
from pipeline.operators import Operator
from pipeline.operators.checks import array
from pipeline.operators.select import Select
from pipeline.tensors import Tensor


class SelectRows(Kernel):
    """firmware_templates/kernels/cortex_m4/select_rows.c"""

    name = "select_rows"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """None of int16, and where channels are picked, too."""
        if not isinstance(op, Select) or output.dtype != "int8" or op.rows_read(inputs, output, 0, 1) is None:
            return ()
        p = op.parameters(inputs, output)
        if p["sources"] is not None:
            return ()
        _, height, width, channels = output.shape
        rows, columns = array(p, "rows"), array(p, "columns")
        return (
            Candidate(
                library="cortex_m4",
                kernel=self.name,
                variant="row by row",
                parameters=lambda: {"width": width, "channels": channels, "rows": rows, "columns": columns},
                weights_bytes=rows.nbytes + columns.nbytes,
                features={"rows": height, **copied(height * width, [channels], channels)},
                streams=True,
            ),
        )
