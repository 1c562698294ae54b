"""Run an image in QEMU, its UART reached through pyserial."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

from pipeline.boards import Board
from pipeline.build import Firmware, first_line
from pipeline.errors import BuildFailed, TargetFailed, UsageError
from pipeline.progress import Progress
from pipeline.runners.base import Runner, Source, Stimulus, Transcript
from pipeline.runners.process import Child, free_port, open_socket, port_busy, wait_for_words
from pipeline.runners.protocol import Counting, Limits, LineClosed, converse

PROGRAM = "qemu-system-arm"
NAMED_BY = "QEMU_SYSTEM_ARM"
PORT_ATTEMPTS = 5
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Qemu(Runner):
    """QEMU with `-icount`: 2^shift ns of virtual time an instruction, so that a timer counts instructions.

    With a plugin it runs without, because the two do not go together: its timer is then the host's clock.
    """

    name: ClassVar[str] = "qemu"

    port: int | None = None
    """The TCP port of the UART; None takes a free one."""
    limits: Limits = field(default_factory=Limits)
    plugin: str = ""
    """A TCG plugin with its arguments, as -plugin has them."""

    def check(self) -> None:
        """BuildFailed E_QEMU_MISSING."""
        find_qemu()

    def run(
        self, firmware: Firmware, board: Board, stimulus: Stimulus, *, progress: Progress | None = None
    ) -> Transcript:
        """See Runner. Raises BuildFailed E_QEMU_MISSING, TargetFailed E_PORT_BUSY, E_SIMULATOR_EXITED, ..."""
        settings = board.run.get(self.name)
        if settings is None:
            raise UsageError(
                f"{board.name} cannot be run by QEMU",
                code="E_RUNNER_UNFIT",
                hint="board.toml has no table [run.qemu]",
            )
        path, version = find_qemu()
        shift = int(settings["shift"])
        last: TargetFailed | None = None
        for _ in range(PORT_ATTEMPTS):
            number = self.port or free_port()
            child = Child(_command(path, settings, self._clock(shift), number, firmware))
            try:
                wait_for_words(child, "waiting for connection")
                with open_socket(child, number) as port:
                    return converse(
                        port,
                        firmware,
                        stimulus,
                        _wall_clock(board) if self.plugin else _counting(board, settings),
                        runner=f"{self.name} {version}",
                        limits=self.limits,
                        progress=progress,
                    )
            except LineClosed:
                raise child.failure() from None
            except TargetFailed as error:
                if not _port_was_busy(child):
                    raise
                last = port_busy(f"TCP port {number}")
                if self.port:
                    raise last from error
            finally:
                child.end()
        assert last is not None
        raise last

    def _clock(self, shift: int) -> list[str]:
        return ["-plugin", self.plugin] if self.plugin else ["-icount", f"shift={shift},sleep=off"]


def find_qemu() -> tuple[str, str]:
    """Path and version: the QEMU of QEMU_SYSTEM_ARM, else PATH's. BuildFailed E_QEMU_MISSING."""
    wanted = os.environ.get(NAMED_BY) or PROGRAM
    path = shutil.which(wanted)
    words = first_line([path, "--version"]) if path else None
    if path is None or words is None:
        raise BuildFailed(
            f"{wanted} was not found",
            code="E_QEMU_MISSING",
            hint="Debian or Ubuntu: sudo apt install qemu-system-arm; macOS: brew install qemu; "
            f"or name it by the variable {NAMED_BY}",
        )
    version = re.search(r"\d+(?:\.\d+)+", words)
    return path, version[0] if version else words


def _counting(board: Board, settings: Mapping[str, Any]) -> Counting:
    """The timer runs at HCLK of virtual time: instructions = ticks * 1e9 / (HCLK * 2^shift)."""
    per_tick = Fraction(NANOSECONDS, board.hclk_hz * 2 ** int(settings["shift"]))
    return Counting(Source.INSTRUCTIONS, str(settings.get("unit", "ticks")), per_tick, 0)


def _wall_clock(board: Board) -> Counting:
    """Without `-icount` the timer runs at HCLK of this computer's time."""
    return Counting(Source.HOST, "ticks", Fraction(NANOSECONDS, board.hclk_hz), NANOSECONDS)


def _command(
    path: str, settings: Mapping[str, Any], clock: list[str], port: int, firmware: Firmware
) -> list[str]:
    """`uart` of the settings: the number of the machine's UART that is the console; the first is 0."""
    return [
        path, "-machine", str(settings["machine"]), "-kernel", str(firmware.elf), *clock,
        "-display", "none", "-monitor", "none", "-parallel", "none",
        "-semihosting-config", "enable=on,target=native",
        *["-serial", "null"] * int(settings.get("uart", 0)),
        # It waits for us before the first instruction: nothing that the image says is lost.
        "-serial", f"tcp:127.0.0.1:{port},server=on,wait=on,nodelay=on",
    ]  # fmt: skip


def _port_was_busy(child: Child) -> bool:
    return child.ended(0.5) is not None and any("Address already in use" in line for line in child.errors)
