"""Run an image once more under the timing core, and put names to what it counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from pipeline.boards import Board
from pipeline.build import Firmware, build_library
from pipeline.errors import TargetFailed
from pipeline.files import write_file
from pipeline.progress import Progress
from pipeline.runners.base import Stimulus
from pipeline.runners.qemu import Qemu, find_qemu
from pipeline.runners.unicorn import Unicorn
from pipeline.timing.board import TimingModel
from pipeline.timing.hooks import UnicornHooks
from pipeline.timing.instructions import Function, Instruction, function_of, read_image, read_variable
from pipeline.timing.profile import Figures, Profile, Watch, profile_table, read_profile
from pipeline.timing.source_lines import SourceLines, read_source_lines

STAGE = "estimate"
NATIVE = Path(__file__).parent / "native"
LOOP, LAYER_WORD, LAYER_FUNCTION = "run_layers", "harness_layer", "layer_{}"
VENEER = "_veneer"
# QEMU 9 dropped API 1 of its plugins; nothing that is used here changed.
FIRST_QEMU_WITH_API_2 = 9
# Up to here fetch stalls were as small a part of the runs that the method was held against.
SMALL_FETCH_SHARE = 0.15
SMALL_ERROR_PERCENT, LARGE_ERROR_PERCENT = 5.0, 25.0
BLOCKS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Part:
    """A function, and what was executed of it."""

    name: str
    source: str
    """Its file; empty where the image does not say."""
    figures: Figures


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions that are always executed together."""

    function: str
    address: int
    end: int
    executions: int
    source: str
    """`kernels/portable/conv_2d.c:88-97`; empty where the image does not say."""
    figures: Figures


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cycles of one inference on a board, and where they go."""

    model: TimingModel
    simulator: str
    image_board: str
    """The board that the image was linked for: its addresses are the ones that were simulated."""
    total: Figures
    layers: tuple[Figures, ...]
    outside: Figures
    functions: tuple[Part, ...]
    """Most cycles first."""
    blocks: tuple[Block, ...]
    """The costliest, most cycles first."""
    callgrind: str
    """The same for each instruction, as callgrind writes it."""
    stacks: tuple[tuple[tuple[str, ...], int], ...] = ()
    """(functions, the caller first; cycles of the last one itself) of every chain of calls."""

    @property
    def seconds(self) -> float:
        return self.total.cycles / self.model.clock_hz

    @property
    def fetch_share(self) -> float:
        return self.total.fetch_stall_cycles / self.total.cycles

    @property
    def error_percent(self) -> float | None:
        """How far the estimate may be off; None where the method was held against nothing of the kind."""
        if not self.model.evidence:
            return None
        if self.model.calibrated_error_percent is not None and self.fetch_share <= SMALL_FETCH_SHARE:
            return self.model.calibrated_error_percent
        return SMALL_ERROR_PERCENT if self.fetch_share <= SMALL_FETCH_SHARE else LARGE_ERROR_PERCENT

    @property
    def error_words(self) -> str:
        """The error and its reason in a sentence."""
        if self.model.is_bracket:
            return f"No single figure is given for a {self.model.cpu}: {self.model.assumptions}."
        assumed = f" Assumed: {self.model.assumptions}." if self.model.assumptions else ""
        share = f"{100 * self.fetch_share:.1f} % of the cycles wait for instructions"
        if self.error_percent is None:
            return (
                f"No error is stated: the method was held against no measurement of this board ({share})."
                f"{assumed}"
            )
        if self.error_percent == self.model.calibrated_error_percent:
            return f"Stated error {self.error_percent:g} %, calibrated with {self.model.evidence} ({share})."
        much = "little" if self.error_percent == SMALL_ERROR_PERCENT else "much: the code overflows its cache"
        return (
            f"Stated error {self.error_percent:g} %: {share}, which is {much} "
            f"(its authors held the method against {self.model.evidence}; it was not repeated here)."
        )


def estimate_cycles(
    firmware: Firmware,
    run_board: Board,
    model: TimingModel,
    sample: np.ndarray,
    steps: Sequence[Sequence[int]],
    folder: Path,
    progress: Progress,
    runner: str = Qemu.name,
) -> Estimate:
    """Estimated cycles on `model`'s board of one inference of `sample`, (bytes,) uint8.

    `firmware` is an image for `run_board`, which `runner` runs, one of SIMULATORS; each of its `steps` runs
    the layers of these indices. `folder` keeps the timing core and its files. Raises BuildFailed
    E_HOST_COMPILER where the core cannot be built, TargetFailed E_ESTIMATE.
    """
    progress(STAGE, 0, 1)
    instructions, functions = read_image(firmware.elf)
    watch = find_watch(firmware, functions, steps)
    table, out = folder / "table.txt", folder / "profile.txt"
    folder.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    write_file(table, profile_table(model, run_board, instructions, watch, functions).encode("ascii"))
    stimulus = Stimulus(inputs=sample[np.newaxis], timed_runs=1, warmups=1)
    simulator = SIMULATORS[runner](firmware, run_board, stimulus, table, out)
    estimate = _estimate(
        read_profile(out),
        model,
        simulator,
        run_board,
        instructions,
        functions,
        read_source_lines(firmware.elf),
    )
    progress(STAGE, 1, 1)
    return estimate


def _in_qemu(firmware: Firmware, board: Board, stimulus: Stimulus, table: Path, out: Path) -> str:
    version, plugin = build_plugin(out.parent)
    Qemu(plugin=_plugin_option(plugin, table=table, out=out)).run(firmware, board, stimulus)
    return version


def _in_unicorn(firmware: Firmware, board: Board, stimulus: Stimulus, table: Path, out: Path) -> str:
    with UnicornHooks(table, out.parent) as hooks:
        transcript = Unicorn(attach=hooks.attach).run(firmware, board, stimulus)
        hooks.write(out)
    return transcript.runner


# Each runs the image with the timing core attached, and says in words what ran it.
SIMULATORS = {Qemu.name: _in_qemu, Unicorn.name: _in_unicorn}


def build_plugin(folder: Path) -> tuple[str, Path]:
    """QEMU's version and the plugin for it, built where it is not there yet."""
    _, version = find_qemu()
    api = 1 if int(version.partition(".")[0]) < FIRST_QEMU_WITH_API_2 else 2
    sources = [NATIVE / name for name in ("cycles.c", "profile.c", "qemu_plugin.c")]
    flags = [f"-DPLUGIN_API={api}", "-fvisibility=hidden"]
    return f"qemu {version}", build_library(sources, flags, folder)


