"""What all register models share: registers with the bits that exist, a clock gate, delayed flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.virtual.chip import Chip

ALL = 0xFFFF_FFFF
# Instructions until an oscillator, a PLL or a regulator is ready: enough that not waiting is noticed.
START_UP = 40


class Wrong(Exception):
    """What the hardware does not do, or its manual forbids. The machine adds where it happened."""

    def __init__(self, code: str, problem: str, hint: str | None = None) -> None:
        super().__init__(problem)
        self.code = f"E_VIRTUAL_{code}"
        self.problem = problem
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Register:
    """Offset, value after reset, the bits that may be written as anything but that value, and the bits
    that only the hardware changes: what is written to those is ignored."""

    offset: int
    reset: int = 0
    bits: int = ALL
    flags: int = 0


class Peripheral:
    """A block of 32-bit registers.

    `write_<register>(old, new)` and `read_<register>()` of a subclass say what happens; a register without
    them holds what was written.
    """

    registers: Mapping[str, Register] = {}

    def __init__(
        self,
        chip: Chip,
        name: str,
        base: int,
        *,
        gated: bool = True,
        registers: Mapping[str, Register] | None = None,
    ) -> None:
        self.chip = chip
        self.name = name
        self.base = base
        self.gated = gated
        if registers is not None:
            self.registers = registers
        self.values = {key: register.reset for key, register in self.registers.items()}
        self._due: dict[tuple[str, int], int] = {}
        self._by_offset: dict[
            int, tuple[str, Callable[[], int] | None, Callable[[int, int], None] | None]
        ] = {
            register.offset: (
                key,
                getattr(self, f"read_{key.lower()}", None),
                getattr(self, f"write_{key.lower()}", None),
            )
            for key, register in self.registers.items()
        }
        chip.add(self)

    def read(self, offset: int) -> int:
        name, reader, _ = self._entry(offset)
        value = reader() if reader else self.values[name]
        for (register, bit), due in self._due.items():
            if register == name and self.chip.now() >= due:
                value |= 1 << bit
        return value

    def held(self, offset: int) -> int:
        """What was written last: for a write of some bytes of it, which reads nothing on the bus."""
        return self.values[self._entry(offset)[0]]

    def write(self, offset: int, value: int) -> None:
        name, _, writer = self._entry(offset)
        old = self.values[name]
        register = self.registers[name]
        reserved = (value ^ register.reset) & ~(register.bits | register.flags) & ALL
        if reserved:
            raise Wrong(
                "RESERVED",
                f"{self.name}_{name} is given {value:#010x}: bits {reserved:#x} are reserved "
                f"and must keep their reset value {register.reset:#010x}",
            )
        value = value & ~register.flags | old & register.flags
        self.values[name] = value
        if writer:
            writer(old, value)

    def _entry(self, offset: int) -> tuple[str, Callable[[], int] | None, Callable[[int, int], None] | None]:
        if offset not in self._by_offset:
            raise Wrong("UNMAPPED", f"{self.name} has no register at {self.base + offset:#010x}")
        return self._by_offset[offset]

    def field(self, register: str, shift: int, width: int = 1) -> int:
        return self.values[register] >> shift & ((1 << width) - 1)

    def raise_later(self, register: str, bit: int, delay: int = START_UP) -> None:
        """The flag reads as set from `delay` instructions on."""
        self._due[register, bit] = self.chip.now() + delay

    def lower(self, register: str, bit: int) -> None:
        self._due.pop((register, bit), None)

    def is_raised(self, register: str, bit: int) -> bool:
        return self.chip.now() >= self._due.get((register, bit), 1 << 64)
