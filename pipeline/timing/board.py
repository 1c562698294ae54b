"""The table [timing] of a board file: what stands between the core and its flash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.boards import Board, Memory
from pipeline.errors import UsageError
from pipeline.registry import nearest

MOST_LINES = 512
"""MOST_LINES of native/cycles.h."""
CORES: Mapping[str, str] = {
    "cortex-m4": "",
    "cortex-m33": "the core is timed as a Cortex-M4, since Cortex-M33's manual (Arm 100230) gives no cycle "
    "counts; instructions and data share one cache and wait for each other only there",
    "cortex-m7": "the upper figure takes the core for a Cortex-M4, one instruction at a time, with L1 caches "
    "that wait for a whole line from flash; the lower figure is two instructions in every cycle (Cortex-M7 "
    "issues at most two: Arm DDI 0489) and no cache miss at all; data in RAM, tightly coupled or not, are "
    "taken as there at once; mispredicted branches are in neither",
}
"""Cores that native/cycles.c can follow, and what is assumed of those that it does not describe."""
BRACKETED = ("cortex-m7",)
"""Cores of which no single figure is given: a lower and an upper one."""
KEYS = (
    "flash_read_bits", "cache_line_bytes", "instruction_cache_lines", "data_cache_lines",
    "instruction_cache_ways", "data_cache_ways", "unified_cache", "prefetch", "fetch_miss_extra",
    "data_miss_extra", "error_percent", "evidence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TimingModel:
    """A board as the timing core sees it."""

    board: str
    title: str
    cpu: str
    clock_hz: int
    wait_states: int
    """In cycles of the core."""
    fetch_miss_extra: int
    """Cycles of an instruction miss on top of the wait states."""
    data_miss_extra: int
    """The same of a data miss."""
    read_bytes: int
    """Bytes that flash delivers at a time."""
    line_bytes: int
    instruction_lines: int
    data_lines: int
    instruction_ways: int
    """Lines that an address may be in; 0: any."""
    data_ways: int
    unified: bool
    """Whether constants go through the instruction cache."""
    prefetch: bool
    fetch_ram: tuple[Memory, ...]
    """RAM that the instruction bus reaches without waiting."""
    evidence: str
    """Which measurements of this board the method was held against; empty: none."""
    calibrated_error_percent: float | None = None
    """What a calibration on this board found; None where there was none."""

    @property
    def data_miss_cycles(self) -> int:
        """Cycles that data from flash are late when they are neither cached nor read last."""
        return self.wait_states + self.data_miss_extra if self.wait_states else 0

    @property
    def words(self) -> str:
        """The settings in a sentence."""
        cache = f"{self.instruction_lines * self.line_bytes} bytes of "
        if self.unified:
            cache += "cache for instructions and constants"
        else:
            cache += f"instruction cache, {self.data_lines * self.line_bytes} of data cache"
        return (
            f"{self.clock_hz / 1e6:g} MHz, flash with {self.wait_states} wait states read "
            f"{8 * self.read_bytes} bits at a time, {cache}, prefetch {'on' if self.prefetch else 'off'}"
        )

    @property
    def assumptions(self) -> str:
        """What is assumed of a core that the rules do not describe; empty for one that they do."""
        return CORES[self.cpu]

    @property
    def is_bracket(self) -> bool:
        """Whether the figures are bounds: cycles from above, half the instructions from below."""
        return self.cpu in BRACKETED


def can_estimate(board: Board) -> bool:
    """Whether a board file says what an estimate needs."""
    return bool(board.timing) and board.cpu in CORES


def timing_model(board: Board) -> TimingModel:
    """The board's table [timing], checked. UsageError E_BOARD_TIMING where it has none, or mistakes."""
    if not can_estimate(board):
        raise UsageError(
            f"cycles of {board.name} cannot be estimated: "
            + (f"no pipeline of a {board.cpu} is known" if board.timing else "its file has no [timing]"),
            code="E_BOARD_TIMING",
            hint="name a board with [timing] in its board.toml with --estimate-for, or none",
        )
    mistakes: list[str] = []
    table = board.timing
    for key in table:
        if key not in KEYS:
            near = nearest(key, KEYS)
            mistakes.append(f"timing.{key}: is not known" + (f"; did you mean {near}?" if near else ""))
    model = TimingModel(
        board=board.name,
        title=board.title,
        cpu=board.cpu,
        clock_hz=board.hclk_hz,
        # Flash whose bus is slower than the core keeps it waiting for that bus's own cycle as well.
        wait_states=(board.clock.flash_latency + 1) * board.clock.ahb_divider - 1,
        fetch_miss_extra=_integer(table, "fetch_miss_extra", 0, 32, mistakes, 0),
        data_miss_extra=_integer(table, "data_miss_extra", 0, 32, mistakes),
        read_bytes=_power(table, "flash_read_bits", 32, 256, mistakes) // 8,
        line_bytes=_power(table, "cache_line_bytes", 4, 128, mistakes),
        instruction_lines=_integer(table, "instruction_cache_lines", 0, MOST_LINES, mistakes),
        data_lines=_integer(table, "data_cache_lines", 0, MOST_LINES, mistakes),
        instruction_ways=_integer(table, "instruction_cache_ways", 0, MOST_LINES, mistakes, 0),
        data_ways=_integer(table, "data_cache_ways", 0, MOST_LINES, mistakes, 0),
        unified=_flag(table, "unified_cache", mistakes, False),
        prefetch=_flag(table, "prefetch", mistakes),
        fetch_ram=tuple(region for region in board.memory if region.zero_wait_fetch),
        evidence=str(table.get("evidence", "")),
        calibrated_error_percent=_percent(table, "error_percent", mistakes),
    )
    if not mistakes and model.line_bytes % model.read_bytes:
        mistakes.append("timing.cache_line_bytes: is no multiple of what flash reads at a time")
    for name, lines, ways in (
        ("instruction", model.instruction_lines, model.instruction_ways),
        ("data", model.data_lines, model.data_ways),
    ):
        if ways and lines % ways:
            mistakes.append(f"timing.{name}_cache_ways: {lines} lines are no whole sets of {ways}")
    if mistakes:
        raise UsageError(
            f"{len(mistakes)} mistake(s) in [timing] of {board.name}",
            code="E_BOARD_TIMING",
            where=f"board/{board.name}/board.toml",
            details=mistakes,
            hint="compare it with board/nucleo_l4r5zi/board.toml",
        )
    return model


def _integer(
    table: Mapping[str, Any], key: str, low: int, high: int, mistakes: list[str], default: int | None = None
) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        mistakes.append(f"timing.{key}: is {value!r}; expected an integer from {low} to {high}")
        return low
    return value


def _percent(table: Mapping[str, Any], key: str, mistakes: list[str]) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 100:
        mistakes.append(f"timing.{key}: is {value!r}; expected percent from 0 to 100")
        return None
    return float(value)


def _power(table: Mapping[str, Any], key: str, low: int, high: int, mistakes: list[str]) -> int:
    value = _integer(table, key, low, high, mistakes)
    if value & (value - 1):
        mistakes.append(f"timing.{key}: is {value}; expected a power of two")
        return low
    return value


def _flag(table: Mapping[str, Any], key: str, mistakes: list[str], default: bool | None = None) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        mistakes.append(f"timing.{key}: is {value!r}; expected true or false")
    return bool(value)