def one_layer_a_step(layers: int) -> tuple[tuple[int, ...], ...]:
    """The steps of a program without groups."""
    return tuple((layer,) for layer in range(layers))


def find_watch(firmware: Firmware, functions: Sequence[Function], steps: Sequence[Sequence[int]]) -> Watch:
    """The marks of an image's layers. TargetFailed E_ESTIMATE where it lacks one."""
    loop = next((function for function in functions if function.name == LOOP), None)
    word = read_variable(firmware.elf, LAYER_WORD)
    if loop is None or word is None:
        raise TargetFailed(
            f"the image has no function {LOOP} or no variable {LAYER_WORD}: layers cannot be told apart",
            code="E_ESTIMATE",
            where=firmware.elf,
        )
    return Watch(loop.address, loop.end, word, tuple(map(tuple, steps)), _entries(firmware, functions, steps))


def _entries(
    firmware: Firmware, functions: Sequence[Function], steps: Sequence[Sequence[int]]
) -> dict[int, int]:
    """Where the functions of layers that share a step begin."""
    sharing = {LAYER_FUNCTION.format(layer): layer for step in steps if len(step) > 1 for layer in step}
    found = {f.address: sharing[f.name] for f in functions if f.name in sharing}
    missing = [name for name, layer in sharing.items() if layer not in found.values()]
    if missing:
        raise TargetFailed(
            f"the image has no function {', '.join(missing)}: layers of one step cannot be told apart",
            code="E_ESTIMATE",
            where=firmware.elf,
        )
    return found


def _plugin_option(plugin: Path, **arguments: Path) -> str:
    """QEMU takes a doubled comma for one that is part of a value."""
    values = [("", plugin), *((f"{key}=", path) for key, path in arguments.items())]
    return ",".join(key + str(path.resolve()).replace(",", ",,") for key, path in values)


def _estimate(
    profile: Profile,
    model: TimingModel,
    simulator: str,
    run_board: Board,
    instructions: Sequence[Instruction],
    functions: tuple[Function, ...],
    lines: SourceLines,
) -> Estimate:
    if sum(profile.by_address.values(), Figures()) != profile.total:
        raise TargetFailed("the layers' counts and the instructions' counts differ", code="E_ESTIMATE")
    executed = [i for i in instructions if i.address in profile.by_address]
    # By address: two files may each have a static function of one name.
    owners = {i.address: function_of(functions, i.address) or _nameless(i) for i in executed}
    by_function: dict[Function, list[Instruction]] = defaultdict(list)
    for instruction in executed:
        by_function[owners[instruction.address]].append(instruction)
    parts = [
        Part(function.name, _file(found, lines), _sum(found, profile))
        for function, found in by_function.items()
    ]
    blocks = [
        Block(
            owners[found[0].address].name,
            found[0].address,
            found[-1].end,
            profile.by_address[found[0].address].instructions,
            _span(found, profile, lines),
            _sum(found, profile),
        )
        for found in _basic_blocks(executed, instructions, functions, profile)
    ]
    return Estimate(
        model=model,
        simulator=simulator,
        image_board=run_board.name,
        total=profile.total,
        layers=profile.layers,
        outside=profile.outside,
        functions=tuple(sorted(parts, key=lambda part: (-part.figures.cycles, part.name))),
        blocks=tuple(sorted(blocks, key=lambda block: (-block.figures.cycles, block.address))[:BLOCKS_KEPT]),
        callgrind=_callgrind(by_function, profile, lines, model),
        stacks=_named(profile.stacks, functions),
    )


