"""Boards: what a target can hold, how fast it runs, how it may be run."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.chips import CHIPS, MHZ, Chip, uart_bus
from pipeline.errors import UsageError
from pipeline.registry import data_folder, nearest

# The cores that the compiler and the templates know, and whether they have the DSP extension
# (ARMv7E-M; ARMv8-M Mainline as ST builds it). `native` is the machine that runs the pipeline.
CORES = {
    "cortex-m0": False,
    "cortex-m0plus": False,
    "cortex-m3": False,
    "cortex-m4": True,
    "cortex-m7": True,
    "cortex-m33": True,
    "cortex-m55": True,
    "native": False,
}
FPUS = ("fpv4-sp-d16", "fpv5-sp-d16", "fpv5-d16")
STACK_BYTES = 2048
# How far a baud rate may be off; a receiver bears some 3 %, which both ends and the oscillators share.
BAUD_TOLERANCE = 0.01
# What a line is offered at most: the highest of the usual rates that the UARTs here make from their buses.
MOST_BAUD = 921_600
# Files of pipeline/runners/ that are no way to run.
NO_RUNNERS = {"__init__", "base", "process", "protocol"}
# DBGMCU_IDCODE of all Cortex-M4 families and of F7: RM0432 and RM0410, chapters on debug support.
DBGMCU_IDCODE = 0xE004_2000
# Runners that need the board itself: they are never chosen unless they are asked for.
HARDWARE_RUNNERS = ("serial",)


@dataclass(frozen=True, slots=True)
class Memory:
    """One region of a board's address space."""

    name: str
    origin: int
    length_bytes: int
    access: str
    """Letters of `rwx`, as in a linker script."""
    notes: str = ""
    zero_wait_fetch: bool = False
    """Whether instructions are fetched from here without waiting: TCM, CCM, SRAM on the instruction bus."""
    alias: int | None = None
    """Where in another region the same memory is seen, if it is."""
    fast: bool = False
    """Whether stack and data go here rather than into `ram`, and the arena too where it fits."""

    @property
    def end(self) -> int:
        return self.origin + self.length_bytes


@dataclass(frozen=True, slots=True)
class Clock:
    """How fast the core runs, and how it comes to do so."""

    hclk_hz: int
    source: str = ""
    """The oscillator that feeds the PLL, by the reference manual's name."""
    pll: Mapping[str, int] = field(default_factory=dict)
    """The PLL's factors by the reference manual's letters: m, n, p, q, r."""
    flash_latency: int = 0
    """Wait states."""
    ahb_divider: int = 1
    """Of the core's clock; where it is not 1, buses, flash and RAM run slower than the core."""
    apb1_divider: int = 1
    apb2_divider: int = 1


@dataclass(frozen=True, slots=True)
class Console:
    """The serial line that the host sees."""

    uart: str
    baud: int
    tx: str = ""
    rx: str = ""
    alternate_function: int = 0


@dataclass(frozen=True, slots=True)
class FlashNames:
    """What the programs that write a board's flash call its chip; empty: this one does not know it."""

    device_id: int
    """DEV_ID of DBGMCU_IDCODE."""
    device_id_register: int
    """Address of DBGMCU_IDCODE."""
    openocd: tuple[str, ...]
    """Files of OpenOCD's own scripts, in the order in which they are read."""
    probe_rs: str
    pyocd: str


@dataclass(frozen=True, slots=True)
class Power:
    """The current that a data sheet gives for the running chip: typical, for reckoning energies that are
    called what they are."""

    microamperes_per_mhz: float
    millivolts: int
    source: str
    """Which data sheet says so, for what."""

    def joules(self, seconds: float, clock_hz: int) -> float:
        """What the chip takes while it runs at this clock."""
        return 1e-12 * self.microamperes_per_mhz * clock_hz * 1e-3 * self.millivolts * seconds


