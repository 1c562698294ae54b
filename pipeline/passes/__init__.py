"""Rewrites of the graph that change its cost and no output bit."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.graph import Graph
from pipeline.passes.base import Applied, Pass
from pipeline.passes.fuse_clamp import fuse_clamp
from pipeline.passes.fuse_pad import fuse_pad
from pipeline.passes.fuse_pool import fuse_pool

# The order has meaning: a clamp comes off between a convolution and its pooling before the two can meet.
PASSES: tuple[Pass, ...] = (
    Pass("fuse padding", "a padded copy of a convolution's input", fuse_pad),
    Pass("fuse clamps", "a pass over the activations for each MAXIMUM, MINIMUM or ReLU", fuse_clamp),
    Pass("fuse pooling", "the unpooled activations of a convolution in RAM", fuse_pool),
)


def apply_passes(graph: Graph, passes: Sequence[Pass] = PASSES) -> tuple[Graph, tuple[Applied, ...]]:
    """Apply the passes in order; also say what each did."""
    applied = []
    for rewrite in passes:
        rewritten = rewrite.apply(graph)
        applied.append(Applied(rewrite.name, rewrite.saves, len(graph.nodes) - len(rewritten.nodes)))
        graph = rewritten
    return graph, tuple(applied)


__all__ = ["PASSES", "Applied", "Pass", "apply_passes"]
