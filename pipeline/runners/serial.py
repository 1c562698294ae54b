"""Run the image that a board's flash holds, over its serial line: real cycles."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import ClassVar

from pipeline.boards import Board
from pipeline.build import Firmware
from pipeline.errors import FlashFailed, TargetFailed, UsageError
from pipeline.flash.ports import Line, check_line, check_named, find_line, open_line
from pipeline.progress import Progress
from pipeline.runners.base import Runner, Source, Stimulus, Transcript
from pipeline.runners.protocol import Counting, Limits, Target, converse

# Enough for a board that answers: whether the right image runs is asked before every measurement.
START_S = 5.0
"""How long a board may take from its reset to its first answer."""
GLANCE = Limits(reply_s=1.0, drain_s=0.5, attempts=3, silent_attempts=2)


@dataclass(frozen=True, slots=True)
class Serial(Runner):
    """A board on a serial port; the image has to be in its flash already."""

    name: ClassVar[str] = "serial"
    options: ClassVar[tuple[str, ...]] = ("port", "probe", "place")

    port: str | None = None
    """A device, socket:// or rfc2217://; None for the virtual COM port of the ST-LINK that is found."""
    probe: str | None = None
    """Serial number of that ST-LINK, or a part of it; None for the only one."""
    place: str | None = None
    """A labgrid place, in place of a port."""
    limits: Limits = field(default_factory=Limits)

    def check(self) -> None:
        """What was named and cannot be used is refused; the rest needs the board.

        UsageError E_PORT_AND_PLACE, TargetFailed E_PORT_...
        """
        check_named(self.port, self.place)
        if self.port:
            check_line(Line(self.port, None))

    def line(self, board: Board) -> Line:
        """The port that leads to this board. See find_line."""
        return find_line(board, self.port, self.probe, self.place)

    def running_digest(self, board: Board) -> str | None:
        """The digest of the image that answers on the line, or None where none does."""
        with open_line(self.line(board), board.console.baud) as port:
            try:
                return Target(port, replace(GLANCE, poll_s=self.limits.poll_s)).identity().digest
            except TargetFailed:
                return None

    def wait_for(self, firmware: Firmware, board: Board) -> None:
        """Until the image answers that was just flashed; where it never does, the run itself will say why."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            # The ST-LINK itself may be gone for a moment.
            with suppress(TargetFailed, FlashFailed):
                if self.running_digest(board) == firmware.digest:
                    return
            time.sleep(self.limits.poll_s)

    def run(
        self, firmware: Firmware, board: Board, stimulus: Stimulus, *, progress: Progress | None = None
    ) -> Transcript:
        """See Runner. Also raises what find_line and open_line do."""
        if self.name not in board.run:
            raise UsageError(
                f"{board.name} has no serial line",
                code="E_RUNNER_UNFIT",
                hint="board.toml has no table [run.serial]",
            )
        baud = board.console.baud
        with open_line(self.line(board), baud) as port:
            transcript = converse(
                port,
                firmware,
                stimulus,
                Counting(Source.CYCLES, "cycles", Fraction(1), None),
                runner=f"{self.name} at {baud} baud",
                limits=self.limits,
                progress=progress,
            )
        return replace(transcript, notes=(*transcript.notes, *_unlike(board, transcript)))


def _unlike(board: Board, transcript: Transcript) -> Iterator[str]:
    """What the chip does otherwise than board.toml has it, on which the estimate beside it rests."""
    if transcript.counter_hz != board.hclk_hz:
        yield (
            f"the core runs at {transcript.counter_hz / 1e6:g} MHz, not at the {board.hclk_hz / 1e6:g} MHz "
            "of board.toml"
        )
    state = transcript.state
    if state is None:
        return
    latency = board.clock.flash_latency
    if state.wait_states not in {None, latency}:
        yield f"the flash has {state.wait_states} wait states, not the {latency} of board.toml"
    estimated, found = board.timing.get("prefetch"), state.accelerators.get("prefetch")
    if estimated is not None and found is not None and estimated != found:
        on, other = ("on", "off") if found else ("off", "on")
        yield f"prefetch is {on}; the estimate beside it is of a chip that has it {other}"
