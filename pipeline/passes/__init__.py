"""Rewrites of the graph that change its cost and no output bit."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.graph import Graph
from pipeline.passes.base import Applied, Pass, applied
from pipeline.passes.drop_identities import drop_identities
from pipeline.passes.drop_unread import drop_unread
from pipeline.passes.fold_constants import fold_constants
from pipeline.passes.fuse_branches import fuse_branches
from pipeline.passes.fuse_clamp import fuse_clamp
from pipeline.passes.fuse_pad import fuse_pad
from pipeline.passes.fuse_pool import fuse_pool
from pipeline.passes.fuse_tables import fuse_tables
from pipeline.passes.pool_first import pool_first
from pipeline.passes.remove_dead_channels import remove_dead_channels
from pipeline.passes.share import share

# The order has meaning: what is dropped between two operators lets them meet, a clamp comes off between a
# convolution and its pooling, what is left there goes behind the pooling, and tables take what nothing else
# could.
PASSES: tuple[Pass, ...] = (
    Pass("fold constants", "operators that do not depend on the input", fold_constants),
    Pass("drop identities", "operators that change nothing", drop_identities),
    Pass("share repeated operators", "computing the same twice", share),
    Pass("drop unread", "operators whose output nobody reads", drop_unread),
    Pass(
        "remove dead channels", "channels of one known value, or that no weight reads", remove_dead_channels
    ),
    Pass("fuse branches", "operators on single elements that meet again, by a table", fuse_branches),
    Pass("fuse padding", "a padded copy of a convolution's input", fuse_pad),
    Pass("fuse clamps", "a pass over the activations for each MAXIMUM, MINIMUM or ReLU", fuse_clamp),
    Pass("pool first", "operators on elements that a pooling drops", pool_first),
    Pass("fuse pooling", "the unpooled activations of a convolution in RAM", fuse_pool),
    Pass("fuse tables", "arithmetic on single elements, which a table of 256 results replaces", fuse_tables),
)


def apply_passes(graph: Graph, passes: Sequence[Pass] = PASSES) -> tuple[Graph, tuple[Applied, ...]]:
    """Apply the passes in order; also say what each did."""
    done = []
    for rewrite in passes:
        rewritten = rewrite.apply(graph)
        done.append(applied(rewrite, graph, rewritten))
        graph = rewritten
    return graph, tuple(done)


__all__ = ["PASSES", "Applied", "Pass", "apply_passes"]
