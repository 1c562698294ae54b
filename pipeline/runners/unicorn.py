"""Run the very image that would be flashed, on a virtual board of its chip: Unicorn and register models."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from importlib import metadata
from typing import ClassVar

from pipeline.boards import Board
from pipeline.build import Firmware
from pipeline.errors import BuildFailed, UsageError
from pipeline.progress import Progress
from pipeline.runners.base import Runner, Source, Stimulus, Transcript
from pipeline.runners.protocol import Counting, Limits, LineClosed, converse
from pipeline.virtual.chip import Family
from pipeline.virtual.families import FAMILIES
from pipeline.virtual.machine import Attach, Machine


@dataclass(frozen=True, slots=True)
class Unicorn(Runner):
    """The virtual board. Counts are of instructions, although the image takes them for cycles."""

    name: ClassVar[str] = "unicorn"

    port: int | None = None
    """The TCP port of the UART; None lets the system choose."""
    limits: Limits = field(default_factory=Limits)
    attach: Attach | None = None
    """Given the processor before it starts, to add hooks of its own."""

    patient: bool = False
    """Leave a wait that nothing ends to the firmware's own limit, instead of an error at once."""

    def check(self) -> None:
        """BuildFailed E_UNICORN_MISSING."""
        try:
            import unicorn  # noqa: F401
        except ImportError as error:
            raise BuildFailed(
                f"Unicorn cannot be imported: {error}",
                code="E_UNICORN_MISSING",
                hint="pip install unicorn, of the version that pyproject.toml names",
            ) from error

    def run(
        self, firmware: Firmware, board: Board, stimulus: Stimulus, *, progress: Progress | None = None
    ) -> Transcript:
        """See Runner. Raises TargetFailed E_VIRTUAL_... for what the hardware would not do, E_PORT_BUSY."""
        import serial

        machine = Machine(firmware.elf, board, family_of(board), self.port, self.attach, patient=self.patient)
        try:
            machine.start()
            port = serial.serial_for_url(  # type: ignore[no-untyped-call]
                f"socket://127.0.0.1:{machine.port}", timeout=0.05
            )
            try:
                transcript = converse(
                    port,
                    firmware,
                    stimulus,
                    Counting(Source.INSTRUCTIONS, "cycles", Fraction(1), 0),
                    runner=f"{self.name} {metadata.version('unicorn')}",
                    limits=self.limits,
                    progress=progress,
                )
                return replace(transcript, notes=(*transcript.notes, *machine.notes))
            except LineClosed:
                machine.wait()
                if machine.failure is not None:
                    raise machine.failure from None
                raise
            finally:
                port.close()
        finally:
            machine.stop()


def family_of(board: Board) -> Family:
    """The description of a board's chip. UsageError E_RUNNER_UNFIT."""
    settings = board.run.get(Unicorn.name)
    if settings is None or board.soc not in FAMILIES:
        raise UsageError(
            f"{board.name} has no virtual board",
            code="E_RUNNER_UNFIT",
            hint="board.toml has no table [run.unicorn]"
            if settings is None
            else f"pipeline/virtual/families describes {', '.join(FAMILIES)}, not {board.soc}",
        )
    family = FAMILIES[board.soc]
    if board.chip not in family.devices:
        raise UsageError(
            f"{board.name} has a {board.chip}; virtual ones are {', '.join(family.devices)}",
            code="E_RUNNER_UNFIT",
            hint="describe it in pipeline/virtual/families",
        )
    return family(board.chip)
