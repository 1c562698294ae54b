"""How copying rows in pieces is counted: firmware_templates/kernels/cortex_m4/copy.h."""

from __future__ import annotations

from collections.abc import Iterable


def copied(pieces: float, sizes: Iterable[int], pitch: int) -> dict[str, float]:
    """Of pieces of each of these sizes in bytes, so many of each, `pitch` bytes apart: blocks of 16, words,
    bytes, and pieces that have any of them. Words that do not begin where words do take longer."""
    kinds = (
        "pieces",
        "blocks",
        "words",
        "bytes",
        "odd_blocks",
        "odd_words",
        "with_blocks",
        "with_words",
        "with_bytes",
    )
    found = dict.fromkeys(kinds, 0.0)
    for size in sizes:
        odd = "odd_" if size % 4 or pitch % 4 else ""
        found["pieces"] += pieces
        found["with_blocks"] += pieces * (size >= 16)
        found["with_words"] += pieces * (size % 16 >= 4)
        found["with_bytes"] += pieces * (size % 4 > 0)
        found[f"{odd}blocks"] += pieces * (size // 16)
        found[f"{odd}words"] += pieces * (size % 16 // 4)
        found["bytes"] += pieces * (size % 4)
    return found
