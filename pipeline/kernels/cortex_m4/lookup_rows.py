"""Operators on single elements by a table of results, row by row, four elements at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.kernels.base import Candidate, Kernel
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array
from pipeline.operators.quantize import Requantize
from pipeline.operators.relu import Clamping
from pipeline.operators.unary import EVERY_INT8, Unary
from pipeline.tensors import Tensor

ENTRIES = len(EVERY_INT8)
FLASH_READ_BYTES = 8
"""What a flash reads for one entry of a table."""

NEGLIGIBLE = 1e-6


@dataclass(frozen=True, slots=True)
class Cache:
    """Of constants in flash, in sets of lines; the line that was not used for the longest time goes."""

    line_bytes: int
    lines: int
    ways: int

    def missed(self, tables: int, passes: int) -> float:
        """How many of all reads miss, where each pass reads an entry of each table, any as likely as another.

        An inference repeats the one before. Tables whose addresses differ by the sets' size share their sets.
        """
        groups = self.lines // self.ways * self.line_bytes // ENTRIES
        fewer, larger = divmod(tables, groups)
        shares = ((fewer + 1, larger), (fewer, groups - larger))
        return passes * sum(
            sharing * count * self._chance(sharing, passes) for sharing, count in shares if sharing * count
        )

    def _chance(self, sharing: int, passes: int) -> float:
        """That a read misses where so many tables share their sets.

        A line that was read `ago` passes before is there if fewer lines of its set than ways were read since.
        """
        once = self.line_bytes / ENTRIES
        missed, left = 0.0, 1.0
        for ago in range(1, passes + 1):
            again = left if ago == passes else left * once
            left -= again
            since = 1 - (1 - once) ** ago
            missed += again * (1 - _at_most(self.ways - 1, sharing - 1, since))
            if left < NEGLIGIBLE:
                break
        return missed


def _at_most(most: int, count: int, chance: float) -> float:
    """The chance that no more than `most` of `count` things happen, each with this chance."""
    return sum(math.comb(count, n) * chance**n * (1 - chance) ** (count - n) for n in range(most + 1))


CACHES = {"flash_missed_8k": Cache(16, 512, 2), "flash_missed_16k": Cache(32, 512, 4)}
"""Those of an STM32U5 (RM0456, ICACHE), and of a Cortex-M7 with 16 KB (STM32F767, STM32H743)."""


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
        streams = op.rows_read(inputs, output, 0, 1) is not None
        # In calls for one row each, where it can be called so.
        calls = _rows(output) if streams else 1
        features = {"calls": float(calls), **_features(_rows(output), pixels, channels, own)}
        flash = Candidate(
            library="cortex_m4",
            kernel=self.name,
            variant="a table for each channel" if own else "a table",
            parameters=lambda: _fields(tables, pixels // _rows(output), channels),
            weights_bytes=tables.nbytes,
            # One table is as large as the cache between core and flash: it is read about once.
            streamed={"table": FLASH_READ_BYTES * output.elements if own else tables.nbytes},
            features=features,
            streams=streams,
        )
        ram = flash.in_ram_too({"table": tables.nbytes})
        read = _reads(_rows(output), pixels, channels, bool(own))
        return replace(flash, features={**features, **read}), ram


def _reads(rows: int, pixels: int, channels: int, own: bool) -> dict[str, float]:
    """What is read of tables in flash, and again where a cache does not hold it."""
    if own:
        return {name: cache.missed(channels, pixels) for name, cache in CACHES.items()}
    reads = pixels * channels
    pieces = ENTRIES // FLASH_READ_BYTES
    # At each row, what is read besides the table takes lines from it.
    again = pieces * (1 - (1 - 1 / pieces) ** (reads / rows))
    return {"flash_cached_reads": reads, "flash_cached_pieces": rows * again}


def _features(rows: int, pixels: int, channels: int, own: str) -> dict[str, float]:
    """How often each thing is done; `own` where each channel has a table."""
    words = float(pixels * (channels // 4))
    found = {f"{own}rows": rows, f"{own}words": words, f"{own}rest": pixels * (channels % 4)}
    if own:
        # Words that do not begin where words do take longer.
        found |= {
            "own_pixels" if channels >= 4 else "own_narrow_pixels": pixels,
            "own_unaligned": words * (channels % 4 > 0),
        }
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
