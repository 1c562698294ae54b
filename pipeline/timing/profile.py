"""What the timing core is told, and what it answers: text files read and written on both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.boards import Board
from pipeline.errors import TargetFailed
from pipeline.timing.board import TimingModel
from pipeline.timing.instructions import Function, Instruction


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of some executed instructions."""

    instructions: int = 0
    taken: int = 0
    """Of them followed by another instruction than the next in memory."""
    zero_wait_cycles: int = 0
    """Cycles with a memory that answers at once."""
    cycles: int = 0
    data_stall_cycles: int = 0
    """Of the cycles, those spent waiting for data from flash."""
    data_misses: int = 0
    """Times that data were read from flash, since the data cache had them not: each takes the wait states and
    `data_miss_extra`, and perhaps waits for a read of instructions before it."""

    @property
    def fetch_stall_cycles(self) -> int:
        """What flash costs besides. Slightly negative where a data stall hides a refill of the queue."""
        return self.cycles - self.zero_wait_cycles - self.data_stall_cycles

    @property
    def bounds(self) -> tuple[int, int]:
        """Cycles at two instructions in each, and one after the other with every wait."""
        return -(-self.instructions // 2), self.cycles

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.instructions + other.instructions,
            self.taken + other.taken,
            self.zero_wait_cycles + other.zero_wait_cycles,
            self.cycles + other.cycles,
            self.data_stall_cycles + other.data_stall_cycles,
            self.data_misses + other.data_misses,
        )


@dataclass(frozen=True, slots=True)
class Watch:
    """What marks an inference and its layers in an image."""

    loop_start: int
    """Address of the function that calls the layers."""
    loop_end: int
    layer_word: int
    """Address of the variable that it writes before each step, and after the last."""
    steps: tuple[tuple[int, ...], ...]
    """The layers that each step runs: one, or several strip by strip."""
    entries: Mapping[int, int] = field(default_factory=dict)
    """Address of a layer's function -> the layer, for those that share a step."""

    @property
    def layers(self) -> int:
        return sum(len(step) for step in self.steps)

    @property
    def step_owners(self) -> tuple[int, ...]:
        """Whose each step's own code is: its layer, or `layers`, nobody's, where it runs several."""
        return tuple(step[0] if len(step) == 1 else self.layers for step in self.steps)


@dataclass(frozen=True, slots=True)
class Profile:
    """Figures of one inference."""

    layers: tuple[Figures, ...]
    outside: Figures
    """The loop around the layers, and the loops of steps that run several."""
    by_address: dict[int, Figures]
    stacks: tuple[tuple[tuple[int, ...], int], ...] = ()
    """(functions by address, the caller first; cycles of the last one itself) of every chain of calls."""

    @property
    def total(self) -> Figures:
        return sum(self.layers, self.outside)


def profile_table(
    model: TimingModel,
    run_board: Board,
    instructions: Sequence[Instruction],
    watch: Watch,
    functions: Sequence[Function] = (),
) -> str:
    """The input of native/profile.c. Addresses are those of `run_board`, which the image is linked for.

    Its memory that needs no waiting stands for that of the model's board, where that has any.
    """
    flash = run_board.region("flash")
    fetch_ram = [region for region in run_board.memory if region.zero_wait_fetch and model.fetch_ram]
    lines = [
        f"flash {flash.origin} {flash.length_bytes}",
        f"wait_states {model.wait_states}",
        f"miss_extra {model.fetch_miss_extra} {model.data_miss_extra}",
        f"read_bytes {model.read_bytes}",
        f"line_bytes {model.line_bytes}",
        f"instruction_lines {model.instruction_lines}",
        f"data_lines {model.data_lines}",
        f"ways {model.instruction_ways} {model.data_ways}",
        f"unified {int(model.unified)}",
        f"prefetch {int(model.prefetch)}",
        f"fetch_ram {len(fetch_ram)}",
        *(f"{region.origin} {region.length_bytes}" for region in fetch_ram),
        f"watch {watch.loop_start} {watch.loop_end} {watch.layer_word}",
        f"layers {watch.layers}",
        f"steps {len(watch.steps)}",
        *map(str, watch.step_owners),
        f"instructions {len(instructions)}",
        *(instruction.row() for instruction in instructions),
        f"entries {len(watch.entries)}",
        *(f"{address} {layer}" for address, layer in watch.entries.items()),
        f"functions {len(functions)}",
        *(str(function.address) for function in functions),
    ]
    return "\n".join(lines) + "\n"


def read_profile(path: Path) -> Profile:
    """The output of native/profile.c. TargetFailed E_ESTIMATE where it is missing or cut short."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    if not lines or lines[-1] != "end":
        raise TargetFailed(
            "the simulator ended without the counts of an inference", code="E_ESTIMATE", where=path
        )
    rows = [line.split() for line in lines[:-1]]
    layers = [Figures(*map(int, row[2:])) for row in rows if row[0] == "layer"]
    return Profile(
        tuple(layers[:-1]),
        layers[-1],
        {int(row[1]): Figures(*map(int, row[2:])) for row in rows if row[0] == "at"},
        _stacks([tuple(map(int, row[1:])) for row in rows if row[0] == "stack"]),
    )


def _stacks(rows: Sequence[tuple[int, ...]]) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Each with its callers; a row is (row of the caller + 1 or 0, function, cycles), callers first."""
    paths: list[tuple[int, ...]] = []
    for parent, function, _ in rows:
        paths.append((*(paths[parent - 1] if parent else ()), function))
    return tuple((path, row[2]) for path, row in zip(paths, rows, strict=True))
