"""What a deployment may need at most, and whether it does."""

from __future__ import annotations

from pipeline.metrics import FLOAT_MODEL, QUANTIZED_MODEL
from pipeline.report.schema import BudgetLine, Report, VerdictSection

# The keys of [budget] in deploy.toml, and what each limits.
LIMITS = {
    "flash_bytes": "flash of the linked image",
    "ram_bytes": "RAM of the linked image",
    "arena_bytes": "arena",
    "instructions": "instructions of one inference",
    "milliseconds": "time of one inference",
    "accuracy_drop": "accuracy lost by quantization, in points",
}


def with_budget(report: Report, limits: dict[str, float]) -> Report:
    """The report with each limit checked; one that is passed makes the verdict red.

    A limit on what nobody knows (a time without an estimate, an accuracy without labels) fails: a
    check that was asked for and could not be made is not a check that was passed.
    """
    lines = tuple(_line(report, key, limit) for key, limit in limits.items())
    failures = [budget_words(line) for line in lines if not line.passed]
    if not failures:
        return report.model_copy(update={"budget": lines})
    held = report.verdict
    verdict = VerdictSection(
        level="red",
        word="Fail",
        headline=held.failures[0] if held.failures else failures[0],
        failures=(*held.failures, *failures),
        cautions=held.cautions,
        notes=held.notes,
    )
    return report.model_copy(update={"budget": lines, "verdict": verdict})


def _line(report: Report, key: str, limit: float) -> BudgetLine:
    actual, source = _actual(report, key)
    return BudgetLine(
        key=key,
        figure=LIMITS[key],
        limit=limit,
        actual=actual,
        source=source,
        # 1e-9: a tenth of a point of accuracy is no exact binary number.
        passed=actual is not None and actual <= limit + 1e-9,
    )


def _actual(report: Report, key: str) -> tuple[float | None, str]:
    """What is held against a limit, and where it comes from."""
    if key == "flash_bytes" and report.linked:
        return report.linked.flash_bytes, f"image linked for {report.linked.board}"
    if key == "ram_bytes" and report.linked:
        return report.linked.ram_bytes, f"image linked for {report.linked.board}"
    if key == "arena_bytes":
        return report.arena_bytes, "memory plan"
    measured = report.measured
    if key == "instructions" and measured and measured.unit == "instructions":
        return measured.count, f"counted on {measured.board}"
    if key == "milliseconds":
        if measured and measured.unit == "cycles" and measured.seconds is not None:
            return 1000 * measured.seconds, f"measured on {measured.board}"
        if report.bracket:
            return 1000 * report.bracket.high_seconds, f"upper bound for {report.bracket.board}"
        if report.estimated:
            return 1000 * report.estimated.seconds, f"estimated for {report.estimated.board}"
    if key == "accuracy_drop":
        by_subject = {accuracy.subject: accuracy.accuracy for accuracy in report.accuracy}
        if {FLOAT_MODEL, QUANTIZED_MODEL} <= by_subject.keys():
            drop = 100 * (by_subject[FLOAT_MODEL] - by_subject[QUANTIZED_MODEL])
            return drop, f"{FLOAT_MODEL} against {QUANTIZED_MODEL}"
    return None, "not known in this deployment"


def budget_words(line: BudgetLine) -> str:
    """What is wrong with a limit that was not kept."""
    if line.actual is None:
        limit = _with_unit(line.key, line.limit)
        return f"The budget for the {line.figure} ({limit}) could not be checked: {line.source}."
    actual, limit = (_with_unit(line.key, value) for value in (line.actual, line.limit))
    return f"Over budget: {line.figure} is {actual}, at most {limit} ({line.source})."


def _with_unit(key: str, value: float) -> str:
    unit = " B" if key.endswith("_bytes") else " ms" if key == "milliseconds" else ""
    # So many decimals that a value is seen to be above a limit of as many.
    return f"{value:,.4f}".rstrip("0").rstrip(".") + unit