@dataclass(frozen=True, slots=True)
class Board:
    """One file board/<name>/board.toml, checked."""

    name: str
    title: str
    soc: str
    """board/soc/<soc>.c implements hal.h."""
    cpu: str
    """As in -mcpu."""
    fpu: str | None
    """As in -mfpu; None for soft float."""
    memory: tuple[Memory, ...]
    clock: Clock
    console: Console
    run: Mapping[str, Mapping[str, Any]]
    """Settings of each runner that can run this board, by the runner's name."""
    stack_bytes: int = STACK_BYTES
    chip: str = ""
    """Key of pipeline.chips.CHIPS, such as STM32L4R5; of an FPGA image its name; empty: none."""
    timing: Mapping[str, Any] = field(default_factory=dict)
    """The table [timing], as it stands: pipeline/timing reads and checks it. Empty where there is none."""
    power: Power | None = None
    """The table [power]; None where no current is known."""
    flash: FlashNames | None = None
    """The table [flash]; None where nothing can be flashed."""

    def region(self, name: str) -> Memory:
        return next(region for region in self.memory if region.name == name)

    @property
    def flash_bytes(self) -> int:
        return self.region("flash").length_bytes

    @property
    def ram_bytes(self) -> int:
        """Of the region that data, arena and stack are placed in."""
        return self.region("ram").length_bytes

    @property
    def all_ram_bytes(self) -> int:
        """Of every region that can be written, each byte once."""
        return sum(r.length_bytes for r in self.memory if "w" in r.access and r.alias is None)

    @property
    def data_region(self) -> Memory:
        """Where stack and data go: the region that is marked as fast, else `ram`."""
        return next((region for region in self.memory if region.fast), self.region("ram"))

    def arena_region(self, ram_needed: int) -> Memory:
        """Where the arena goes when stack, data and arena together take `ram_needed` bytes."""
        fast = self.data_region
        return fast if ram_needed <= fast.length_bytes else self.region("ram")

    @property
    def is_stm32(self) -> bool:
        """Whether it is a board to be bought, rather than a simulator's or this computer."""
        return self.chip in CHIPS

    @property
    def hclk_hz(self) -> int:
        return self.clock.hclk_hz

    @property
    def uart_hz(self) -> int:
        """What clocks the console's UART: its bus."""
        clock = self.clock
        on_apb2 = uart_bus(self.console.uart) == "apb2_divider"
        return clock.hclk_hz // clock.ahb_divider // (clock.apb2_divider if on_apb2 else clock.apb1_divider)

    @property
    def timer_hz(self) -> int:
        """What clocks the timers of APB1: twice their bus, where that is divided (TIMPRE = 0)."""
        clock = self.clock
        return clock.hclk_hz // clock.ahb_divider // max(1, clock.apb1_divider // 2)

    @property
    def core(self) -> str:
        return self.cpu

    @property
    def has_dsp(self) -> bool:
        return CORES[self.cpu]

    @property
    def is_simulated(self) -> bool:
        """Whether it can run without any hardware at hand."""
        return bool(self.simulators)

    @property
    def simulators(self) -> tuple[str, ...]:
        """The runners that need no hardware, in the order of the file: the first is the default."""
        return tuple(runner for runner in self.run if runner not in HARDWARE_RUNNERS)


def list_boards() -> tuple[Board, ...]:
    """Every board that this installation knows, by name."""
    return tuple(read_board(path) for path in sorted(data_folder("board").glob("*/board.toml")))


def load_board(name: str) -> Board:
    """The board of this name. UsageError: E_BOARD_UNKNOWN, or E_BOARD_INVALID for mistakes in its file."""
    known = sorted(path.parent.name for path in data_folder("board").glob("*/board.toml"))
    if name not in known:
        near = nearest(name, known)
        raise UsageError(
            f"there is no board {name!r}",
            code="E_BOARD_UNKNOWN",
            hint=(f"did you mean {near}? " if near else "") + f"known boards: {', '.join(known)}",
        )
    return read_board(data_folder("board") / name / "board.toml")


def boards_that_fit(flash_needed: int, ram_needed: int, asked: Board) -> tuple[str, ...]:
    """The names of the STM32 boards that hold this much, and of the board asked for if it does."""
    return tuple(
        board.name
        for board in list_boards()
        if (board.is_stm32 or board.name == asked.name)
        and flash_needed <= board.flash_bytes
        and ram_needed <= board.ram_bytes
    )


def simulator_for(board: Board, runner: str | None = None) -> Board:
    """The board to run in place of one that is not at hand: itself if simulated, else QEMU's of its core.

    `runner` is the one that was asked for: QEMU's board of the same core, where QEMU was and has no other.
    """
    if runner in board.run or (board.is_simulated and runner != "qemu"):
        return board
    for other in list_boards():
        if "qemu" in other.run and other.core == board.core:
            return other
    if board.is_simulated:
        return board
    raise UsageError(
        f"no simulated board has a {board.core} like {board.name}",
        code="E_NO_SIMULATOR",
        hint="name a simulated board with --board, or run on the board itself",
    )


