"""Numbers as people read them; the exact ones stay in report.json."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

UNKNOWN = "–"


def count(value: int | None) -> str:
    """1344042 -> 1,344,042"""
    return UNKNOWN if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """143468 -> 140.1 KiB; below one KiB nothing is gained and the bytes stand."""
    if value is None:
        return UNKNOWN
    for factor, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if abs(value) >= factor:
            return f"{value / factor:.4g} {unit}" if value % factor else f"{value // factor:,} {unit}"
    return f"{value} B"


def share(value: float | None) -> str:
    """0.391 -> 39.1 %"""
    if value is None:
        return UNKNOWN
    return "< 0.1 %" if 0 < value < 0.0005 else f"{100 * value:.1f} %"


def percent(value: float | None) -> str:
    """A signed difference: 0.0 -> ±0 %, -1.234 -> −1.2 %, 0.0438 -> +0.04 %; never rounded to nothing."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "±0 %"
    sign = "+" if value > 0 else "−"
    if abs(value) < 0.1:
        return f"{sign}{np.format_float_positional(abs(value), precision=1, fractional=False)} %"
    return f"{sign}{abs(value):,.1f} %"


def signed(value: int | float) -> str:
    """-1204 -> −1,204"""
    if value == 0:
        return "±0"
    return f"{'+' if value > 0 else '−'}{abs(value):,}"


def ratio(value: float | None) -> str:
    """2.4093 -> 2.41"""
    return UNKNOWN if value is None else f"{value:.2f}"


def seconds(value: float) -> str:
    """0.2749832 -> 274.9832 ms"""
    return f"{1000 * value:.7g} ms"


def milliseconds(value: float) -> str:
    """1.5145253 -> 1,515 ms; 0.0129673 -> 12.97 ms: four digits, no more than an estimate has."""
    digits = max(0, 3 - math.floor(math.log10(1000 * value))) if value > 0 else 0
    return f"{1000 * value:,.{digits}f} ms"


def million_cycles(value: float) -> str:
    """17963835 -> 17.96 M cycles: four digits, no more than a prediction has."""
    digits = max(0, 3 - math.floor(math.log10(value / 1e6))) if value > 0 else 0
    return f"{value / 1e6:,.{digits}f} M cycles"


def integer_count(value: int) -> str:
    """-12345 -> −12,345: a count that may be below zero."""
    return f"{value:,}".replace("-", "−")


def real(value: float) -> str:
    """A real number of any size in four digits, with a true minus."""
    return f"{value:.4g}".replace("-", "−")


def integer(value: int | float | None) -> str:
    """An element's value; None is what JSON has for not a number."""
    return "not a number" if value is None else f"{value}".replace("-", "−")


def limit(value: float | None) -> str:
    """A limit or what is held against it, in whatever unit its name says."""
    return UNKNOWN if value is None else f"{value:,.10g}".replace("-", "−")


def shape(value: Sequence[int]) -> str:
    """(1, 32, 32, 3) -> 32×32×3: the batch is always one."""
    return "×".join(str(n) for n in (value[1:] if len(value) > 1 else value)) or "scalar"


def figure(value: int | float, unit: str) -> str:
    """A figure with its unit in short."""
    if unit == "seconds":
        return seconds(value)
    return f"{value:,} B" if unit == "bytes" else f"{value:,}"


def listed(value: str | int | float | Sequence[str]) -> str:
    """A value of the provenance: several words in a row like a command, several phrases with semicolons."""
    if isinstance(value, str | int | float):
        return str(value)
    return ("; " if any(" " in item for item in value) else " ").join(value)


def plural(value: int, one: str, many: str = "") -> str:
    """1 sample, 10 samples"""
    return f"{value:,} {one if value == 1 else many or one + 's'}"
