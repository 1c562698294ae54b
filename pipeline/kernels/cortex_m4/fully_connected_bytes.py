"""FULLY_CONNECTED, its inputs widened when they are read: no scratch, and 5 % more cycles."""

from __future__ import annotations

from pipeline.kernels.cortex_m4.fully_connected import GROUP, InnerProduct


class FullyConnectedBytes(InnerProduct):
    """firmware_templates/kernels/cortex_m4/fully_connected_bytes.c"""

    name = "fully_connected_bytes"
    unrolled = 4
    way = "pairs, no scratch"

    def scratch(self, inputs: int) -> int | None:
        return None if inputs % GROUP else 0