def at_baud(board: Board, baud: int) -> Board:
    """The board with its console at this rate. UsageError E_BAUD where it cannot be had."""
    board = replace(board, console=replace(board.console, baud=baud))
    problem = _baud_problem(board) if board.is_stm32 else None
    if baud > MOST_BAUD:
        problem = f"{baud} is more than the {MOST_BAUD} that a line can have"
    if problem is None:
        return board
    raise UsageError(
        f"the baud rate does not do for {board.name}: {problem}",
        code="E_BAUD",
        hint="usual rates: 115200, 230400, 460800, 921600; without --baud it is that of board.toml",
    )


def read_board(path: Path) -> Board:
    """Read and check one board file. UsageError E_BOARD_INVALID names every mistake with its key."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"this is no board file: {error}", code="E_BOARD_INVALID", where=path) from error
    mistakes: list[str] = []
    board = _board(_Table(values, "", mistakes), path, mistakes)
    if mistakes:
        raise UsageError(
            f"{len(mistakes)} mistake(s) in this board file",
            code="E_BOARD_INVALID",
            where=path,
            hint="compare it with board/nucleo_l4r5zi/board.toml; board/README.md tells the keys",
            details=mistakes,
        )
    return board


def _board(top: _Table, path: Path, mistakes: list[str]) -> Board:
    name = top.text("name")
    if name and name != path.parent.name:
        mistakes.append(f"name: is {name!r}, and its folder is called {path.parent.name!r}")
    soc = top.text("soc")
    # What several families share has a header of its own.
    folder = data_folder("board") / "soc"
    families = sorted(file.stem for file in folder.glob("*.c") if not file.with_suffix(".h").is_file())
    if soc and soc not in families:
        mistakes.append(f"soc: there is no board/soc/{soc}.c{_meant(soc, families)}")
    memory = tuple(_memory(table) for table in top.tables("memory"))
    _check_memory(memory, mistakes)
    clock = top.table("clock")
    pll = clock.table("pll", required=False)
    console = top.table("console")
    run = top.table("run", required=False)
    board = Board(
        name=name,
        title=top.text("title"),
        soc=soc,
        cpu=top.choice("cpu", tuple(CORES)),
        fpu=top.choice("fpu", FPUS, required=False) or None,
        memory=memory,
        clock=Clock(
            hclk_hz=clock.integer("hclk_hz", 1, 2_000_000_000),
            source=clock.text("source", required=False),
            pll=MappingProxyType({key: pll.integer(key, 1, 512) for key in "mnpqr" if key in pll.values}),
            flash_latency=clock.integer("flash_latency", 0, 15, default=0),
            ahb_divider=clock.divider("ahb_divider"),
            apb1_divider=clock.divider("apb1_divider"),
            apb2_divider=clock.divider("apb2_divider"),
        ),
        console=Console(
            uart=console.text("uart"),
            baud=console.integer("baud", 1200, 12_000_000),
            tx=console.pin("tx"),
            rx=console.pin("rx"),
            alternate_function=console.integer("alternate_function", 0, 15, default=0),
        ),
        run=_runners(run, mistakes),
        stack_bytes=top.size("stack", default=STACK_BYTES),
        chip=top.text("chip", required=soc.startswith("stm32")),
        timing=MappingProxyType(dict(top.table("timing", required=False).values)),
        power=_power(top.table("power", required=False)),
        flash=_flash_names(top.table("flash", required=False)),
    )
    if board.stack_bytes % 8 or board.stack_bytes < 512:
        mistakes.append(f"stack: {board.stack_bytes} bytes; needed is a multiple of 8 from 512 on")
    for table in (top, clock, pll, console):
        table.finish()
    if soc.startswith("stm32") and board.chip:
        if board.chip in CHIPS:
            _check_chip(board, CHIPS[board.chip], mistakes)
        else:
            near = _meant(board.chip, list(CHIPS))
            mistakes.append(f"chip: the limits of {board.chip!r} are not in pipeline/chips.py{near}")
    return board


def _check_chip(board: Board, chip: Chip, mistakes: list[str]) -> None:
    """Hold a board against the limits of its chip; what is mistaken already is not complained of again."""
    mistaken = {re.split(r"[.:\[]", mistake)[0] for mistake in mistakes}
    if mistaken & {"soc", "cpu", "fpu"}:
        return
    for key, value, wanted in (
        ("soc", board.soc, chip.family), ("cpu", board.cpu, chip.cpu), ("fpu", board.fpu, chip.fpu)
    ):  # fmt: skip
        if value != wanted:
            mistakes.append(f"{key}: is {value!r}; the {chip.name} has {wanted!r}")
            return  # then this is another chip, whose limits say nothing
    for number, region in enumerate(board.memory if "memory" not in mistaken else ()):
        if not any(w.origin <= region.origin and region.end <= w.end for w in chip.memory):
            has = ", ".join(f"{w.name} {w.length_bytes // 1024}K at {w.origin:#x}" for w in chip.memory)
            mistakes.append(f"memory[{number}]: {region.name} is not within the {chip.name}'s memory: {has}")
    if "clock" not in mistaken:
        _check_clock(board.clock, chip, mistakes)
    if not mistaken & {"clock", "console"}:
        _check_console(board, chip, mistakes)


def _check_clock(clock: Clock, chip: Chip, mistakes: list[str]) -> None:
    if clock.source != chip.source:
        mistakes.append(f"clock.source: is {clock.source!r}; board/soc/{chip.family}.c starts {chip.source}")
    if set(clock.pll) != set(chip.factors):
        mistakes.append(
            f"clock.pll: has {', '.join(clock.pll) or 'no factor'}; needed are {', '.join(chip.factors)}"
        )
    else:
        wrong = [letter for letter, allowed in chip.factors.items() if clock.pll[letter] not in allowed]
        for letter in wrong:
            allowed = chip.factors[letter]
            words = f"{allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else _listed(allowed)
            mistakes.append(f"clock.pll.{letter}: is {clock.pll[letter]}; the {chip.name} takes {words}")
        if not wrong:
            _check_pll(clock, chip, mistakes)
    ahb_hz = clock.hclk_hz / clock.ahb_divider
    for key, hz, most in (
        ("clock.hclk_hz", clock.hclk_hz, chip.core_hz),
        ("clock.ahb_divider", ahb_hz, chip.ahb_hz),
        ("clock.apb1_divider", ahb_hz / clock.apb1_divider, chip.apb1_hz),
        ("clock.apb2_divider", ahb_hz / clock.apb2_divider, chip.apb2_hz),
    ):
        if hz > most:
            mistakes.append(f"{key}: makes {_mhz(hz)}; the {chip.name} takes up to {_mhz(most)} there")
            if key in {"clock.hclk_hz", "clock.ahb_divider"}:
                break  # what follows from it is no mistake of its own
    least = chip.wait_states(int(ahb_hz))
    if clock.flash_latency < least:
        mistakes.append(
            f"clock.flash_latency: is {clock.flash_latency}; {_mhz(ahb_hz)} needs {least} wait states"
        )


def _check_pll(clock: Clock, chip: Chip, mistakes: list[str]) -> None:
    into = chip.source_hz / clock.pll["m"]
    vco = into * clock.pll["n"]
    for words, hz, (low, high) in (("input", into, chip.pll_input_hz), ("VCO", vco, chip.vco_hz)):
        if not low <= hz <= high:
            mistakes.append(
                f"clock.pll: its {words} runs at {_mhz(hz)}; allowed are {_mhz(low)} to {_mhz(high)}"
            )
    out = vco / clock.pll[chip.output_factor]
    if out != clock.hclk_hz:
        mistakes.append(
            f"clock.hclk_hz: is {_mhz(clock.hclk_hz)}; {chip.source} {_mhz(chip.source_hz)} / m * n / "
            f"{chip.output_factor} is {_mhz(out)}"
        )


def _check_console(board: Board, chip: Chip, mistakes: list[str]) -> None:
    console = board.console
    if console.uart not in chip.uarts:
        mistakes.append(
            f"console.uart: {console.uart!r} is not known{_meant(console.uart, list(chip.uarts))}"
        )
        return
    for role, pin in (("tx", console.tx), ("rx", console.rx)):
        functions = chip.functions(console.uart, role)
        if pin not in functions:
            mistakes.append(
                f"console.{role}: {pin or 'no pin'} is no {role.upper()} of {console.uart}; "
                f"that is on {_listed(functions)}"
            )
        elif functions[pin] != console.alternate_function:
            mistakes.append(
                f"console.alternate_function: is {console.alternate_function}; "
                f"{console.uart} is function {functions[pin]} of {pin}"
            )
    problem = _baud_problem(board)
    if problem is not None:
        mistakes.append(f"console.baud: {problem}")


def _baud_problem(board: Board) -> str | None:
    """Why the console's UART cannot make its baud rate from its clock; None where it can."""
    console, hz = board.console, board.uart_hz
    scale, least, most = (256, 0x300, 0xFFFFF) if console.uart == "LPUART1" else (1, 16, 0xFFFF)
    ratio = round(scale * hz / console.baud)
    if not least <= ratio <= most:
        return f"{console.baud} cannot be made from {_mhz(hz)} by {console.uart}"
    if abs(scale * hz / ratio / console.baud - 1) > BAUD_TOLERANCE:
        return f"the nearest that {console.uart} makes from {_mhz(hz)} is {scale * hz / ratio:.0f}"
    return None


