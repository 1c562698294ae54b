"""Fit the free constant of a board's timing to cycles that the board itself counted, and keep it.

A step reads constants from flash `misses` times; each miss takes the wait states and `data_miss_extra`
cycles more, the one constant that no manual gives. All else in an estimate is taken as it is: also what a
miss waits for a read of instructions before it, which takes as long whatever the constant is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.boards import Board, load_board
from pipeline.errors import UsageError
from pipeline.files import write_file
from pipeline.registry import data_folder
from pipeline.report import read_report
from pipeline.report.schema import Report
from pipeline.timing import TimingModel, timing_model

FEWEST_STEPS = 8
FEWEST_WAITING = 4
"""Steps that wait for data enough to tell the constant."""
WAITING = 0.02
"""Share of a step's cycles from which on it does."""
MOST_EXTRA = 32
AGAIN = "measure more models on the board: stm32-deploy measure MODEL --board BOARD"


@dataclass(frozen=True, slots=True)
class Step:
    """One measured step, and what its estimate is made of."""

    report: str
    name: str
    measured: int
    fixed: int
    """Estimated cycles besides the reads of data themselves."""
    misses: int
    """Times that it reads data from flash."""

    def cycles(self, miss_cycles: float) -> float:
        return self.fixed + self.misses * miss_cycles

    def error(self, miss_cycles: float) -> float:
        return self.cycles(miss_cycles) / self.measured - 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found, and how well it holds. Errors are in percent."""

    board: str
    reports: tuple[str, ...]
    steps: int
    data_miss_extra: int
    fitted: float
    """The same before it was rounded to whole cycles, as the timing core counts."""
    before: int
    rms_before_percent: float
    rms_percent: float
    """Of steps that were left out of the fit: a whole report at a time, where there are several."""
    worst_percent: float
    ratio: float
    """Measured by estimated cycles of all steps together, with the new constant."""

    @property
    def evidence(self) -> str:
        """As the board's file keeps it."""
        models = ", ".join(self.reports)
        return (
            f"{self.steps} steps of {models}, measured on the board: {self.rms_percent:.1f} % RMS and "
            f"{self.worst_percent:.1f} % at worst of steps left out of the fit"
        )


def calibrate_timing(paths: Sequence[Path]) -> Calibration:
    """Fit `data_miss_extra` to the measured cycles of reports.

    Raises UsageError: E_CALIBRATE_UNMEASURED for reports without cycles or estimates of the very image,
    E_CALIBRATE_STATE for cycles of a chip in another state than the model's, E_CALIBRATE_BOARDS where they
    are of several boards, E_CALIBRATE_TOO_FEW, E_BOARD_TIMING.
    """
    reports = [(path, read_report(path)) for path in paths]
    _refuse(reports, _lack, "E_CALIBRATE_UNMEASURED")
    boards = sorted({report.measured.board for _, report in reports if report.measured})
    if len(boards) > 1:
        raise UsageError(
            f"the reports are of {len(boards)} boards: {', '.join(boards)}",
            code="E_CALIBRATE_BOARDS",
            hint="calibrate one board at a time",
        )
    board = load_board(boards[0])
    model = timing_model(board)
    _refuse(reports, lambda report: _other_state(report, board, model), "E_CALIBRATE_STATE")
    return fit_constant([step for _, report in reports for step in steps_of(report, model)], model)


def _refuse(reports: Sequence[tuple[Path, Report]], fault: Callable[[Report], str], code: str) -> None:
    """UsageError where a report has a fault, or there is none; `fault` says which in words."""
    reasons = [f"{path}: {reason}" for path, report in reports if (reason := fault(report))]
    if reasons or not reports:
        raise UsageError(
            f"{len(reasons)} of {len(reports)} reports cannot be used", code=code, details=reasons, hint=AGAIN
        )


def _lack(report: Report) -> str:
    """What a report lacks, in words; empty for one that can be used."""
    if report.measured is None or report.measured.unit != "cycles":
        unit = report.measured.unit if report.measured else "nothing"
        return f"it holds no cycles that a core counted, but {unit}"
    if report.estimated is None:
        return "it holds no estimate to hold them against"
    if not report.estimated.board == report.estimated.image_board == report.measured.board:
        return "its estimate is of another board or another image than what was measured"
    if report.estimated.data_misses is None:
        return "its estimate is of an earlier version, and does not say how often data were read from flash"
    return ""


