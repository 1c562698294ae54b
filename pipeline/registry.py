"""Find what a folder holds, so that no list of files has to be kept."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pipeline.errors import BuildFailed

T = TypeVar("T")


def discover(package: str, folder: Path, kind: type[T]) -> tuple[type[T], ...]:
    """All concrete subclasses of `kind` defined in the modules of `package`, in order of their names."""
    found: dict[str, type[T]] = {}
    for module in sorted(pkgutil.iter_modules([str(folder)]), key=lambda m: m.name):
        members = vars(importlib.import_module(f"{package}.{module.name}")).values()
        for member in members:
            # A class imported into a second module is still defined in one only.
            if (
                isinstance(member, type)
                and issubclass(member, kind)
                and member.__module__ == f"{package}.{module.name}"
                and not getattr(member, "__abstractmethods__", None)
            ):
                found[member.__name__] = member
    return tuple(found[name] for name in sorted(found))


def data_folder(name: str) -> Path:
    """The folder `firmware_templates`, `board` or `models`: in the checkout, or inside an installed package.

    BuildFailed where there is none: a wheel brings no models.
    """
    for root in (Path(__file__).parents[1], Path(__file__).parent / "_data"):
        if (root / name).is_dir():
            return root / name
    raise BuildFailed(
        f"the folder {name}/ is missing from this installation",
        hint="install again from a complete checkout: pip install -e .",
    )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was most likely meant to be, or None."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return close[0] if close else None
