"""Run an image built for this computer, through the same protocol as a board."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

from pipeline.boards import Board
from pipeline.build import Firmware
from pipeline.errors import TargetFailed, UsageError
from pipeline.progress import Progress
from pipeline.runners.base import Runner, Source, Stimulus, Transcript
from pipeline.runners.process import Child, open_socket, port_busy, wait_for_words
from pipeline.runners.protocol import Counting, Limits, LineClosed, converse


@dataclass(frozen=True, slots=True)
class Host(Runner):
    """The image as a child process: the same generated C, natively."""

    name: ClassVar[str] = "host"

    port: int | None = None
    """The TCP port of its console; None lets the system choose."""
    limits: Limits = field(default_factory=Limits)

    def check(self) -> None:
        """Nothing but the compiler is needed, and the build looks for that."""

    def run(
        self, firmware: Firmware, board: Board, stimulus: Stimulus, *, progress: Progress | None = None
    ) -> Transcript:
        """See Runner. Raises TargetFailed E_PORT_BUSY, E_SIMULATOR_EXITED, ..."""
        if self.name not in board.run:
            raise UsageError(
                f"{board.name} is not this computer",
                code="E_RUNNER_UNFIT",
                hint="board.toml has no table [run.host]",
            )
        child = Child([str(firmware.elf.resolve())], {**os.environ, "HOST_BOARD_PORT": str(self.port or 0)})
        try:
            with open_socket(child, _told_port(child)) as port:
                return converse(
                    port,
                    firmware,
                    stimulus,
                    Counting(Source.HOST, "ns", Fraction(1), None),
                    runner=f"{self.name} {platform.machine()}",
                    limits=self.limits,
                    progress=progress,
                )
        except LineClosed:
            raise child.failure() from None
        finally:
            child.end()


def _told_port(child: Child) -> int:
    """The image says on which port it listens."""
    try:
        wait_for_words(child, "port ")
    except TargetFailed as error:
        if any("Address already in use" in line for line in child.errors):
            raise port_busy("the TCP port that was asked for") from error
        raise
    return int(next(line for line in child.output if line.startswith("port ")).removeprefix("port "))