def _mhz(hz: float) -> str:
    return f"{hz / MHZ:.6g} MHz"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values)


def _memory(table: _Table) -> Memory:
    region = Memory(
        name=table.text("name"),
        origin=table.integer("origin", 0, 2**32 - 1),
        length_bytes=table.size("length"),
        access=table.text("access"),
        notes=table.text("notes", required=False),
        zero_wait_fetch=table.flag("zero_wait_fetch"),
        alias=table.address("alias"),
        fast=table.flag("fast"),
    )
    if not re.fullmatch(r"r?w?x?", region.access):
        table.complain("access", f"is {region.access!r}; expected letters of 'rwx' in this order")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", region.name):
        table.complain("name", f"is {region.name!r}; expected a lower-case identifier")
    if region.end > 2**32:
        table.complain("length", "reaches beyond the 32-bit address space")
    table.finish()
    return region


def _power(table: _Table) -> Power | None:
    """The table [power], where a board has one."""
    if not table.values:
        return None
    found = Power(
        microamperes_per_mhz=table.integer("run_ua_per_mhz", 1, 10_000),
        millivolts=table.integer("supply_mv", 1000, 5000),
        source=table.text("source"),
    )
    table.finish()
    return found


def _flash_names(table: _Table) -> FlashNames | None:
    if not table.values:
        return None
    names = FlashNames(
        device_id=table.integer("device_id", 1, 0xFFF),
        device_id_register=table.integer("device_id_register", 0, 2**32 - 4, default=DBGMCU_IDCODE),
        openocd=tuple(table.text("openocd", required=False).split()),
        probe_rs=table.text("probe_rs", required=False),
        pyocd=table.text("pyocd", required=False),
    )
    table.finish()
    return names


