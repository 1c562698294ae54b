"""One description per chip family, from ST's reference manuals and device headers."""

from __future__ import annotations

from pathlib import Path

from pipeline.registry import discover
from pipeline.virtual.chip import Family

FAMILIES: dict[str, type[Family]] = {
    family.name: family
    for family in discover(__name__, Path(__file__).parent, Family)  # type: ignore[type-abstract]
}
