"""What a runner is given, and what it brings back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np

from pipeline.boards import Board
from pipeline.build import Firmware
from pipeline.progress import Progress


class Source(StrEnum):
    """Where a figure of cost comes from; figures of different sources are never compared silently."""

    CYCLES = "cycles"
    """Clock cycles counted by a core's DWT (or SysTick) on real hardware."""
    INSTRUCTIONS = "instructions"
    """Instructions executed, counted by a simulator."""
    ESTIMATED_CYCLES = "estimated cycles"
    HOST = "host nanoseconds"


@dataclass(frozen=True, eq=False)
class Stimulus:
    """What the target is asked to do."""

    inputs: np.ndarray
    """(samples, bytes of all inputs) uint8: the raw bytes of the input tensors, one after the other."""
    timed_runs: int = 3
    """Measured inferences of the first sample, and as many runs with a lap for each layer."""
    warmups: int = 1
    layer_dumps: tuple[int, ...] = ()
    """Samples of which the output of every layer is wanted."""

    def __post_init__(self) -> None:
        if self.inputs.ndim != 2 or self.inputs.dtype != np.uint8 or not len(self.inputs):
            raise ValueError(
                f"inputs are {self.inputs.dtype}{self.inputs.shape}, expected uint8 (samples, bytes)"
            )
        if self.timed_runs < 1 or self.warmups < 0:
            raise ValueError("at least one timed run and no fewer than 0 warm-ups are needed")
        if any(sample not in range(len(self.inputs)) for sample in self.layer_dumps):
            raise ValueError(f"layer dumps of {self.layer_dumps}, with {len(self.inputs)} samples")


@dataclass(frozen=True, slots=True)
class CoreState:
    """What bears on time besides the code, as the target's registers had it when the measured runs ended."""

    wait_states: int | None
    """Of the flash; None where the target tells of none."""
    accelerators: Mapping[str, bool]
    """Prefetch and caches by name, and whether each is on."""
    interrupts_masked: bool
    """PRIMASK: none of them is taken."""
    interrupts: tuple[str, ...]
    """What is enabled: `SysTick`, `line 28` of the NVIC."""

    def __str__(self) -> str:
        waits = [] if self.wait_states is None else [f"{self.wait_states} flash wait states"]
        accelerators = [f"{name} {'on' if on else 'off'}" for name, on in self.accelerators.items()]
        enabled = f"interrupts enabled: {', '.join(self.interrupts)}" if self.interrupts else "no interrupt"
        masked = " (all masked)" if self.interrupts_masked and self.interrupts else ""
        return ", ".join([*waits, *accelerators, enabled + masked])


@dataclass(frozen=True, eq=False)
class Transcript:
    """All that a target said of one image, each line with a right CRC."""

    runner: str
    """Runner and the version of what it runs on, such as `qemu 7.2.22`."""
    board: str
    """As the image calls itself."""
    model: str
    digest: str
    arena_bytes: int
    input_bytes: int
    output_bytes: int
    layer_count: int
    protocol: int
    source: Source
    counter: str
    """In words: which counter was read, and at what rate."""
    counter_hz: int
    """Counts of `source` per second; 0 where there is no meaning to it."""
    stack_reserved_bytes: int
    """0 where the stack is the operating system's."""
    stack_bytes: int
    """High-water mark during inference, over all samples; 0 where it is not known."""
    outputs: np.ndarray
    """(samples, bytes of all outputs) uint8."""
    totals: tuple[int, ...]
    """Counts of each timed run of the first sample, in units of `source`."""
    layers: tuple[tuple[int, ...], ...]
    """Counts of each layer in each lap run of the first sample: [run][layer]."""
    dumps: Mapping[tuple[int, int], bytes]
    """(sample, layer) -> the layer's output."""
    log: tuple[str, ...]
    """The last lines of the serial line."""
    seconds: float
    """Wall clock of the whole conversation."""
    state: CoreState | None = None
    """None where the target has no such registers."""
    notes: tuple[str, ...] = ()
    """What is odd but no error: retries, what the board's start-up complained of."""


class Runner(ABC):
    """A way to run an image. A class of this kind in this folder is found by its presence."""

    name: ClassVar[str]
    """The key of its table [run.<name>] in board.toml, and its file's name."""
    options: ClassVar[tuple[str, ...]] = ()
    """The settings that it is made with, by their names in deploy.toml, which its fields share."""

    @abstractmethod
    def check(self) -> None:
        """Refuse before the long work what could only fail after it: a tool that is missing."""

    @abstractmethod
    def run(
        self, firmware: Firmware, board: Board, stimulus: Stimulus, *, progress: Progress | None = None
    ) -> Transcript:
        """Start the image, hold the whole conversation, and leave nothing running.

        Raises TargetFailed within bounded time: E_TARGET_SILENT, E_TARGET_FAULT, E_TARGET_RESET,
        E_SERIAL_CORRUPT, E_IMAGE_STALE, E_BOOT_LOOP, ...
        """
