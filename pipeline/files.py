"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import UsageError


def write_file(path: Path, content: bytes) -> None:
    """Write one file; its folder is made where it is not there. UsageError E_OUTPUT."""
    write_files({path: content})


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write several files; UsageError E_OUTPUT.

    All are written beside their places before the first is put there: a full disk leaves the old ones.
    """
    waiting: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            # The process in its name: two commands may write the same file at once.
            waiting[path] = path.with_name(f".{path.name}.{os.getpid()}.part")
            waiting[path].write_bytes(content)
        for path, written in waiting.items():
            written.replace(path)
    except OSError as error:
        raise UsageError(
            f"it cannot be written ({error.strerror})",
            code="E_OUTPUT",
            where=path,
            hint="name a place that you may write to and that is not full",
        ) from error
    finally:
        for written in waiting.values():
            written.unlink(missing_ok=True)


def writable_folder(folder: Path) -> Path:
    """The folder, made where it is not there, which can be written to; UsageError E_OUTPUT otherwise."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise UsageError(
            f"nothing can be written there ({error.strerror})",
            code="E_OUTPUT",
            where=folder,
            hint="name a folder that you may write to with -o",
        ) from error
    return folder
