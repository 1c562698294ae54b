"""FULLY_CONNECTED, its inputs widened once: the fastest, with two bytes of scratch for each."""

from __future__ import annotations

from pipeline.kernels.cortex_m4.fully_connected import InnerProduct, filled

# Instructions and cycles of each of the features that a layer is counted by, fitted on layers that were run.
COSTS = {
    "steps": (13.94, 19.58),
    "turns": (2.59, 6.47),
    "groups": (38.3, 58.9),
    "words": (11.8, 16.7),
    "rows": (104.0, 212.0),
}


class FullyConnectedPairs(InnerProduct):
    """firmware_templates/kernels/cortex_m4/fully_connected_pairs.c"""

    name = "fully_connected_pairs"
    unrolled = 8
    way = "pairs, widened first"
    costs = COSTS

    def scratch(self, inputs: int) -> int | None:
        return 2 * filled(inputs)
