"""Where a model's signal dies: tensors that hold nearly zero for every sample.

Such a tensor alone is no fault: the first step of a GRU multiplies a state of zeros, and a sum that reads
it goes on with its other operand. A model is dead when the signal has no other way to an output.

TFLite's kernels abort the process on scales that are smaller still: SOFTMAX wants a scale above 2^-26,
that of a range of 3.8e-6 (`QuantizeMultiplierGreaterThanOne` in kernels/internal/quantization_util.cc).
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ModelNotSupported
from pipeline.quantize.tflite_graph import TfliteGraph

DEAD_RANGE = 1e-5
"""The width of a tensor's range, zero included, below which it is taken for zero."""
SHOWN = 5


def refuse_dead(graph: TfliteGraph, path: Path | None) -> None:
    """Refuse a graph, float with ranges or int8, where all that an output takes from the inputs is lost.

    Raises ModelNotSupported E_MODEL_DEAD with the layers at which the signal ends.
    """
    reached = {int(index) for index in graph.subgraph.inputs}
    alive, ends = set(reached), []
    for operator in graph.operators:
        inputs, outputs = ({int(index) for index in each} for each in (operator.inputs, operator.outputs))
        if reached & inputs:
            reached |= outputs
        if alive & inputs:
            dead = {index for index in outputs if _is_dead(graph, index)}
            alive |= outputs - dead
            ends += sorted(dead)
    if {int(index) for index in graph.subgraph.outputs} & (reached - alive):
        names = [graph.name(index).split(";")[0] for index in ends]
        details = [f"{name}: stays within {DEAD_RANGE:g} for every sample" for name in names[:SHOWN]]
        raise ModelNotSupported(
            "the signal dies on its way: nothing of the inputs reaches an output",
            code="E_MODEL_DEAD",
            where=path,
            details=details + [f"and {len(names) - SHOWN} more"] * (len(names) > SHOWN),
            hint="is the model trained, and are the samples prepared as its training data were?",
        )


def widen_dead(graph: TfliteGraph) -> None:
    """Give dead tensors of a float graph a range that all kernels can work with, around what they hold."""
    for tensor in graph.activations():
        held = graph.range(tensor)
        if held is not None and _is_dead(graph, tensor):
            low, high = min(held[0], 0.0), max(held[1], 0.0)
            missing = (DEAD_RANGE - (high - low)) / 2
            graph.set_range(tensor, low - missing, high + missing)


def _is_dead(graph: TfliteGraph, tensor: int) -> bool:
    """A tensor of unknown range is none: it holds no real values."""
    held = graph.reach(tensor) or graph.range(tensor)
    return held is not None and max(held[1], 0.0) - min(held[0], 0.0) < DEAD_RANGE