def _check_memory(memory: tuple[Memory, ...], mistakes: list[str]) -> None:
    names = [region.name for region in memory]
    mistakes += [
        f"memory: a region called {wanted!r} is missing" for wanted in ("flash", "ram") if wanted not in names
    ]
    mistakes += [
        f"memory: two regions are called {name!r}" for name in sorted(set(names)) if names.count(name) > 1
    ]
    by_origin = sorted(memory, key=lambda region: region.origin)
    mistakes += [
        f"memory: {one.name} (to {one.end:#x}) overlaps {other.name} (from {other.origin:#x})"
        for one, other in pairwise(by_origin)
        if one.end > other.origin
    ]
    mistakes += [
        f"memory: {region.name} is the same memory as {region.alias:#x} on, which no region holds whole"
        for region in memory
        if region.alias is not None
        and not any(
            other.origin <= region.alias and region.alias + region.length_bytes <= other.end
            for other in memory
            if other is not region
        )
    ]
    if sum(region.fast for region in memory) > 1:
        mistakes.append("memory: more than one region is marked as fast")
    mistakes += [
        f"memory: {region.name} must be writable, its access is {region.access!r}"
        for region in memory
        if (region.name == "ram" or region.fast) and "w" not in region.access
    ]


def _runners(run: _Table, mistakes: list[str]) -> Mapping[str, Mapping[str, Any]]:
    folder = Path(__file__).parent / "runners"
    known = sorted(
        path.stem
        for path in folder.glob("*.py")
        if path.stem not in {"__init__", "base", "process", "protocol"}
    )
    for name, settings in run.values.items():
        if not isinstance(settings, dict):
            mistakes.append(f"run.{name}: expected a table [run.{name}]")
        elif name not in known:
            mistakes.append(f"run.{name}: there is no such runner{_meant(name, known)}")
    return MappingProxyType(
        {name: MappingProxyType(dict(table)) for name, table in run.values.items() if isinstance(table, dict)}
    )


