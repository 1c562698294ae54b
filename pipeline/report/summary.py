"""What a terminal shows of a report: rows of text, printed by someone else."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report import words
from pipeline.report.schema import FigureSection, FigureValue, Report

COLUMNS = ("predicted", "linked", "measured", "estimated")


@dataclass(frozen=True, slots=True)
class Summary:
    """Plain text without markup: escape it where square brackets mean something."""

    level: str
    """`green`, `amber` or `red`."""
    verdict: tuple[str, ...]
    """The verdict's word with its sentence, then every failure, caution and note, a line each."""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """(figure, predicted, linked, measured, estimated, difference), without a column that is empty"""


def summarize(report: Report) -> Summary:
    """The verdict's lines and the table of figures."""
    judged = report.verdict
    estimated = report.estimated is not None
    head = f"{judged.word}: {judged.headline}"
    return Summary(
        level=judged.level,
        verdict=(
            head,
            *(f"failed: {line}" for line in judged.failures if line != judged.headline),
            *(f"caution: {line}" for line in judged.cautions),
            *(f"note: {line}" for line in judged.notes),
        ),
        header=("figure", *(name for name in COLUMNS if name != "estimated" or estimated), "difference"),
        rows=tuple(_row(row, estimated) for row in report.figures),
    )


def _row(row: FigureSection, estimated: bool) -> tuple[str, ...]:
    differences = ", ".join(f"{d.of} {words.percent(d.percent)}" for d in row.differences)
    return (
        row.figure,
        *(_value(value, row.unit) for value in (row.predicted, row.linked, row.measured)),
        *((_value(row.estimated, row.unit),) if estimated else ()),
        differences or words.UNKNOWN,
    )


def _value(value: FigureValue | None, unit: str) -> str:
    return words.UNKNOWN if value is None else words.figure(value.value, unit)
