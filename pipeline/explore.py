"""Boards times aims: what a model is predicted to take on each, before anything is built or bought."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from pipeline.boards import Board, list_boards
from pipeline.config import Settings
from pipeline.demand import runs_from_ram, sizes_of
from pipeline.deploy import model_path
from pipeline.errors import ModelNotSupported
from pipeline.forecast import CycleForecast, forecast_cycles
from pipeline.graph import Graph
from pipeline.load import TfliteModel, load_model
from pipeline.lower import Program, lower_program
from pipeline.passes import apply_passes
from pipeline.plan import plan_schedule
from pipeline.progress import Progress
from pipeline.read_tflite import read_tflite
from pipeline.report import words
from pipeline.report.pareto import Point, pareto_chart
from pipeline.report.write import page
from pipeline.schedule import Aim, Machine, Schedule, Scheduler, Streams, machine_of
from pipeline.sketch import sketch_graph
from pipeline.timing import TimingModel, can_estimate, timing_model

AIMS: tuple[Aim, ...] = get_args(Aim)


@dataclass(frozen=True, slots=True)
class Choice:
    """A model on one board, made for one aim."""

    board: str
    title: str
    clock_hz: int
    aim: str
    cycles: int | None
    """Predicted; None where no single figure is given, or none at all."""
    low_cycles: int | None
    high_cycles: int | None
    """Ends of the band, or bounds; None where no error is known."""
    flash_bytes: int
    flash_available_bytes: int
    ram_bytes: int
    """Arena, weights in RAM, input copy, stack and harness."""
    ram_available_bytes: int
    arena_bytes: int
    joules: float | None
    """Reckoned from the data sheet's typical current; None where none is known."""
    energy_source: str
    best: bool = False
    """Whether no other choice that fits beats it: is better in time, RAM or flash, and nowhere worse."""
    best_of_board: bool = False
    """The same among the choices for its board."""

    @property
    def fits(self) -> bool:
        return self.flash_bytes <= self.flash_available_bytes and self.ram_bytes <= self.ram_available_bytes

    @property
    def seconds(self) -> float | None:
        return None if self.cycles is None else self.cycles / self.clock_hz

    @property
    def low_seconds(self) -> float | None:
        return None if self.low_cycles is None else self.low_cycles / self.clock_hz

    @property
    def high_seconds(self) -> float | None:
        return None if self.high_cycles is None else self.high_cycles / self.clock_hz

    @property
    def longest_seconds(self) -> float | None:
        """By which choices are compared: the prediction, or the upper bound where there is none."""
        return self.high_seconds if self.seconds is None else self.seconds


@dataclass(frozen=True, slots=True)
class Exploration:
    """All choices for one model, by board and aim."""

    model: str
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]
    """What the figures rest on, a sentence each."""


NOTES: tuple[str, ...] = (
    "Time: cycles predicted by the kernels' cost formulas at the board's clock, code in flash or RAM as the "
    "image would have it. Of a Cortex-M7 bounds are given: half the instructions, and one after the other.",
    "RAM: arena, weights and code that are kept in RAM, the harness's copy of the input, stack and harness. "
    "Flash: weights, kernels, harness and startup.",
    "Energy: predicted time at the typical current per MHz that the data sheet gives for the running chip; "
    "reckoned, not measured, and left out where no such figure is known.",
    "A choice that does not fit has no time: its sizes are those of the smallest that there is.",
    "Best: no other choice that fits, of all boards or of this one, is better in one of time, RAM and flash "
    "and nowhere worse.",
)
SKETCHED = (
    "The model is a Keras model: its int8 graph was sketched from the layers' shapes; weights may rule out a "
    "kernel that is counted on here."
)


def explore_model(settings: Settings, progress: Progress) -> Exploration:
    """Predict a model on every STM32 board for every aim.

    Raises ModelNotSupported E_EXPLORE_LAYER where a Keras model has a layer that cannot be sketched.
    """
    path = model_path(settings)
    model = load_model(path)
    notes = NOTES
    if isinstance(model, TfliteModel):
        graph = read_tflite(model.content, model.name)
    else:
        sketch = sketch_graph(model)
        if sketch is None:
            raise ModelNotSupported(
                "it has a layer whose int8 form cannot be told from its shape",
                code="E_EXPLORE_LAYER",
                where=path,
                hint="quantize it first, and explore the .tflite: stm32-deploy quantize",
            )
        graph, notes = sketch, (*NOTES, SKETCHED)
    rewritten, _ = apply_passes(graph)
    boards = [board for board in list_boards() if board.is_stm32]
    choices = tuple(_choices(rewritten, boards, progress))
    return Exploration(model.name, mark_best(choices), notes)


