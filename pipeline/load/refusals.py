"""The refusals that several readers share."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pipeline.errors import ModelNotSupported

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
TFLITE_MAGIC = b"TFL3"
"""Bytes 4 to 8 of a TFLite file."""


def damaged(path: Path, problem: str, hint: str) -> ModelNotSupported:
    return ModelNotSupported(problem, code="E_MODEL_DAMAGED", where=path, hint=hint)


def what_it_is(content: bytes) -> str:
    if not content:
        return "the file is empty"
    head = content[:2000]
    if head.startswith(b"version https://git-lfs"):
        return "the file is a Git LFS pointer, not the model: run git lfs pull"
    # The cut at 2000 bytes may fall into a character of several bytes.
    if head.decode("utf-8", errors="ignore").isprintable() or not re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        return f"the file holds text ({head[:30].decode(errors='replace')!r}...), not a model"
    if head.startswith(ZIP_MAGIC):
        return "the file is a zip archive, not HDF5"
    return f"the file begins with {head[:8]!r}: neither HDF5 nor a Keras archive"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def dynamic(path: Path, details: list[str]) -> ModelNotSupported:
    return ModelNotSupported(
        "the model has dynamic shapes (-1 below), expected every size but the batch to be known",
        code="E_SHAPE_DYNAMIC",
        where=path,
        details=details,
        hint="build it with a fixed shape, such as keras.Input((32, 32, 3)), and load the weights into that",
    )
