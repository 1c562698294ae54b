"""Reset and clock control: oscillators, PLL, switch, dividers and gates, as every STM32 has them.

A family's subclass names the registers and computes its PLL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pipeline.virtual.peripherals.base import Peripheral, Wrong

MHZ = 1_000_000


@dataclass(frozen=True, slots=True)
class Field:
    """Some bits of a register."""

    register: str
    shift: int
    width: int = 1


@dataclass(frozen=True, slots=True)
class Oscillator:
    """A source of clock with its switch and its flag; 0 Hz for what is computed, as a PLL."""

    on: Field
    ready: Field
    hertz: int = 0


class Rcc(Peripheral, ABC):
    """Common behaviour. HPRE and PPRE are coded alike in all families (RM0432, RCC_CFGR)."""

    oscillators: ClassVar[Mapping[str, Oscillator]] = {}
    switch = Field("CFGR", 0, 2)
    switched = Field("CFGR", 2, 2)
    sources: ClassVar[tuple[str, ...]] = ()
    """What the values of `switch` mean."""
    hpre = Field("CFGR", 4, 4)
    ppre: ClassVar[Mapping[str, Field]] = {}
    """The divider of each bus, `APB1` and so on."""
    gates: ClassVar[Mapping[str, tuple[str, int]]] = {}
    """peripheral -> register and bit that give it its clock."""
    kernel_selects: ClassVar[Mapping[str, tuple[Field, tuple[str, ...]]]] = {}
    """UART -> the field that chooses its clock, and what its values mean."""
    bus_of: ClassVar[Mapping[str, str]] = {}
    """peripheral -> its APB."""

    def begin(self) -> None:
        """What runs after reset is ready."""
        for oscillator in self.oscillators.values():
            if self.take(oscillator.on):
                self.raise_later(oscillator.ready.register, oscillator.ready.shift, 0)

    def write(self, offset: int, value: int) -> None:
        before = {name: self.take(o.on) for name, o in self.oscillators.items()}
        source = self.source()
        configured = self.pll_configuration()
        asleep = [name for name in self.gates if not self.is_clocked(name)]
        super().write(offset, value)
        for name in asleep:
            if self.is_clocked(name):
                self.chip.woken[name] = self.chip.now()
        if configured != self.pll_configuration() and before.get("PLL"):
            raise Wrong(
                "PLL", "the PLL is configured while it runs: its factors can be written only while PLLON is 0"
            )
        for name, oscillator in self.oscillators.items():
            on = self.take(oscillator.on)
            if on and not before[name]:
                self.turn_on(name, oscillator)
            elif before[name] and not on:
                self.turn_off(name, oscillator)
        if self.source() != source:
            self._switch_to(self.source())
        self.chip.clock_changed()

    def turn_on(self, name: str, oscillator: Oscillator) -> None:
        if name == "PLL":
            self.pll_hz()
        self.raise_later(oscillator.ready.register, oscillator.ready.shift)

    def turn_off(self, name: str, oscillator: Oscillator) -> None:
        in_use = {self.source()} | ({self.pll_source()} if self.source() == "PLL" else set())
        if name in in_use:
            raise Wrong("CLOCK", f"{name} is turned off while the core runs from it")
        self.lower(oscillator.ready.register, oscillator.ready.shift)

    def _switch_to(self, source: str) -> None:
        self.demand(source, f"the core is switched to {source}")
        shift, mask = self.switched.shift, (1 << self.switched.width) - 1
        register = self.switched.register
        self.values[register] = self.values[register] & ~(mask << shift) | self.take(self.switch) << shift

    def demand(self, source: str, what: str) -> None:
        """Wrong unless this oscillator is on and ready."""
        oscillator = self.oscillators[source]
        if not self.take(oscillator.on):
            raise Wrong("CLOCK", f"{what}, which is not turned on", "turn it on, and wait for its ready flag")
        if not self.is_raised(oscillator.ready.register, oscillator.ready.shift):
            raise Wrong("CLOCK", f"{what} before its ready flag was set")

    def take(self, place: Field) -> int:
        return self.field(place.register, place.shift, place.width)

    # ---- what a family says ----

    @abstractmethod
    def pll_source(self) -> str:
        """The oscillator that feeds the PLL, or `none`."""

    @abstractmethod
    def pll_hz(self) -> int:
        """Frequency of the PLL's output to the core; Wrong E_VIRTUAL_PLL where it cannot lock."""

    @abstractmethod
    def pll_configuration(self) -> tuple[int, ...]:
        """What must not change while the PLL runs."""

    # ---- frequencies ----

    def source(self) -> str:
        code = self.take(self.switch)
        if code >= len(self.sources) or self.sources[code] not in self.oscillators:
            raise Wrong("CLOCK", f"{self.name}_{self.switch.register} switches to no source: SW is {code}")
        return self.sources[code]

    def hertz(self, source: str) -> int:
        return self.pll_hz() if source == "PLL" else self.oscillators[source].hertz

    def sysclk_hz(self) -> int:
        return self.hertz(self.source())

    def hclk_hz(self) -> int:
        code = self.take(self.hpre)
        # 0xxx: not divided; 1000 to 1111: 2, 4, 8, 16, 64, 128, 256, 512.
        return self.sysclk_hz() // (1 if code < 8 else (2, 4, 8, 16, 64, 128, 256, 512)[code - 8])

    def core_hz(self) -> int:
        """Of the core, which virtual time counts."""
        return self.hclk_hz()

    def divider(self, bus: str) -> int:
        code = self.take(self.ppre[bus])
        return 1 if code < 4 else 2 << (code - 4)

    def pclk_hz(self, bus: str) -> int:
        return self.hclk_hz() // self.divider(bus)

    def timer_hz(self, name: str) -> int:
        """A timer runs at its bus's clock, doubled where the bus is divided."""
        bus = self.bus_of[name]
        return self.pclk_hz(bus) * (1 if self.divider(bus) == 1 else 2)

    def kernel_hz(self, name: str) -> int:
        """What a UART divides for its baud rate."""
        if name not in self.kernel_selects:
            return self.pclk_hz(self.bus_of[name])
        place, choices = self.kernel_selects[name]
        code = self.take(place)
        choice = choices[code] if code < len(choices) else f"reserved value {code}"
        if choice == "PCLK":
            return self.pclk_hz(self.bus_of[name])
        if choice == "SYSCLK":
            return self.sysclk_hz()
        if choice not in self.oscillators:
            raise Wrong("CLOCK", f"{name} is clocked from {choice}, which this board does not have")
        self.demand(choice, f"{name} is clocked from {choice}")
        return self.hertz(choice)

    # ---- gates ----

    def is_clocked(self, name: str) -> bool:
        register, bit = self.gates[name]
        return bool(self.values[register] >> bit & 1)

    # ---- helpers of the families' PLLs ----

    def within(self, what: str, hertz: float, low: float, high: float) -> None:
        """Wrong E_VIRTUAL_PLL where a PLL would not lock. Frequencies in Hz."""
        if not low <= hertz <= high:
            raise Wrong(
                "PLL",
                f"the PLL does not lock: {what} is {hertz / MHZ:g} MHz, "
                f"allowed are {low / MHZ:g} to {high / MHZ:g} MHz",
            )

    def factor(self, what: str, value: int, low: int, high: int) -> int:
        if not low <= value <= high:
            raise Wrong("PLL", f"the PLL does not lock: {what} is {value}, allowed are {low} to {high}")
        return value

    def fed(self) -> float:
        """Frequency at the PLL's input."""
        source = self.pll_source()
        if source not in self.oscillators:
            raise Wrong("PLL", f"the PLL does not lock: its source is {source}")
        self.demand(source, f"the PLL is fed from {source}")
        return self.hertz(source)
