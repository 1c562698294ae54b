"""What a terminal shows of a report: rows of text, printed by someone else."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report import words
from pipeline.report.inspected import ranked
from pipeline.report.schema import (
    Bracket,
    Estimated,
    FigureSection,
    FigureValue,
    InspectionSection,
    Report,
)

LAYERS_NAMED = 3
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
            *(_estimated(report.estimated) if report.estimated else ()),
            *(_bracket(report.bracket) if report.bracket else ()),
            *(
                f"accuracy: {found.subject} {found.accuracy:.4f} ({words.plural(found.samples, 'sample')})"
                for found in report.accuracy
            ),
            *(_fidelity(report.quantization.inspection) if report.quantization else ()),
        ),
        header=("figure", *(name for name in COLUMNS if name != "estimated" or estimated), "difference"),
        rows=tuple(_row(row, estimated) for row in report.figures),
    )


def _estimated(found: Estimated) -> tuple[str, ...]:
    """How long, and where the time goes."""
    kinds = (
        (found.zero_wait_cycles, "core"),
        (found.fetch_stall_cycles, "fetch stalls"),
        (found.data_stall_cycles, "data stalls"),
    )
    shares = ", ".join(f"{name} {words.share(cycles / found.cycles)}" for cycles, name in kinds)
    slowest = sorted(found.layers, key=lambda layer: -layer.cycles)[:LAYERS_NAMED]
    layers = ", ".join(f"{layer.name} {words.share(layer.share)}" for layer in slowest)
    block = next((b for b in found.blocks if b.source), None)
    hottest = f"; hottest: {block.source} ({words.share(block.share)})" if block else ""
    return (
        f"estimated: {words.milliseconds(found.seconds)} on {found.board_title}: {shares}",
        f"estimated: most of it in {layers}{hottest}",
    )


def _fidelity(found: InspectionSection | None) -> tuple[str, ...]:
    """How near the quantized model is to float, and which layers cost most of it."""
    if found is None or found.output_db is None:
        return ()
    layers = ", ".join(f"{layer.name} {words.share(layer.cost)}" for layer in ranked(found)[:LAYERS_NAMED])
    costs = f", most of the noise from {layers}" if layers else ""
    return (f"quantized against float: {found.output_db:.1f} dB{costs}",)


def _bracket(found: Bracket) -> tuple[str, ...]:
    low, high = (words.milliseconds(seconds) for seconds in (found.low_seconds, found.high_seconds))
    return (f"bounded: between {low} and {high} on {found.board_title}",)


def _row(row: FigureSection, estimated: bool) -> tuple[str, ...]:
    differences = ", ".join(f"{d.of} {words.percent(d.percent)}" for d in row.differences)
    return (
        row.figure,
        # The convention is no forecast, and a terminal has no room for its remark.
        words.UNKNOWN if row.key == "time" else _value(row.predicted, row.unit),
        *(_value(value, row.unit) for value in (row.linked, row.measured)),
        *((_value(row.estimated, row.unit),) if estimated else ()),
        differences or words.UNKNOWN,
    )


def _value(value: FigureValue | None, unit: str) -> str:
    return words.UNKNOWN if value is None else words.figure(value.value, unit)
