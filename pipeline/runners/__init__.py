"""Execute firmware somewhere and return what it said over its serial line."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import UsageError
from pipeline.registry import discover, nearest
from pipeline.runners.base import CoreState, Runner, Source, Stimulus, Transcript

RUNNERS = {kind.name: kind for kind in discover(__name__, Path(__file__).parent, Runner)}  # type: ignore[type-abstract]

__all__ = ["RUNNERS", "CoreState", "Runner", "Source", "Stimulus", "Transcript", "find_runner"]


def find_runner(name: str) -> Runner:
    """The runner of this name, with its default settings. UsageError E_RUNNER_UNKNOWN."""
    if name not in RUNNERS:
        near = nearest(name, RUNNERS)
        raise UsageError(
            f"there is no runner {name!r}",
            code="E_RUNNER_UNKNOWN",
            hint=(f"did you mean {near}? " if near else "") + f"known runners: {', '.join(RUNNERS)}",
        )
    return RUNNERS[name]()
