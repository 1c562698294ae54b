"""What a pass is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.graph import Graph


@dataclass(frozen=True, slots=True)
class Pass:
    """A rewrite of the graph that changes its cost and no output bit, and what it saves, in words."""

    name: str
    saves: str
    apply: Callable[[Graph], Graph]


@dataclass(frozen=True, slots=True)
class Applied:
    """What one pass did to a graph."""

    name: str
    saves: str
    removed_nodes: int