def _choices(graph: Graph, boards: Sequence[Board], progress: Progress) -> Iterator[Choice]:
    """Boards that are the same to the scheduler share its work."""
    known: dict[tuple[Machine, Aim], tuple[Schedule, Program]] = {}
    schedulers: dict[Machine, Scheduler] = {}
    streams: Streams = {}
    for done, board in enumerate(boards):
        progress("explore", done, len(boards))
        for aim in AIMS:
            key = machine_of(board), aim
            if key not in known:
                if key[0] not in schedulers:
                    schedulers[key[0]] = Scheduler(graph, key[0], streams=streams)
                schedule = schedulers[key[0]].schedule(aim)
                known[key] = schedule, lower_program(schedule, plan_schedule(schedule))
            yield _choice(board, aim, *known[key])
    progress("explore", len(boards), len(boards))


def _choice(board: Board, aim: Aim, schedule: Schedule, program: Program) -> Choice:
    sizes = sizes_of(program, board, aim)
    fits = (
        sizes.flash_bytes <= board.flash_bytes
        and sizes.ram_bytes - sizes.code_in_ram_bytes <= board.ram_bytes
    )
    # Where nothing fits, the schedule is the smallest, whatever its time: nobody would run it.
    model = timing_model(board) if fits and can_estimate(board) else None
    cycles = low = high = None
    if model:
        forecast = forecast_cycles(schedule, model, aim, from_ram=runs_from_ram(board, aim))
        cycles, low, high = _cycles(forecast, model)
    seconds = None if cycles is None else cycles / board.hclk_hz
    joules = None
    if board.power and seconds is not None:
        joules = board.power.joules(seconds, board.hclk_hz)
    return Choice(
        board=board.name,
        title=board.title,
        clock_hz=board.hclk_hz,
        aim=aim,
        cycles=cycles,
        low_cycles=low,
        high_cycles=high,
        flash_bytes=sizes.flash_bytes,
        flash_available_bytes=board.flash_bytes,
        ram_bytes=sizes.ram_bytes,
        ram_available_bytes=board.ram_bytes,
        arena_bytes=program.arena_bytes,
        joules=joules,
        energy_source=board.power.source if board.power and joules is not None else "",
    )


def _cycles(found: CycleForecast, model: TimingModel) -> tuple[int | None, int | None, int | None]:
    """(prediction, low, high); of a core of which no single figure is given the bounds alone."""
    if model.is_bracket:
        return None, math.ceil(found.instructions / 2), found.high_cycles or found.cycles
    return found.cycles, found.low_cycles, found.high_cycles


def mark_best(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """The Pareto fronts of time, RAM and flash, of all boards and of each, among the choices that fit."""
    able = [choice for choice in choices if choice.fits and choice.longest_seconds is not None]

    def front(rivals: Sequence[Choice], choice: Choice) -> bool:
        return choice in rivals and not any(_beats(rival, choice) for rival in rivals)

    return tuple(
        replace(
            choice,
            best=front(able, choice),
            best_of_board=front([rival for rival in able if rival.board == choice.board], choice),
        )
        for choice in choices
    )


def _beats(rival: Choice, choice: Choice) -> bool:
    """Whether a choice is better somewhere and nowhere worse."""
    first, second = (
        (each.longest_seconds or math.inf, each.ram_bytes, each.flash_bytes) for each in (rival, choice)
    )
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))


# --- showing ----------------------------------------------------------------------------------------

HEADER = ("board", "aim", "time", "from", "to", "RAM", "flash", "energy", "fits", "best")


def choice_words(choice: Choice) -> tuple[str, ...]:
    """One choice as people read it, in the columns of HEADER."""

    def time(seconds: float | None) -> str:
        return words.UNKNOWN if seconds is None else words.milliseconds(seconds)

    lacks = [
        f"{words.size(needed - available)} of {kind} over"
        for kind, needed, available in (
            ("flash", choice.flash_bytes, choice.flash_available_bytes),
            ("RAM", choice.ram_bytes, choice.ram_available_bytes),
        )
        if needed > available
    ]
    return (
        choice.board,
        choice.aim,
        time(choice.seconds),
        time(choice.low_seconds),
        time(choice.high_seconds),
        words.size(choice.ram_bytes),
        words.size(choice.flash_bytes),
        words.UNKNOWN if choice.joules is None else f"{1000 * choice.joules:.3g} mJ",
        ", ".join(lacks) or "yes",
        "of all" if choice.best else "of the board" if choice.best_of_board else "",
    )


def exploration_html(explored: Exploration) -> str:
    """The choices as a page: the picture of those that fit, and the table of all."""
    points = [
        Point(c.board, c.aim, c.longest_seconds, None if c.cycles else c.low_seconds, c.ram_bytes, c.best)
        for c in explored.choices
        if c.fits and c.longest_seconds
    ]
    return page(
        "explore.html.j2",
        explored=explored,
        chart=pareto_chart(points),
        keys={choice.board for choice in explored.choices},
        header=HEADER,
        rows=[choice_words(choice) for choice in explored.choices],
        sources=sorted({f"{c.board}: {c.energy_source}" for c in explored.choices if c.energy_source}),
    )
