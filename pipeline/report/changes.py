"""What became better or worse from one report to the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from xml.etree import ElementTree

from pipeline.report.schema import DeviationSection, Image, InspectionSection, Layer, Report

T = TypeVar("T")


# One figure in the old report and in the new; None where a report does not have it.
Pair = tuple[float | None, float | None]


class Outcome(StrEnum):
    """How the new figure stands to the old one."""

    BETTER = "better"
    SAME = "same"
    WITHIN = "within tolerance"
    WORSE = "worse"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much worse a figure may become."""

    percent: float = 0.0
    """Of bytes and counts."""
    accuracy_points: float = 0.0
    """Of accuracy, in percentage points."""
    db: float = 0.0
    """Of signal to quantization noise."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in both reports; of accuracy, dB and cosines more is better, of all others less."""

    figure: str
    unit: str
    """`bytes`, the unit of a count, `accuracy`, `dB`, `cosine`, or `elements`."""
    old: int | float | None
    new: int | float | None
    outcome: Outcome
    remark: str = ""

    @property
    def percent(self) -> float | None:
        """The difference in percent of the old figure; of accuracy in percentage points, of dB in dB."""
        if self.old is None or self.new is None:
            return None
        if self.unit == "dB":
            return self.new - self.old
        if self.unit == "accuracy":
            return 100 * (self.new - self.old)
        return 100 * (self.new - self.old) / self.old if self.old else None


@dataclass(frozen=True, slots=True)
class Changes:
    """Two reports held against each other."""

    figures: tuple[Change, ...]
    layers: tuple[Change, ...]
    """Only layers whose count or constants changed, came or went."""

    @property
    def worse(self) -> tuple[Change, ...]:
        """What is worse than its tolerance allows. Layers are shown and not judged: their sum is."""
        return tuple(change for change in self.figures if change.outcome is Outcome.WORSE)


def compare_reports(old: Report, new: Report, tolerance: Tolerance = Tolerance()) -> Changes:
    """Every figure that both reports have; figures of different boards or units are not compared."""
    return Changes(tuple(_figures(old, new, tolerance)), tuple(_layers(old, new)))


def _figures(old: Report, new: Report, tolerance: Tolerance) -> Iterator[Change]:
    yield _exactness(old, new)
    other_board = "" if old.board.name == new.board.name else f"{old.board.name} and {new.board.name}"
    for figure, read in IMAGE_FIGURES.items():
        pair = _pair(old.linked, new.linked, read)
        yield _change(figure, "bytes", pair, tolerance.percent, other_board)
    yield _change("arena", "bytes", (old.arena_bytes, new.arena_bytes), tolerance.percent)
    stacks = _pair(old.measured, new.measured, lambda measured: measured.stack_bytes)
    yield _change("stack", "bytes", stacks, tolerance.percent, _other_source(old, new))
    counts = _pair(old.measured, new.measured, lambda measured: measured.count)
    unit = new.measured.unit if new.measured else "count"
    yield _change("one inference", unit, counts, tolerance.percent, _other_source(old, new))
    if old.estimated or new.estimated:
        cycles = _pair(old.estimated, new.estimated, lambda estimated: estimated.cycles)
        of = {report.estimated.board for report in (old, new) if report.estimated}
        other = " and ".join(sorted(of)) if len(of) > 1 else ""
        yield _change("one inference", "estimated cycles", cycles, tolerance.percent, other)
    before_by_subject = {accuracy.subject: accuracy for accuracy in old.accuracy}
    for accuracy in new.accuracy:
        before_it = before_by_subject.get(accuracy.subject)
        other = "" if before_it is None or before_it.samples == accuracy.samples else "other samples"
        yield _change(
            f"accuracy, {accuracy.subject}",
            "accuracy",
            (before_it.accuracy if before_it else None, accuracy.accuracy),
            tolerance.accuracy_points,
            other,
        )
    yield from _fidelity(old, new, tolerance)


def _fidelity(old: Report, new: Report, tolerance: Tolerance) -> Iterator[Change]:
    """How near to float the quantized model is where it is judged: signal to noise, and the cosine."""
    before, after = _judged(old), _judged(new)
    samples = _pair(_inspection(old), _inspection(new), lambda inspection: inspection.samples)
    for layer in after if before else ():
        was, now = before.get(layer), after[layer]
        for figure, unit, read in DEVIATION_FIGURES:
            pair = _pair(was, now, read)
            obstacle = "other samples" if samples[0] != samples[1] else ""
            if was is not None and None in pair:
                obstacle = obstacle or "no noise or no signal in one of them"
            yield _change(f"{figure}, {layer}", unit, pair, tolerance.db, obstacle)


def _inspection(report: Report) -> InspectionSection | None:
    return report.quantization.inspection if report.quantization else None


def _judged(report: Report) -> dict[str, DeviationSection]:
    """By layer, of the tensors at which the model is held against float."""
    inspection = _inspection(report)
    if inspection is None:
        return {}
    return {
        layer.name: layer.total
        for layer in inspection.layers
        if layer.tensor in inspection.judged and layer.total is not None
    }


