"""Operators on single elements by a table of results, row by row, four elements at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.kernels.base import Candidate, Cost, Kernel
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array
from pipeline.operators.quantize import Requantize
from pipeline.operators.relu import Clamping
from pipeline.operators.unary import EVERY_INT8, Unary
from pipeline.tensors import Tensor

# Instructions and zero-wait cycles of each feature, fitted on layers that were run (gcc 12.2, -O2).
COSTS: Mapping[str, tuple[float, float]] = {
    "once": (11.0, 27.0),
    "rows": (48.6, 75.3),
    "words": (17.0, 22.4),
    "rest": (5.8, 11.8),
    "own_rows": (36.8, 64.3),
    "own_pixels": (19.0, 29.9),
    "own_words": (18.0, 21.3),
    "own_unaligned": (1.2, 4.9),
    "own_rest": (4.65, 5.0),
}
ENTRIES = len(EVERY_INT8)
FLASH_READ_BYTES = 8
"""What a flash reads for one entry of a table."""


class LookupRows(Kernel):
    """firmware_templates/kernels/cortex_m4/lookup_rows.c"""

    name = "lookup_rows"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """With its tables in flash and in RAM; none for what depends on more than one int8."""
        tables = _tables(op, inputs, output)
        if tables is None:
            return ()
        channels = output.shape[-1] if len(tables) > 1 else output.elements // _rows(output)
        pixels = output.elements // channels
        own = "own_" if len(tables) > 1 else ""
        features = _features(_rows(output), pixels, channels, own)
        instructions, cycles = (sum(n * COSTS[name][i] for name, n in features.items()) for i in (0, 1))
        flash = Candidate(
            library="cortex_m4",
            kernel=self.name,
            variant="a table for each channel" if own else "a table",
            parameters=lambda: _fields(tables, pixels // _rows(output), channels),
            cost=Cost(instructions, cycles),
            weights_bytes=tables.nbytes,
            # One table is as large as the cache between core and flash: it is read about once.
            streamed={"table": FLASH_READ_BYTES * output.elements if own else tables.nbytes},
            features=features,
            streams=op.rows_read(inputs, output, 0, 1) is not None,
        )
        ram = flash.in_ram_too({"table": tables.nbytes})
        # How often the cache holds what one table is asked for is a matter of the board.
        asked = {} if own else {"cached_reads": float(output.elements)}
        return replace(flash, features={**features, **asked}), ram


def _features(rows: int, pixels: int, channels: int, own: str) -> dict[str, float]:
    """How often each thing of COSTS is done; `own` where each channel has a table."""
    words = float(pixels * (channels // 4))
    found = {"once": 1.0, f"{own}rows": rows, f"{own}words": words, f"{own}rest": pixels * (channels % 4)}
    if own:
        # Words that do not begin where words do take longer.
        found |= {"own_pixels": pixels, "own_unaligned": words * (channels % 4 > 0)}
    return found


def _rows(output: Tensor) -> int:
    """Those of the output as a feature map: its height, or of (rows, features) the rows."""
    if len(output.shape) == 4:
        return output.shape[1]
    return output.shape[0] if len(output.shape) > 1 else 1


def _tables(op: Operator, inputs: Sequence[Tensor | None], output: Tensor) -> np.ndarray | None:
    """int8 (1 or channels, 256), the results for -128, -127 ... 127; None where there is no such table."""
    x = inputs[0]
    if x is None or x.dtype != "int8" or output.dtype != "int8":
        return None
    p = op.parameters(inputs, output)
    if isinstance(op, Unary):
        return array(p, "table")
    if isinstance(op, Clamping | Requantize):
        return op.reference(p, EVERY_INT8.astype(np.int8)).reshape(1, ENTRIES)
    return None


def _fields(tables: np.ndarray, pixels: int, channels: int) -> Parameters:
    """The fields of `struct lookup_rows`, in its order."""
    return {
        "pixels": pixels,
        "channels": channels,
        "tables": len(tables),
        "table": np.roll(tables, ENTRIES // 2, axis=1),
    }
