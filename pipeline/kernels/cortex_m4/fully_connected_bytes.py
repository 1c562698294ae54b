"""FULLY_CONNECTED, its inputs widened when they are read: no scratch, and 5 % more cycles."""

from __future__ import annotations

from pipeline.kernels.cortex_m4.fully_connected import GROUP, InnerProduct

# Instructions and cycles of each of the features that a layer is counted by, fitted on layers that were run.
COSTS = {
    "steps": (15.85, 19.93),
    "turns": (2.65, 7.31),
    "groups": (38.4, 59.4),
    "words": (5.84, 7.8),
    "rows": (86.0, 185.0),
}


class FullyConnectedBytes(InnerProduct):
    """firmware_templates/kernels/cortex_m4/fully_connected_bytes.c"""

    name = "fully_connected_bytes"
    unrolled = 4
    way = "pairs, no scratch"
    costs = COSTS

    def scratch(self, inputs: int) -> int | None:
        return None if inputs % GROUP else 0
