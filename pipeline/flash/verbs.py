"""Write, erase and start a board, with one programmer, within bounded time."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from pipeline.boards import Board, list_boards
from pipeline.build import Firmware, load_image
from pipeline.errors import FlashFailed
from pipeline.flash.probes import Probe
from pipeline.flash.programmers import Chip, Command, Flashed, Programmer, failure, flash_names

# Two MiB take an ST-LINK/V2-1 about a minute, erasing included.
WRITE_TIMEOUT_S = 240.0
IDENTIFY_TIMEOUT_S = 30.0
END_TIMEOUT_S = 3.0
Show = Callable[[str], None]
"""Is told every command before it is run."""


def flash_board(
    board: Board, firmware: Firmware, programmer: Programmer, probe: Probe, show: Show | None = None
) -> Flashed:
    """Check that the chip is the board's, then write the image, verify it and start it.

    Raises FlashFailed: E_FLASH_WRONG_CHIP, E_FLASH_TIMEOUT, E_FLASH_FAILED, and what MEANINGS lists.
    """
    session = _Session(board, programmer, probe, show)
    session.check_chip()
    with ExitStack() as stack:
        image = firmware.elf.resolve()
        if programmer.image == "bin":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            image = folder / "firmware.bin"
            image.write_bytes(load_image(firmware, board))
        image = programmer.site.image(image)
        session.do(lambda reset: programmer.write(session.chip, probe, image, reset), programmer.proof)
    if programmer.name == "probe-rs":
        # It writes and leaves the chip halted; all others start it.
        session.do(lambda reset: programmer.reset(session.chip, probe, reset))
    return session.done()


def erase_board(board: Board, programmer: Programmer, probe: Probe, show: Show | None = None) -> Flashed:
    """Erase the whole flash of the board's chip, after checking that it is the board's."""
    session = _Session(board, programmer, probe, show)
    session.check_chip()
    session.do(lambda reset: programmer.erase(session.chip, probe, reset))
    return session.done()


def reset_board(board: Board, programmer: Programmer, probe: Probe, show: Show | None = None) -> Flashed:
    """Start what the flash holds."""
    session = _Session(board, programmer, probe, show)
    session.do(lambda reset: programmer.reset(session.chip, probe, reset))
    return session.done()


class _Session:
    """One programmer, one board: runs commands, and connects under reset where nothing else helps."""

    def __init__(self, board: Board, programmer: Programmer, probe: Probe, show: Show | None) -> None:
        self.chip = Chip(flash_names(board), board.region("flash").origin, board.flash_bytes)
        self._board, self._programmer, self._probe, self._show = board, programmer, probe, show
        self._begin = time.monotonic()
        self._under_reset = False
        self._commands: list[tuple[str, ...]] = []
        self._notes: list[str] = []

    def check_chip(self) -> None:
        """Refuse an image for another chip; where the id cannot be read, say so and go on."""
        words = self.do(lambda reset: self._programmer.identify(self.chip, self._probe, reset), quick=True)
        found = self._programmer.device_id(words, self.chip, self._probe)
        if not found:
            self._notes.append(f"{self._programmer} did not tell the chip's device id: it was not checked")
            return
        if found == self.chip.names.device_id:
            return
        others = [b.name for b in list_boards() if b.flash is not None and b.flash.device_id == found]
        raise FlashFailed(
            f"the chip that is connected has device id {found:#05x}, {self._board.name} has "
            f"{self.chip.names.device_id:#05x}: nothing was written",
            code="E_FLASH_WRONG_CHIP",
            hint=f"--board {others[0]}" if others else "name the board that is connected with --board",
            details=[f"that id is the one of {', '.join(others)}"] if others else (),
        )

    def do(self, command: Callable[[bool], Command], proof: str = "", *, quick: bool = False) -> str:
        """Run the command for (whether under reset); what it said. FlashFailed."""
        timeout_s = IDENTIFY_TIMEOUT_S if quick else WRITE_TIMEOUT_S
        try:
            return self._run(command(self._under_reset), proof, timeout_s)
        except FlashFailed as error:
            stuck = error.code in {"E_FLASH_CONNECT", "E_FLASH_TIMEOUT"}
            if not stuck or self._under_reset or not self._programmer.retries_under_reset:
                raise
        self._under_reset = True
        self._notes.append("the chip answered under reset only: what ran on it had closed its debug port")
        return self._run(command(True), proof, timeout_s)

    def done(self) -> Flashed:
        return Flashed(
            self._board.name,
            str(self._programmer),
            self._probe,
            tuple(self._commands),
            time.monotonic() - self._begin,
            tuple(self._notes),
        )

    def _run(self, command: Command, proof: str, timeout_s: float) -> str:
        command = self._programmer.site.command(command)
        self._commands.append(tuple(command))
        if self._show:
            self._show(shlex.join(command))
        status, words = run_bounded(command, timeout_s)
        if status is None:
            raise FlashFailed(
                f"{self._programmer} did not end within {timeout_s:g} s",
                code="E_FLASH_TIMEOUT",
                hint="plug the board in again; hold RESET at the start; or take another program with --with",
                details=[f"command: {shlex.join(command)}", *words.splitlines()[-4:]],
            )
        if status or not _is_proven(words, proof):
            error = failure(self._programmer, self._board, words, status)
            error.details = (*error.details, f"command: {shlex.join(command)}")
            raise error
        return words


def _is_proven(words: str, proof: str) -> bool:
    """ST's programmer may fail a step, say so, go on and end with status 0."""
    return not re.search(r"^\s*Error:", words, re.MULTILINE) and bool(re.search(proof, words))


def run_bounded(command: Command, timeout_s: float) -> tuple[int | None, str]:
    """Exit status and all that was said; None for a status where it had to be ended."""
    # A session of its own: what the program started ends with it.
    own_group = os.name == "posix"
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=own_group,
        )
    except OSError as error:
        raise FlashFailed(
            f"{command[0]} cannot be started: {error.strerror}",
            code="E_FLASH_NO_TOOL",
            hint="install it again, or take another with --with",
        ) from error
    try:
        said, _ = process.communicate(timeout=timeout_s)
        return process.returncode, said.decode(errors="replace")
    except subprocess.TimeoutExpired:
        _end(process, own_group)
        said = b""
        with suppress(subprocess.TimeoutExpired):
            said, _ = process.communicate(timeout=END_TIMEOUT_S)
        return None, said.decode(errors="replace")
    except BaseException:
        _end(process, own_group)
        raise


def _end(process: subprocess.Popen[bytes], own_group: bool) -> None:
    with suppress(ProcessLookupError):
        if own_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
