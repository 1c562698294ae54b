"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""(stage, steps done, steps in total), as often as something is done; a total of 1 for what has no steps."""
