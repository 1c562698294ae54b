"""FULLY_CONNECTED, its inputs widened once: the fastest, with two bytes of scratch for each."""

from __future__ import annotations

from pipeline.kernels.cortex_m4.fully_connected import InnerProduct, filled


class FullyConnectedPairs(InnerProduct):
    """firmware_templates/kernels/cortex_m4/fully_connected_pairs.c"""

    name = "fully_connected_pairs"
    unrolled = 8
    way = "pairs, widened first"

    def scratch(self, inputs: int) -> int | None:
        return 2 * filled(inputs)
