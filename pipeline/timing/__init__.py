"""Estimated clock cycles of a named board, from a run in a simulator: docs/timing.md."""

from pipeline.timing.board import TimingModel, can_estimate, timing_model
from pipeline.timing.estimate import SIMULATORS, Block, Estimate, Part, estimate_cycles, one_layer_a_step
from pipeline.timing.profile import Figures

__all__ = [
    "SIMULATORS",
    "Block",
    "Estimate",
    "Figures",
    "Part",
    "TimingModel",
    "can_estimate",
    "estimate_cycles",
    "one_layer_a_step",
    "timing_model",
]