def _meant(word: str, known: list[str]) -> str:
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else f"; known: {', '.join(known)}"


class _Table:
    """One table of a board file: gives its keys one by one, notes what is wrong, and what is left over."""

    def __init__(self, values: dict[str, Any], prefix: str, mistakes: list[str]) -> None:
        self.values = values
        self._prefix = prefix
        self._mistakes = mistakes
        self._known: list[str] = []

    def complain(self, key: str, words: str) -> None:
        self._mistakes.append(f"{self._prefix}{key}: {words}")

    def _take(self, key: str, kind: type | tuple[type, ...], words: str, required: bool) -> Any:
        self._known.append(key)
        if key not in self.values:
            if required:
                self.complain(key, f"is missing; expected {words}")
            return None
        value = self.values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            self.complain(key, f"is {value!r}; expected {words}")
            return None
        return value

    def text(self, key: str, *, required: bool = True) -> str:
        return str(self._take(key, str, "a text", required) or "")

    def choice(self, key: str, known: tuple[str, ...], *, required: bool = True) -> str:
        value = self.text(key, required=required)
        if value and value not in known:
            self.complain(key, f"{value!r} is not known{_meant(value, list(known))}")
        return value

    def pin(self, key: str) -> str:
        value = self.text(key, required=False)
        if value and not re.fullmatch(r"P[A-K](\d|1[0-5])", value):
            self.complain(key, f"is {value!r}; expected a pin such as PA2")
            return ""
        return value

    def integer(self, key: str, low: int, high: int, *, default: int | None = None) -> int:
        value = self._take(key, int, f"an integer from {low} to {high}", default is None)
        if value is None:
            return low if default is None else default
        if not low <= value <= high:
            self.complain(key, f"is {value}; expected {low} to {high}")
            return low
        return int(value)

    def divider(self, key: str) -> int:
        """Of a bus: 1, 2, 4, 8 or 16; 1 where it is not said."""
        value = self.integer(key, 1, 16, default=1)
        if value & (value - 1):
            self.complain(key, f"is {value}; a bus is divided by 1, 2, 4, 8 or 16")
            return 1
        return value

    def flag(self, key: str) -> bool:
        """true or false; false where it is not said."""
        self._known.append(key)
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            self.complain(key, f"is {value!r}; expected true or false")
            return False
        return value

    def address(self, key: str) -> int | None:
        value = self._take(key, int, "an address", False)
        return None if value is None else int(value)

    def size(self, key: str, *, default: int | None = None) -> int:
        """A number of bytes: an integer, or a text such as 512K or 2M."""
        value = self._take(key, (int, str), "bytes, such as 512K or 2M", default is None)
        if value is None:
            return default or 1
        match = re.fullmatch(r"(\d+)([KM]?)", str(value))
        if match is None or int(match[1]) == 0:
            self.complain(key, f"is {value!r}; expected bytes, such as 512K or 2M")
            return default or 1
        return int(match[1]) * {"": 1, "K": 1024, "M": 1024 * 1024}[match[2]]

    def table(self, key: str, *, required: bool = True) -> _Table:
        values = self._take(key, dict, f"a table [{key}]", required)
        return _Table(values or {}, f"{self._prefix}{key}.", self._mistakes)

    def tables(self, key: str) -> list[_Table]:
        values = self._take(key, list, f"tables [[{key}]]", True) or []
        return [
            _Table(value, f"{self._prefix}{key}[{index}].", self._mistakes)
            for index, value in enumerate(values)
            if isinstance(value, dict)
        ]

    def finish(self) -> None:
        """Complain of every key that nothing asked for."""
        for key in self.values:
            if key not in self._known:
                self.complain(key, f"is not known{_meant(key, self._known)}")
