"""A GPIO port, as all families but F1 have it (RM0432, chapter 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pipeline.virtual.peripherals.base import Peripheral, Register, Wrong

if TYPE_CHECKING:
    from pipeline.virtual.chip import Chip

ALTERNATE = 2
MODES = ("input", "output", "alternate function", "analog")


class Gpio(Peripheral):
    """One port; `letter` is that of its pins."""

    mode_resets: ClassVar[dict[str, int]] = {"A": 0xABFF_FFFF, "B": 0xFFFF_FEBF}
    """All pins analog but those of the debug port."""

    def __init__(self, chip: Chip, letter: str, base: int, *, mode_reset: int, pull_reset: int = 0) -> None:
        self.letter = letter
        super().__init__(
            chip,
            f"GPIO{letter}",
            base,
            registers={
                "MODER": Register(0x00, mode_reset),
                "OTYPER": Register(0x04, 0, 0xFFFF),
                "OSPEEDR": Register(0x08, 0x0C00_0000 if letter == "A" else 0),
                "PUPDR": Register(0x0C, pull_reset),
                "IDR": Register(0x10, 0, 0),
                "ODR": Register(0x14, 0, 0xFFFF),
                "BSRR": Register(0x18),
                "LCKR": Register(0x1C, 0, 0x1_FFFF),
                "AFRL": Register(0x20),
                "AFRH": Register(0x24),
                "BRR": Register(0x28, 0, 0xFFFF),
            },
        )

    def write_bsrr(self, old: int, new: int) -> None:
        self.values["ODR"] = self.values["ODR"] & ~(new >> 16) & 0xFFFF | new & 0xFFFF
        self.values["BSRR"] = 0

    def write_brr(self, old: int, new: int) -> None:
        self.values["ODR"] &= ~new & 0xFFFF
        self.values["BRR"] = 0

    def read_idr(self) -> int:
        return self.values["ODR"]

    def check(self, pin: int, role: str, function: int) -> None:
        """Wrong E_VIRTUAL_PIN unless the pin is given to this alternate function."""
        name = f"P{self.letter}{pin}"
        mode = self.field("MODER", 2 * pin, 2)
        if mode != ALTERNATE:
            raise Wrong(
                "PIN", f"{name} is not the {role}: its mode is {MODES[mode]}, expected {MODES[ALTERNATE]}"
            )
        chosen = self.field("AFRL" if pin < 8 else "AFRH", 4 * (pin % 8), 4)
        if chosen != function:
            raise Wrong(
                "PIN",
                f"{name} is not the {role}: its alternate function is AF{chosen}, expected AF{function}",
                "the data sheet's table of alternate functions tells",
            )
