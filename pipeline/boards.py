"""Boards: what a target can hold, how fast it runs, how it may be run."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

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
# Files of pipeline/runners/ that are no way to run.
NO_RUNNERS = {"__init__", "base", "process", "protocol"}
# DBGMCU_IDCODE of all Cortex-M4 families and of F7: RM0432 and RM0410, chapters on debug support.
DBGMCU_IDCODE = 0xE004_2000
# Runners that need the board itself: they are never chosen unless they are asked for.
HARDWARE_RUNNERS = ("serial",)
# What a template is told of a board: the file it makes, the template, the variables.
TargetFiles = dict[str, tuple[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Memory:
    """One region of a board's address space."""

    name: str
    origin: int
    length_bytes: int
    access: str
    """Letters of `rwx`, as in a linker script."""
    notes: str = ""

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
    timing: Mapping[str, Any] = field(default_factory=dict)
    """The table [timing], as it stands: pipeline/timing reads and checks it. Empty where there is none."""
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
    def hclk_hz(self) -> int:
        return self.clock.hclk_hz

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


def simulator_for(board: Board) -> Board:
    """The board to run in place of one that is not at hand: itself if simulated, else QEMU's of its core."""
    if board.is_simulated:
        return board
    for other in list_boards():
        if "qemu" in other.run and other.core == board.core:
            return other
    raise UsageError(
        f"no simulated board has a {board.core} like {board.name}",
        code="E_NO_SIMULATOR",
        hint="name a simulated board with --board, or run on the board itself",
    )


def target_files(board: Board) -> TargetFiles:
    """What of the source tree depends on the board: path -> (template, its variables)."""
    files: TargetFiles = {
        "target/board.h": ("target/board.h.j2", {"board": board, "defines": _defines(board)})
    }
    if board.cpu != "native":
        files["target/link.ld"] = ("target/link.ld.j2", {"board": board})
        files["target/startup.c"] = ("target/startup.c.j2", {"board": board})
    return files


def _defines(board: Board) -> dict[str, int]:
    """The numbers of a board that its HAL needs, by the names of their macros."""
    defines = {"BOARD_HCLK_HZ": board.hclk_hz, "BOARD_BAUD": board.console.baud}
    if board.clock.pll:
        defines |= {f"BOARD_PLL_{letter.upper()}": factor for letter, factor in board.clock.pll.items()}
        defines["BOARD_FLASH_LATENCY"] = board.clock.flash_latency
    for role, pin in (("TX", board.console.tx), ("RX", board.console.rx)):
        if pin:
            defines |= {
                f"BOARD_{role}_PORT": ord(pin[1]) - ord("A"),
                f"BOARD_{role}_PIN": int(pin[2:]),
            }
    if board.console.tx:
        defines["BOARD_UART_FUNCTION"] = board.console.alternate_function
    return defines


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
            hint="compare it with board/nucleo_l4r5zi/board.toml",
            details=mistakes,
        )
    return board


def _board(top: _Table, path: Path, mistakes: list[str]) -> Board:
    name = top.text("name")
    if name and name != path.parent.name:
        mistakes.append(f"name: is {name!r}, and its folder is called {path.parent.name!r}")
    soc = top.text("soc")
    families = sorted(file.stem for file in (data_folder("board") / "soc").glob("*.c"))
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
            apb1_divider=clock.integer("apb1_divider", 1, 16, default=1),
            apb2_divider=clock.integer("apb2_divider", 1, 16, default=1),
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
        timing=MappingProxyType(dict(top.table("timing", required=False).values)),
        flash=_flash_names(top.table("flash", required=False)),
    )
    if board.stack_bytes % 8 or board.stack_bytes < 512:
        mistakes.append(f"stack: {board.stack_bytes} bytes; needed is a multiple of 8 from 512 on")
    for table in (top, clock, pll, console):
        table.finish()
    return board


def _memory(table: _Table) -> Memory:
    region = Memory(
        name=table.text("name"),
        origin=table.integer("origin", 0, 2**32 - 1),
        length_bytes=table.size("length"),
        access=table.text("access"),
        notes=table.text("notes", required=False),
    )
    if not re.fullmatch(r"r?w?x?", region.access):
        table.complain("access", f"is {region.access!r}; expected letters of 'rwx' in this order")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", region.name):
        table.complain("name", f"is {region.name!r}; expected a lower-case identifier")
    if region.end > 2**32:
        table.complain("length", "reaches beyond the 32-bit address space")
    table.finish()
    return region


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
        f"memory: ram must be writable, its access is {region.access!r}"
        for region in memory
        if region.name == "ram" and "w" not in region.access
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
