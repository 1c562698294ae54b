"""A general-purpose timer that counts up (RM0432, chapter 38); capture and compare are not modelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.virtual.peripherals.base import Peripheral, Register

if TYPE_CHECKING:
    from pipeline.virtual.chip import Chip


class Timer(Peripheral):
    """Counts virtual time: one instruction is one period of the core's clock."""

    def __init__(self, chip: Chip, name: str, base: int, *, bits: int = 32) -> None:
        full = (1 << bits) - 1
        self._since = 0
        self._start = 0
        self._prescaler = 1
        super().__init__(
            chip,
            name,
            base,
            registers={
                "CR1": Register(0x00, 0, 0x0BFF),
                "SR": Register(0x10),
                "EGR": Register(0x14, 0, 0x1FF),
                "CNT": Register(0x24, 0, full),
                "PSC": Register(0x28, 0, 0xFFFF),
                "ARR": Register(0x2C, full, full),
            },
        )

    def read_cnt(self) -> int:
        if not self.values["CR1"] & 1:
            return self._start
        rcc = self.chip.rcc
        periods = (self.chip.now() - self._since) * rcc.timer_hz(self.name) // rcc.core_hz()
        return (self._start + periods // self._prescaler) % (self.values["ARR"] + 1)

    def _restart(self, value: int) -> None:
        self._start = value
        self._since = self.chip.now()

    def write_cr1(self, old: int, new: int) -> None:
        if new & ~old & 1:
            self._restart(self._start)
        elif old & ~new & 1:
            self.values["CR1"] = old
            now = self.read_cnt()
            self.values["CR1"] = new
            self._restart(now)

    def write_cnt(self, old: int, new: int) -> None:
        self._restart(new)

    def write_egr(self, old: int, new: int) -> None:
        """UG: the prescaler is taken over and the counter starts from 0."""
        self.values["EGR"] = 0
        if new & 1:
            self._prescaler = self.values["PSC"] + 1
            self._restart(0)
