"""A board on the desk: what flashes it, starts it, talks to it and measures on it."""

from __future__ import annotations

from pathlib import Path

from pipeline.boards import Board
from pipeline.build import Firmware
from pipeline.config import Settings
from pipeline.deploy import REPORT_FOLDER, build_image, deploy, the_board
from pipeline.errors import FlashFailed
from pipeline.flash import (
    Flashed,
    Line,
    Probe,
    Programmer,
    Show,
    choose_probe,
    erase_board,
    find_line,
    find_programmer,
    flash_board,
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

    Over a port of another machine nothing can be flashed: the image has to run there already, else
    FlashFailed E_FLASH_REMOTE.
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
        if line.is_remote:
            if running is not None:
                raise _flashed_elsewhere(settings, board, f"another image runs there, {running}")
            return  # silence is the measurement's to explain
        progress("flash", 0, 1)
        flashed.append(flash_board(board, firmware, *_reach(settings, board), show))
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
        folder = settings.output or REPORT_FOLDER / Path(model).stem / board.name
        elf = folder / board.name / "firmware.elf"
        hint += (
            f"; or stm32-deploy build {model} --board {board.name}, then labgrid-client -p {settings.place} "
            f"-c ENVIRONMENT.yaml bootstrap {elf}, with an OpenOCDDriver in that file"
        )
    where = f"the labgrid place {settings.place!r}" if settings.place else settings.port
    return FlashFailed(
        f"the board behind {where} cannot be flashed from here: {why}", code="E_FLASH_REMOTE", hint=hint
    )


def _reach(settings: Settings, board: Board) -> tuple[Programmer, Probe]:
    """What flashes, and through which ST-LINK: both are looked for before anything long is done."""
    if settings.place:
        raise _flashed_elsewhere(settings, board, "a place lends its serial port alone")
    programmer = find_programmer(board, settings.programmer)
    return programmer, choose_probe(board, settings.probe)
