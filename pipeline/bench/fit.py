"""Fit the kernels' cost formulas: profile many layers under the timing core, and keep costs.toml."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline.bench.shapes import shapes
from pipeline.boards import Board, list_boards, load_board
from pipeline.build import KERNEL_LEVEL, Firmware, build_firmware, find_toolchain, kernel_level
from pipeline.errors import UsageError
from pipeline.files import write_file
from pipeline.graph import Graph
from pipeline.kernels import candidates, libraries_of
from pipeline.kernels.base import Candidate
from pipeline.kernels.costs import (
    CORE_FIGURES,
    COSTS_FILE,
    FROM_FLASH,
    STALLS,
    Formula,
    Observation,
    Table,
    compiler_of,
    costs_text,
    fit_formula,
    read_costs,
)
from pipeline.kernels.portable import Portable
from pipeline.lower import lower_program
from pipeline.plan import plan_schedule
from pipeline.progress import Progress
from pipeline.registry import nearest
from pipeline.render import render_sources
from pipeline.schedule import schedule_one
from pipeline.timing import Figures, TimingModel, can_estimate, timing_model
from pipeline.timing.bare import profile_bare

FOLDER = Path("build") / "bench" / "costs"
PROFILED_BOARD = "nucleo_l4r5zi"
"""Whose image is profiled, under the timing of every board of its core."""
LEVELS = {level: aim for aim, level in KERNEL_LEVEL.items()}
"""An aim that compiles the kernels at each level."""
FEWEST_SHAPES = 5
"""A kernel with fewer profiles gets no formula: leave-one-out would say nothing."""
MOST_WAYS = 4
"""In which one kernel is profiled on one layer. Its other ways are profiled on other layers."""

Observations = dict[str, list[Observation]]
"""By `<library>/<kernel>`."""


def write_costs(progress: Progress, kernels: Sequence[str] = ()) -> Table:
    """Profile, fit and write the project's formulas; of these kernels alone, where some are named.

    A kernel is named as in `<library>/<kernel>`, or by its second part. What was fitted is returned; the
    file keeps the formulas of all others. Raises UsageError E_FIT_KERNEL, E_FIT_SHAPES and E_FIT_COMPILER,
    and what a build and a profile raise.
    """
    compiler = str(find_toolchain(load_board(PROFILED_BOARD)))
    graphs = tuple(shapes())
    chosen = _chosen(kernels, graphs) if kernels else None
    text = COSTS_FILE.read_text(encoding="utf-8") if chosen else ""
    if chosen and compiler_of(text) != compiler:
        raise UsageError(
            f"the formulas of the other kernels were fitted with {compiler_of(text)}, this is {compiler}",
            code="E_FIT_COMPILER",
            hint="install that compiler, or fit all kernels: stm32-deploy bench --fit",
        )
    fitted = {
        level: fit_formulas(profile_shapes(graphs, level, FOLDER, progress, chosen)) for level in LEVELS
    }
    table: Table = fitted
    if chosen:
        others = read_costs(text)
        table = {
            level: {name: one for name, one in held.items() if name not in chosen} | fitted[level]
            for level, held in others.items()
        }
    write_file(COSTS_FILE, costs_text(table, compiler).encode())
    return fitted


def _chosen(kernels: Sequence[str], graphs: Sequence[Graph]) -> frozenset[str]:
    """The full names of these kernels. UsageError where one is not known, or can run too few layers."""
    layers = Counter(name for graph in graphs for name in {name for name, _ in ways_of(graph)})
    known = sorted(layers)
    chosen = []
    for wanted in kernels:
        found = [name for name in known if wanted in {name, name.partition("/")[2]}]
        if not found:
            near = nearest(wanted, [*known, *(name.partition("/")[2] for name in known)])
            raise UsageError(
                f"no layer that is profiled can be run by a kernel {wanted!r}",
                code="E_FIT_KERNEL",
                hint=(f"did you mean {near}? " if near else "") + f"kernels: {', '.join(known)}",
            )
        chosen += found
    few = [f"{name} can run {layers[name]}" for name in chosen if layers[name] < FEWEST_SHAPES]
    if few:
        raise UsageError(
            f"a formula needs {FEWEST_SHAPES} layers: {', '.join(few)} of those that are profiled",
            code="E_FIT_SHAPES",
            hint="add layers of its kind to pipeline/bench/shapes.py",
        )
    return frozenset(chosen)


def ways_of(graph: Graph) -> list[tuple[str, Candidate]]:
    """(`<library>/<kernel>`, candidate) of every way in which the one layer of a graph can be run."""
    (node,) = graph.nodes
    libraries = libraries_of(load_board(PROFILED_BOARD))
    ways = candidates(node.op, graph.operands(node), graph.tensors[node.output], libraries)
    return [(f"{way.library}/{way.kernel}", way) for way in ways if way.features]


def runs_of(graphs: Sequence[Graph]) -> Iterator[tuple[Graph, str, Candidate]]:
    """Every layer in up to MOST_WAYS of each kernel's ways, these in turn from layer to layer."""
    for index, graph in enumerate(graphs):
        by_kernel: dict[str, list[Candidate]] = defaultdict(list)
        for name, way in ways_of(graph):
            by_kernel[name].append(way)
        for name, ways in by_kernel.items():
            step = math.ceil(len(ways) / MOST_WAYS)
            yield from ((graph, name, way) for way in ways[index % step :: step])


