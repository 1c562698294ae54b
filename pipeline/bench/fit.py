"""Fit the kernels' cost formulas: profile many layers under the timing core, and keep costs.toml."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.bench.shapes import shapes
from pipeline.boards import Board, list_boards, load_board
from pipeline.build import KERNEL_LEVEL, Firmware, build_firmware, find_toolchain
from pipeline.deploy import write_file
from pipeline.graph import Graph
from pipeline.kernels import candidates, libraries_of
from pipeline.kernels.base import Candidate
from pipeline.kernels.costs import (
    CORE_FIGURES,
    COSTS_FILE,
    STALLS,
    Formula,
    Observation,
    Table,
    costs_text,
    fit_formula,
)
from pipeline.lower import lower_program
from pipeline.plan import plan_schedule
from pipeline.render import render_sources
from pipeline.schedule import schedule_one
from pipeline.timing import Figures, TimingModel, can_estimate, timing_model
from pipeline.timing.bare import profile_bare

Progress = Callable[[str, int, int], None]
FOLDER = Path("build") / "bench" / "costs"
PROFILED_BOARD = "nucleo_l4r5zi"
"""Whose image is profiled, under the timing of every board of its core."""
LEVELS = {level: aim for aim, level in KERNEL_LEVEL.items()}
"""An aim that compiles the kernels at each level."""
FEWEST_SHAPES = 5
"""A kernel with fewer profiles gets no formula: leave-one-out would say nothing."""

Observations = dict[str, list[Observation]]
"""By `<library>/<kernel>`."""


def write_costs(progress: Progress) -> Table:
    """Profile, fit and write the project's formulas. Raises what a build and a profile raise."""
    compiler = str(find_toolchain(load_board(PROFILED_BOARD)))
    table = {
        level: fit_formulas(profile_shapes(tuple(shapes()), level, FOLDER, progress)) for level in LEVELS
    }
    write_file(COSTS_FILE, costs_text(table, compiler).encode())
    return table


def fit_formulas(observations: Observations) -> dict[str, Formula]:
    """A formula for each kernel that was profiled on enough shapes."""
    return {
        kernel: fit_formula(seen)
        for kernel, seen in observations.items()
        if len({one.layer for one in seen}) >= FEWEST_SHAPES
    }


def profile_shapes(graphs: Sequence[Graph], level: str, folder: Path, progress: Progress) -> Observations:
    """Every kernel on every one-layer graph that it can run, compiled at one level."""
    board = load_board(PROFILED_BOARD)
    boards = [other for other in list_boards() if can_estimate(other)]
    found: Observations = defaultdict(list)
    for done, graph in enumerate(graphs):
        progress(f"profile {level}", done, len(graphs))
        for name, observation in profile_layer(graph, board, boards, LEVELS[level], folder):
            found[name].append(observation)
    progress(f"profile {level}", len(graphs), len(graphs))
    return found


def profile_layer(
    graph: Graph, board: Board, boards: Sequence[Board], aim: str, folder: Path
) -> list[tuple[str, Observation]]:
    """(kernel, observation) of every way in which the one layer of a graph can be run.

    The image is that of `board`; stalls are those of each of `boards`.
    """
    (node,) = graph.nodes
    ways = candidates(node.op, graph.operands(node), graph.tensors[node.output], libraries_of(board))
    return [
        (f"{way.library}/{way.kernel}", _observe(graph, way, board, boards, aim, folder))
        for way in ways
        if way.features
    ]


def _observe(
    graph: Graph, candidate: Candidate, board: Board, boards: Sequence[Board], aim: str, folder: Path
) -> Observation:
    schedule = schedule_one(graph, candidate)
    program = lower_program(schedule, plan_schedule(schedule))
    # Boards that differ in nothing that the core knows of are profiled once.
    alike = {other.name: _settings(timing_model(other)) for other in boards}
    own: dict[TimingModel, Figures] = {}
    for in_ram in (True, False):
        # Code that asks for RAM stays in flash where a board has none to run it from without waiting.
        models = [model for model in dict.fromkeys(alike.values()) if bool(model.fetch_ram) == in_ram]
        tree = render_sources(program, board, code_in_ram=in_ram)
        firmware = build_firmware(tree, board, folder / aim, optimize=aim)
        profiles = profile_bare(firmware, board, models, ((0,),), folder / "timing")
        own |= {model: profile.layers[0] for model, profile in zip(models, profiles, strict=True)}
    core = own[alike[board.name]]
    return Observation(
        name=f"{graph.name}, {candidate.variant}",
        features=candidate.work,
        code_bytes=_code_bytes(firmware, candidate),
        core={name: getattr(core, name) for name in CORE_FIGURES},
        layer=graph.name,
        stalls={
            name: {stall: getattr(own[model], stall) for stall in STALLS} for name, model in alike.items()
        },
    )


def _settings(model: TimingModel) -> TimingModel:
    """A board's model without what only names it."""
    return replace(model, board="", title="", evidence="", clock_hz=0, fetch_ram=model.fetch_ram[:1])


def _code_bytes(firmware: Firmware, candidate: Candidate) -> int:
    stem = f"kernels/{candidate.library}/{candidate.kernel}."
    return sum(symbol.bytes for symbol in firmware.symbols if symbol.source.startswith(stem))


def fit_lines(table: Table) -> list[str]:
    """The error of each formula, a line each: shapes, then median and worst in percent, by board."""
    lines = []
    for level, kernels in table.items():
        for kernel, formula in sorted(kernels.items()):
            bands = ", ".join(
                f"{board} {cost.band.median_percent:.1f} / {cost.band.worst_percent:.1f} %"
                for board, cost in formula.boards.items()
            )
            lines.append(f"{kernel} at {level}, {formula.shapes} shapes: {bands}")
    return lines