DEVIATION_FIGURES: tuple[tuple[str, str, Callable[[DeviationSection], float | None]], ...] = (
    ("SQNR from float", "dB", lambda deviation: deviation.sqnr_db),
    ("likeness to float", "cosine", lambda deviation: deviation.cosine),
)
IMAGE_FIGURES: dict[str, Callable[[Image], float]] = {
    "flash": lambda image: image.flash_bytes,
    "flash besides weights": lambda image: image.code_bytes,
    "RAM": lambda image: image.ram_bytes,
}


def _pair(old: T | None, new: T | None, read: Callable[[T], float | None]) -> Pair:
    return (None if old is None else read(old), None if new is None else read(new))


def _exactness(old: Report, new: Report) -> Change:
    """Elements that differ from the reference: never tolerated, whatever they were before."""
    before, after = (report.outputs.differing_elements if report.outputs else None for report in (old, new))
    if after is None:
        outcome = Outcome.NOT_COMPARABLE
    else:
        outcome = Outcome.WORSE if after else Outcome.BETTER if before else Outcome.SAME
    return Change("outputs that differ from the reference", "elements", before, after, outcome)


def _other_source(old: Report, new: Report) -> str:
    """Why what was measured cannot be compared, or nothing."""
    if old.measured is None or new.measured is None:
        return ""
    sources = [f"{m.unit} on {m.board}" for m in (old.measured, new.measured)]
    return "" if sources[0] == sources[1] else " and ".join(sources)


def _turned(old: float, new: float) -> float:
    """By how many dB what stands at right angles to float has grown: 1 - cosine is half its square."""
    apart = [max(1 - cosine, COSINE_STEP) for cosine in (old, new)]
    return 10 * math.log10(apart[1] / apart[0])


COSINE_STEP = 1e-9
"""Cosines nearer to 1 are alike: float32 sums tell no more."""
LOSSES: dict[str, Callable[[float, float], float]] = {
    "accuracy": lambda old, new: 100 * (old - new),
    "dB": lambda old, new: old - new,
    "cosine": _turned,
}
"""Of units of which more is better: from old to new, in the unit of their tolerance."""


def _change(figure: str, unit: str, pair: Pair, tolerance: float, obstacle: str = "") -> Change:
    old, new = pair
    if old is None or new is None or obstacle:
        missing = "only in the old report" if new is None else "only in the new report"
        return Change(figure, unit, old, new, Outcome.NOT_COMPARABLE, obstacle or missing)
    loss = LOSSES[unit](old, new) if unit in LOSSES else new - old
    allowed = tolerance if unit in LOSSES else old * tolerance / 100
    if loss <= 0:
        outcome = Outcome.BETTER if loss < 0 else Outcome.SAME
    else:
        # 1e-9: 0.1 points of accuracy are no exact binary number.
        outcome = Outcome.WITHIN if loss <= allowed + 1e-9 else Outcome.WORSE
    return Change(figure, unit, old, new, outcome)


def _layers(old: Report, new: Report) -> Iterator[Change]:
    before, after = ({layer.name: layer for layer in report.layers} for report in (old, new))
    obstacle = _other_source(old, new)
    unit = new.measured.unit if new.measured else "count"
    for name in [*after, *(name for name in before if name not in after)]:
        layers = before.get(name), after.get(name)
        for kind, pair in (
            (unit, (_count(layers[0]), _count(layers[1]))),
            ("bytes", _pair(*layers, lambda layer: layer.weights_bytes)),
        ):
            if pair[0] != pair[1]:
                yield _change(name, kind, pair, 0.0, obstacle if kind == unit else "")


def _count(layer: Layer | None) -> int | None:
    return None if layer is None else layer.count


def junit_xml(suite: str, cases: list[tuple[str, str | None]]) -> str:
    """JUnit XML of named checks; the second of each pair says why it failed, None that it passed."""
    failed = sum(problem is not None for _, problem in cases)
    root = ElementTree.Element(
        "testsuite", {"name": suite, "tests": str(len(cases)), "failures": str(failed), "errors": "0"}
    )
    for name, problem in cases:
        case = ElementTree.SubElement(root, "testcase", {"classname": suite, "name": name})
        if problem is not None:
            ElementTree.SubElement(case, "failure", {"message": problem})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def change_words(change: Change) -> tuple[str, str, str, str, str]:
    """(figure, old, new, difference, outcome) as people read them."""
    shown = ["–" if v is None else _value(v, change.unit) for v in (change.old, change.new)]
    points = {"accuracy": " points", "dB": " dB"}.get(change.unit, " %")
    difference = "–" if change.percent is None else f"{change.percent:+.2f}{points}"
    outcome = f"{change.outcome.value}: {change.remark}" if change.remark else change.outcome.value
    return change.figure, shown[0], shown[1], difference, outcome


def _value(value: int | float, unit: str) -> str:
    if unit == "accuracy":
        return f"{value:.4f}"
    if unit == "dB":
        return f"{value:.1f} dB"
    if unit == "cosine":
        return f"{value:.6f}"
    return f"{value:,} B" if unit == "bytes" else f"{value:,} {unit}"
