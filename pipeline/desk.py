"""A board on the desk: what flashes it, starts it, talks to it and measures on it."""

from __future__ import annotations

from pathlib import Path

from pipeline.boards import Board
from pipeline.build import Firmware
from pipeline.config import Settings
from pipeline.deploy import build_image, deploy, the_board
from pipeline.errors import FlashFailed, UsageError
from pipeline.flash import (
    Flashed,
    Line,
    OpenOcd,
    Probe,
    Programmer,
    Show,
    choose_probe,
    erase_board,
    find_line,
    find_programmer,
    flash_board,
    place_programmer,
    reset_board,
)
from pipeline.progress import Progress
from pipeline.report import Report
from pipeline.runners.serial import Serial


def flash_model(settings: Settings, progress: Progress, show: Show | None = None) -> Flashed:
    """Build the image of a model and write it into the board's flash. FlashFailed E_FLASH_REMOTE, ..."""
    board = the_board(settings)
    programmer, probe = _reach(settings, board)
    _, firmware = build_image(settings, progress)
    progress("flash", 0, 1)
    flashed = flash_board(board, firmware, programmer, probe, show)
    progress("flash", 1, 1)
    return flashed


def erase_flash(settings: Settings, show: Show | None = None) -> Flashed:
    """Erase the board's flash."""
    board = the_board(settings)
    return erase_board(board, *_reach(settings, board), show)


def start_board(settings: Settings, show: Show | None = None) -> Flashed:
    """Start what the board's flash holds."""
    board = the_board(settings)
    return reset_board(board, *_reach(settings, board), show)


def measure_model(
    settings: Settings, progress: Progress, show: Show | None = None
) -> tuple[Report, tuple[Path, ...], Flashed | None]:
    """Flash a model's image onto a board, unless it runs there already, and measure it.

    Over a port of another machine, or where a labgrid place lends no debug probe, nothing can be flashed: the
    image has to run there already, else FlashFailed E_FLASH_REMOTE.
    """
    settings = settings.model_copy(update={"runner": Serial.name})
    board = the_board(settings)
    if not settings.place and "://" not in (settings.port or ""):
        find_programmer(board, settings.programmer)
    runner = Serial(port=settings.port, probe=settings.probe, place=settings.place)
    line = runner.line(board)
    if not line.is_remote:
        # The ST-LINK that was found stays the one, also where a second one is plugged in meanwhile.
        found = line.probe.serial if line.probe else settings.probe
        settings = settings.model_copy(update={"probe": found})
        _reach(settings, board)
    flashed: list[Flashed] = []

    def flash_unless_it_runs(board: Board, firmware: Firmware) -> None:
        running = runner.running_digest(board)
        if running == firmware.digest:
            return
        reached = _reached(settings, board) if settings.place or not line.is_remote else None
        if reached is None:
            if running is not None:
                raise _flashed_elsewhere(settings, board, f"another image runs there, {running}")
            return  # silence is the measurement's to explain
        progress("flash", 0, 1)
        flashed.append(flash_board(board, firmware, *reached, show))
        progress("flash", 1, 1)
        runner.wait_for(firmware, board)

    report, files = deploy(settings, progress, flash_unless_it_runs)
    return report, files, flashed[0] if flashed else None


def console_of(settings: Settings) -> tuple[Line, int]:
    """The serial line of the board, and its baud rate."""
    board = the_board(settings)
    return find_line(board, settings.port, settings.probe, settings.place), board.console.baud


def _flashed_elsewhere(settings: Settings, board: Board, why: str) -> FlashFailed:
    """The refusal to write a flash that is behind a serial line of another machine."""
    model = settings.model.name if settings.model else "MODEL"
    hint = f"where it is plugged in, from the same sources: stm32-deploy flash {model} --board {board.name}"
    if settings.place:
        hint += (
            "; or let the exporter hand out its ST-LINK beside the serial port (USBDebugger), and add it to "
            "the place"
        )
    where = f"the labgrid place {settings.place!r}" if settings.place else settings.port
    return FlashFailed(
        f"the board behind {where} cannot be flashed from here: {why}", code="E_FLASH_REMOTE", hint=hint
    )


def _reach(settings: Settings, board: Board) -> tuple[Programmer, Probe]:
    """What flashes, and through which ST-LINK: both are looked for before anything long is done."""
    reached = _reached(settings, board)
    if reached is None:
        raise _flashed_elsewhere(settings, board, "it lends no debug probe (NetworkUSBDebugger)")
    return reached


def _reached(settings: Settings, board: Board) -> tuple[Programmer, Probe] | None:
    """As `_reach`; None for a labgrid place that lends no debug probe."""
    if not settings.place:
        return find_programmer(board, settings.programmer), choose_probe(board, settings.probe)
    if settings.programmer not in {None, OpenOcd.name}:
        raise UsageError(
            f"{settings.programmer} cannot be told which ST-LINK of another machine is meant",
            code="E_FLASH_TOOL_UNKNOWN",
            hint=f"leave --with out: {OpenOcd.name} flashes through a labgrid place",
        )
    return place_programmer(board, settings.place)
