"""Run the very image that would be flashed in Renode, on the platform files beside its board.toml."""

from __future__ import annotations

import os
import re
import shutil
import socket
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from pipeline.boards import Board
from pipeline.build import Firmware, first_line
from pipeline.errors import BuildFailed, UsageError
from pipeline.progress import Progress
from pipeline.registry import data_folder
from pipeline.runners.base import Runner, Source, Stimulus, Transcript
from pipeline.runners.process import Child, free_port, open_socket, port_busy
from pipeline.runners.protocol import Counting, Limits, LineClosed, converse

PROGRAM = "renode"
# Where Renode is installed, as its own test action says it.
ROOT = "RENODE_ROOT"


@dataclass(frozen=True, slots=True)
class Renode(Runner):
    """Renode without a window. Its DWT counts virtual time, in which one instruction is one cycle."""

    name: ClassVar[str] = "renode"

    port: int | None = None
    """The TCP port of the UART; None takes a free one."""
    limits: Limits = field(default_factory=Limits)
    start_s: float = 60.0
    """How long it may take to start, to compile its models and to open the port."""

    def check(self) -> None:
        """BuildFailed E_RENODE_MISSING."""
        find_renode()

    def run(
        self, firmware: Firmware, board: Board, stimulus: Stimulus, *, progress: Progress | None = None
    ) -> Transcript:
        """See Runner. Raises BuildFailed E_RENODE_MISSING, TargetFailed E_PORT_BUSY, E_TARGET_SILENT, ..."""
        if self.name not in board.run:
            raise UsageError(
                f"{board.name} cannot be run by Renode",
                code="E_RUNNER_UNFIT",
                hint="board.toml has no table [run.renode]",
            )
        path, version = find_renode()
        number = self.port or free_port()
        if _taken(number):  # Renode would say so to nobody, and the other program would be talked to
            raise port_busy(f"TCP port {number}")
        platform = data_folder("board") / board.name / f"{board.name}.resc"
        # What is called renode may be a script that starts it.
        child = Child(_command(path, firmware.elf, platform, number), family=True)
        try:
            with open_socket(child, number, self.start_s) as port:
                transcript = converse(
                    port,
                    firmware,
                    stimulus,
                    Counting(Source.INSTRUCTIONS, "cycles", Fraction(1), 0),
                    runner=f"{self.name} {version}",
                    limits=self.limits,
                    progress=progress,
                )
            words = f"{transcript.counter} of virtual time, one tick an instruction"
            return replace(transcript, counter=words)
        except LineClosed:
            raise child.failure() from None
        finally:
            child.end()


def find_renode() -> tuple[str, str]:
    """Path and version of Renode, of RENODE_ROOT if set, else of PATH. BuildFailed E_RENODE_MISSING."""
    root = os.environ.get(ROOT)
    path = shutil.which(PROGRAM, path=root or None)
    words = first_line([path, "--version"]) if path else None
    if path is None or words is None:
        place = f"in {ROOT}, {root}" if root else "on PATH"
        raise BuildFailed(
            f"no {PROGRAM} that works was found {place}",
            code="E_RENODE_MISSING",
            hint=f"install it from renode.io, put it on PATH, or name its folder in {ROOT}; "
            "without it: --runner unicorn",
        )
    version = re.search(r"\d+(?:\.\d+)+", words)
    return path, version[0] if version else words


def _command(path: str, elf: Path, platform: Path, port: int) -> list[str]:
    """Without window, log and Monitor: `-P -1`. What is executed is one line of Renode's Monitor."""
    lines = [f"$bin={_monitor_path(elf)}", f"$port={port}", f"include {_monitor_path(platform)}", "start"]
    options = ["--disable-gui", "--hide-log", "--plain", "-P", "-1"]
    return [path, *options, *(word for line in lines for word in ("-e", line))]


def _monitor_path(path: Path) -> str:
    return "@" + str(path.resolve()).replace(" ", "\\ ")


def _taken(port: int) -> bool:
    """Whether another program listens there; Renode takes the port on every address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return True
    return False