def _named(
    stacks: Sequence[tuple[tuple[int, ...], int]], functions: Sequence[Function]
) -> tuple[tuple[tuple[str, ...], int], ...]:
    """Names for the addresses; the linker's veneers, by which code in RAM is reached, count for who calls."""
    names = {function.address: function.name for function in functions}
    found: dict[tuple[str, ...], int] = defaultdict(int)
    for path, cycles in stacks:
        found[tuple(name for address in path if not (name := names[address]).endswith(VENEER))] += cycles
    return tuple((path, cycles) for path, cycles in found.items() if cycles)


def _nameless(instruction: Instruction) -> Function:
    """Code without a symbol, as a compiler's library has some."""
    return Function(f"{instruction.address:#x}", instruction.address, instruction.end)


def _sum(instructions: Sequence[Instruction], profile: Profile) -> Figures:
    return reduce(add, (profile.by_address[i.address] for i in instructions))


def _basic_blocks(
    executed: Sequence[Instruction],
    instructions: Sequence[Instruction],
    functions: Sequence[Function],
    profile: Profile,
) -> list[list[Instruction]]:
    """Cut where a branch ends or leads to, and where a count changes."""
    leaders = {i.target for i in instructions if i.target is not None} | {f.address for f in functions}
    blocks: list[list[Instruction]] = []
    for instruction in executed:
        before = blocks[-1][-1] if blocks else None
        if (
            before is None
            or before.end != instruction.address
            or before.branches
            or instruction.address in leaders
            or profile.by_address[before.address].instructions
            != profile.by_address[instruction.address].instructions
        ):
            blocks.append([])
        blocks[-1].append(instruction)
    return blocks


def _file(instructions: Sequence[Instruction], lines: SourceLines) -> str:
    """Where a function begins: what is inlined into it comes later."""
    first = lines.at(instructions[0].address)
    return first.file if first else ""


def _span(instructions: Sequence[Instruction], profile: Profile, lines: SourceLines) -> str:
    """The lines of a block in the file that most of its cycles come from."""
    cycles: dict[str, int] = defaultdict(int)
    numbers: dict[str, list[int]] = defaultdict(list)
    for instruction in instructions:
        line = lines.at(instruction.address)
        if line:
            cycles[line.file] += profile.by_address[instruction.address].cycles
            numbers[line.file].append(line.line)
    if not cycles:
        return ""
    file = max(cycles, key=lambda name: (cycles[name], name))
    low, high = min(numbers[file]), max(numbers[file])
    return f"{file}:{low}" + (f"-{high}" if high > low else "")


def _callgrind(
    by_function: dict[Function, list[Instruction]], profile: Profile, lines: SourceLines, model: TimingModel
) -> str:
    """Valgrind's manual, "Callgrind Format Specification": self cost of each instruction."""
    text = [
        "# callgrind format",
        "version: 1",
        "creator: stm32-deploy",
        f"desc: Estimated for: {model.title}, {model.words}",
        "positions: instr line",
        "event: Ir : instructions",
        "event: Cycles : estimated cycles",
        "event: ZeroWait : cycles with zero-wait memory",
        "event: FetchStall : fetch stalls",
        "event: DataStall : data stalls",
        "events: Ir Cycles ZeroWait FetchStall DataStall",
    ]
    for function, found in by_function.items():
        text += ["", f"fl={_file(found, lines) or '???'}", f"fn={function.name}"]
        inlined_from = _file(found, lines)
        for instruction in found:
            line = lines.at(instruction.address)
            file = line.file if line else _file(found, lines)
            if file != inlined_from:
                text.append(f"{'fe' if file == _file(found, lines) else 'fi'}={file}")
                inlined_from = file
            f = profile.by_address[instruction.address]
            # Costs are counts: what a stall hides of another is taken off the zero-wait cycles.
            text.append(
                f"{instruction.address:#x} {line.line if line else 0} {f.instructions} {f.cycles} "
                f"{f.zero_wait_cycles + min(0, f.fetch_stall_cycles)} {max(0, f.fetch_stall_cycles)} "
                f"{f.data_stall_cycles}"
            )
    t = profile.total
    text += ["", f"totals: {t.instructions} {t.cycles} {t.zero_wait_cycles} {t.fetch_stall_cycles} "
                 f"{t.data_stall_cycles}"]  # fmt: skip
    return "\n".join(text) + "\n"
