"""USART, UART and LPUART: version 2 (L4, G4, F7, H7, U5) and version 1 (F4).

The line itself takes no time and loses nothing; that the firmware speaks it at the right rate, on the
right pins, is checked before the first byte, and again after anything was changed.
Sources: RM0432, chapters 50 and 51; RM0390, chapter 25.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pipeline.virtual.peripherals.base import START_UP, Peripheral, Register, Wrong

if TYPE_CHECKING:
    from pipeline.virtual.chip import Chip

# RM0432, 50.5.8: a receiver with 8 data bits and OVER8 = 0 tolerates 3.75 %, shared by both ends.
TOLERANCE = 0.02
RXNE, TC, TXE, TEACK, REACK = 5, 6, 7, 21, 22
# Polls of an idle receiver after which the thread may sleep: the firmware has nothing else to do.
IDLE_POLLS = 8
PRESCALERS = (1, 2, 4, 6, 8, 10, 12, 16, 32, 64, 128, 256)


class SerialPort(Peripheral, ABC):
    """What both versions share."""

    def __init__(self, chip: Chip, name: str, base: int, registers: dict[str, Register]) -> None:
        self._checked = -1
        self._polls = 0
        self._since = 0
        super().__init__(chip, name, base, registers=registers)

    @abstractmethod
    def divisor(self) -> float:
        """Clock periods of one bit."""

    def is_console(self) -> bool:
        return self.name == self.chip.console.uart

    def check_line(self) -> None:
        """Wrong where what is sent would not arrive at the other end of the board's console."""
        if self._checked == self.chip.epoch:
            return
        if not self.is_console():
            raise Wrong(
                "UART", f"{self.name} is used, and the board's serial line is at {self.chip.console.uart}"
            )
        baud = self.chip.rcc.kernel_hz(self.name) / self.divisor()
        wanted = self.chip.console.baud
        if abs(baud / wanted - 1) > TOLERANCE:
            raise Wrong(
                "BAUD",
                f"{self.name} runs at {baud:.0f} baud, the serial line at {wanted}: "
                f"its clock is {self.chip.rcc.kernel_hz(self.name) / 1e6:g} MHz",
            )
        self.chip.check_pin(self.name, "TX")
        self.chip.check_pin(self.name, "RX")
        self._checked = self.chip.epoch

    def send(self, value: int) -> None:
        self.check_line()
        self._polls = 0
        self.chip.line.send(value & 0xFF)

    def receive(self) -> int:
        self.check_line()
        self._polls = 0
        byte = self.chip.line.take()
        return 0 if byte is None else byte

    def has_input(self) -> bool:
        """Whether a byte waits; lets time pass where the firmware does nothing but ask."""
        if self.chip.line.has_input(wait=self._polls >= IDLE_POLLS):
            self._polls = 0
            return True
        self._polls += 1
        return False