def _other_state(report: Report, board: Board, model: TimingModel) -> str:
    """In what the chip's registers were otherwise than the model has it; empty where they were not."""
    state = report.measured.state if report.measured else None
    if state is None:
        return ""
    prefetch = state.accelerators.get("prefetch", model.prefetch)
    if (state.flash_wait_states, prefetch) != (board.clock.flash_latency, model.prefetch):
        return f"the chip had {state.words}; the model has {model.words}"
    if state.interrupts and not state.interrupts_masked:
        return f"interrupts were enabled: {', '.join(state.interrupts)}"
    return ""


def steps_of(report: Report, model: TimingModel) -> list[Step]:
    """The measured steps of one report."""
    estimated = report.estimated
    assert estimated is not None
    miss_cycles = estimated.data_miss_cycles or model.data_miss_cycles
    found = []
    for step in report.steps:
        layers = [estimated.layers[index] for index in step.layers]
        misses = sum(layer.data_misses or 0 for layer in layers)
        fixed = sum(layer.cycles for layer in layers) - misses * miss_cycles
        if step.count:
            found.append(Step(report.model.name, step.name, step.count, fixed, misses))
    return found


def fit_constant(steps: Sequence[Step], model: TimingModel) -> Calibration:
    """The constant that makes the relative errors of all steps smallest, and its error on steps left out."""
    now = model.data_miss_cycles
    waiting = [step for step in steps if step.misses * now > WAITING * step.measured]
    if len(steps) < FEWEST_STEPS or len(waiting) < FEWEST_WAITING:
        raise UsageError(
            f"{len(steps)} measured steps, {len(waiting)} of which wait for constants in flash; needed are "
            f"{FEWEST_STEPS}, and {FEWEST_WAITING} that wait",
            code="E_CALIBRATE_TOO_FEW",
            hint=AGAIN,
        )
    fitted = _fit(steps) - model.wait_states
    extra = _whole(fitted)
    left_out = _cross_validated(steps, model.wait_states)
    miss_cycles = model.wait_states + extra
    return Calibration(
        board=model.board,
        reports=tuple(dict.fromkeys(step.report for step in steps)),
        steps=len(steps),
        data_miss_extra=extra,
        fitted=fitted,
        before=model.data_miss_extra,
        rms_before_percent=100 * _rms([step.error(now) for step in steps]),
        rms_percent=100 * _rms(left_out),
        worst_percent=100 * max(abs(error) for error in left_out),
        ratio=sum(step.measured for step in steps) / sum(step.cycles(miss_cycles) for step in steps),
    )


def _fit(steps: Sequence[Step]) -> float:
    """Cycles of a miss: least squares of the relative error."""
    weights = [step.misses / step.measured for step in steps]
    wanted = [1 - step.fixed / step.measured for step in steps]
    return sum(w * t for w, t in zip(weights, wanted, strict=True)) / sum(w * w for w in weights)


def _whole(extra: float) -> int:
    return min(max(round(extra), 0), MOST_EXTRA)


def _cross_validated(steps: Sequence[Step], wait_states: int) -> list[float]:
    """The relative error of each step by a fit that has not seen it, nor any other of its report."""
    several = len({step.report for step in steps}) > 1
    errors = []
    for index, step in enumerate(steps):
        others = [
            other
            for position, other in enumerate(steps)
            if (other.report != step.report if several else position != index)
        ]
        if sum(other.misses for other in others):
            errors.append(step.error(wait_states + _whole(_fit(others) - wait_states)))
    return errors


def _rms(errors: Sequence[float]) -> float:
    return math.sqrt(sum(error * error for error in errors) / len(errors))


# --- keeping ----------------------------------------------------------------------------------------


def keep_calibration(found: Calibration) -> Path:
    """Write the constant and its evidence into the board's file; all else in it stays as it is."""
    path = data_folder("board") / found.board / "board.toml"
    values = {
        "data_miss_extra": str(found.data_miss_extra),
        "error_percent": f"{math.ceil(10 * found.worst_percent) / 10:g}",
        "evidence": f'"{found.evidence}"',
    }
    write_file(path, with_timing(path.read_text(encoding="utf-8"), values).encode())
    return path


def with_timing(text: str, values: dict[str, str]) -> str:
    """A board file's text with other values in its table [timing]; comments behind them go."""
    head, mark, rest = re.split(r"(?m)(^\[timing\].*\n)", text, maxsplit=1)
    end = re.search(r"(?m)^\s*\[", rest)
    table, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    for key, value in values.items():
        line = f"{key:<23} = {value}  # by calibrate-timing"
        table, count = re.subn(rf"(?m)^{key}\s*=.*$", lambda _, line=line: line, table)
        if not count:
            table = f"{table.rstrip()}\n{line}\n\n"
    return head + mark + table + tail