def fit_formulas(observations: Observations) -> dict[str, Formula]:
    """A formula for each kernel that was profiled on enough shapes."""
    return {
        kernel: fit_formula(seen)
        for kernel, seen in observations.items()
        if len({one.layer for one in seen}) >= FEWEST_SHAPES
    }


def profile_shapes(
    graphs: Sequence[Graph],
    level: str,
    folder: Path,
    progress: Progress,
    kernels: frozenset[str] | None = None,
) -> Observations:
    """Every kernel that is compiled at this level, or these, on every one-layer graph that it can run.

    The image is that of PROFILED_BOARD; stalls are those of every board of which cycles are estimated.
    """
    board = load_board(PROFILED_BOARD)
    boards = [other for other in list_boards() if can_estimate(other)]
    runs = [
        (graph, name, way)
        for graph, name, way in runs_of(graphs)
        if kernel_level(name, LEVELS[level]) == level and (kernels is None or name in kernels)
    ]
    found: Observations = defaultdict(list)
    for done, (graph, name, way) in enumerate(runs):
        progress(f"profile {level}", done, len(runs))
        found[name].append(_observe(graph, way, board, boards, LEVELS[level], folder))
    progress(f"profile {level}", len(runs), len(runs))
    return found


def _observe(
    graph: Graph, candidate: Candidate, board: Board, boards: Sequence[Board], aim: str, folder: Path
) -> Observation:
    schedule = schedule_one(graph, candidate)
    program = lower_program(schedule, plan_schedule(schedule))
    # Boards that differ in nothing that the core knows of are profiled once.
    alike = {other.name: _settings(timing_model(other)) for other in boards}
    own: dict[TimingModel, Figures] = {}
    # Code that asks for RAM stays in flash where a board has none to run it from without waiting, and where
    # nobody wants it there.
    alike |= {
        f"{name}{FROM_FLASH}": replace(model, fetch_ram=())
        for name, model in alike.items()
        if model.fetch_ram and candidate.library != Portable.name
    }
    for in_ram in (True, False):
        models = [model for model in dict.fromkeys(alike.values()) if bool(model.fetch_ram) == in_ram]
        tree = render_sources(program, board, code_in_ram=in_ram)
        firmware = build_firmware(tree, board, folder / aim, optimize=aim)
        profiles = profile_bare(firmware, board, models, ((0,),), folder / "timing")
        own |= {model: profile.layers[0] for model, profile in zip(models, profiles, strict=True)}
    core = own[alike[board.name]]
    return Observation(
        name=f"{graph.name}, {candidate.variant}",
        features=candidate.work,
        routines=_code_bytes(firmware, candidate, own=True),
        shared_code=_code_bytes(firmware, candidate, own=False),
        core={name: getattr(core, name) for name in CORE_FIGURES},
        layer=graph.name,
        stalls={
            name: {stall: getattr(own[model], stall) for stall in STALLS} for name, model in alike.items()
        },
    )


def _settings(model: TimingModel) -> TimingModel:
    """A board's model without what only names it."""
    return replace(model, board="", title="", evidence="", clock_hz=0, fetch_ram=model.fetch_ram[:1])


def _code_bytes(firmware: Firmware, candidate: Candidate, *, own: bool) -> Counter[str]:
    """Of the image's one kernel: by routine, of its own files; or of those that kernels share, by
    `<library>/<file>`."""
    folder = f"kernels/{candidate.library}/"
    found: Counter[str] = Counter()
    for symbol in firmware.symbols:
        file = PurePosixPath(symbol.source).stem
        if symbol.source.startswith(folder) and (file == candidate.kernel) == own:
            # What is shared may be of another kernel, whose formula counts it as its own.
            found[symbol.name if own else f"{candidate.library}/{file}"] += symbol.bytes
    return found


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