class Usart(SerialPort):
    """Version 2; `low_power` makes it an LPUART, `fifo` gives it FIFOs and a prescaler."""

    def __init__(
        self, chip: Chip, name: str, base: int, *, low_power: bool = False, fifo: bool = True
    ) -> None:
        self.low_power = low_power
        registers = {
            "CR1": Register(0x00, 0, 0xFFFF_FFFF if fifo else 0x1FFF_FFFF),
            "CR2": Register(0x04, 0, 0xFFFF_FF79 if fifo else 0xFFFF_FF70),
            "CR3": Register(0x08, 0, 0xFFFE_FFFF if fifo else 0x017E_FFFF),
            "BRR": Register(0x0C, 0, 0xF_FFFF if low_power else 0xFFFF),
            "GTPR": Register(0x10, 0, 0xFFFF),
            "RTOR": Register(0x14),
            "RQR": Register(0x18, 0, 0x1F),
            "ISR": Register(0x1C, 0xC0, 0),
            "ICR": Register(0x20, 0, 0x0012_3BFF),
            "RDR": Register(0x24, 0, 0),
            "TDR": Register(0x28, 0, 0x1FF),
        }
        if fifo:
            registers["PRESC"] = Register(0x2C, 0, 0xF)
        super().__init__(chip, name, base, registers)

    def write_cr1(self, old: int, new: int) -> None:
        self.chip.epoch += 1
        if new & 1 and not old & 1:
            self._since = self.chip.now()
            self.divisor()
        locked = 1 << 28 | 1 << 12 | 1 << 29 | 1 << 15
        if old & new & 1 and (old ^ new) & locked:
            raise Wrong("UART", f"M, OVER8 or FIFOEN of {self.name}_CR1 is changed while UE is 1")

    def _settled(self, register: str, old: int, new: int) -> None:
        self.chip.epoch += 1
        if self.values["CR1"] & 1 and old != new:
            raise Wrong("UART", f"{self.name}_{register} can be written only while UE is 0")

    def write_brr(self, old: int, new: int) -> None:
        self._settled("BRR", old, new)

    def write_presc(self, old: int, new: int) -> None:
        self._settled("PRESC", old, new)

    def divisor(self) -> float:
        brr = self.values["BRR"]
        code = self.values.get("PRESC", 0)
        prescaler = PRESCALERS[min(code, len(PRESCALERS) - 1)]
        if self.low_power:
            if brr < 0x300:
                raise Wrong("BAUD", f"{self.name}_BRR is {brr:#x}, less than 0x300 is forbidden")
            return brr * prescaler / 256
        if self.field("CR1", 15):
            brr = (brr & ~0xF) | (brr & 7) << 1
            if brr < 16:
                raise Wrong("BAUD", f"{self.name}_BRR gives a divider of {brr}, less than 16 is forbidden")
            return brr * prescaler / 2
        if brr < 16:
            raise Wrong("BAUD", f"{self.name}_BRR is {brr}, less than 16 is forbidden")
        return brr * prescaler

    def read_isr(self) -> int:
        control = self.values["CR1"]
        value = 1 << TC | 1 << TXE
        if control & 1 and self.chip.now() - self._since >= START_UP:
            value |= (control >> 3 & 1) << TEACK | (control >> 2 & 1) << REACK
        if control & 5 == 5 and self.has_input():
            value |= 1 << RXNE
        return value

    def write_tdr(self, old: int, new: int) -> None:
        if self.values["CR1"] & 9 != 9:
            raise Wrong("UART", f"{self.name} is given a byte to send while UE or TE is 0: it is lost")
        self.send(new)

    def read_rdr(self) -> int:
        return self.receive()

    def write_icr(self, old: int, new: int) -> None:
        self.values["ICR"] = 0

    def write_rqr(self, old: int, new: int) -> None:
        self.values["RQR"] = 0


class UsartV1(SerialPort):
    """Version 1."""

    def __init__(self, chip: Chip, name: str, base: int) -> None:
        super().__init__(
            chip,
            name,
            base,
            {
                "SR": Register(0x00, 0xC0, 0x3FF),
                "DR": Register(0x04, 0, 0x1FF),
                "BRR": Register(0x08, 0, 0xFFFF),
                "CR1": Register(0x0C, 0, 0xBFFF),
                "CR2": Register(0x10, 0, 0x7F6F),
                "CR3": Register(0x14, 0, 0x0FFF),
                "GTPR": Register(0x18, 0, 0xFFFF),
            },
        )

    def divisor(self) -> float:
        brr = self.values["BRR"]
        # The mantissa counts 16 samples a bit, or 8 with three bits of fraction.
        value = (brr >> 4) * 8 + (brr & 7) if self.field("CR1", 15) else brr
        if value < (8 if self.field("CR1", 15) else 16):
            raise Wrong("BAUD", f"{self.name}_BRR is {brr:#x}: a divider below 1")
        return value

    def write_cr1(self, old: int, new: int) -> None:
        self.chip.epoch += 1

    def write_brr(self, old: int, new: int) -> None:
        self.chip.epoch += 1

    def write_sr(self, old: int, new: int) -> None:
        self.values["SR"] = 0xC0

    def read_sr(self) -> int:
        value = 1 << TC | 1 << TXE
        # UE is bit 13, RE bit 2.
        if self.field("CR1", 13) and self.field("CR1", 2) and self.has_input():
            value |= 1 << RXNE
        return value

    def read_dr(self) -> int:
        return self.receive()

    def write_dr(self, old: int, new: int) -> None:
        if not (self.field("CR1", 13) and self.field("CR1", 3)):
            raise Wrong("UART", f"{self.name} is given a byte to send while UE or TE is 0: it is lost")
        self.send(new)
