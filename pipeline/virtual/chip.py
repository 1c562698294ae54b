"""One chip: its peripherals, and what they ask of each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

from pipeline.boards import Board, Console
from pipeline.virtual.peripherals.base import Peripheral, Wrong
from pipeline.virtual.peripherals.cortex import Dwt, SystemControl
from pipeline.virtual.peripherals.gpio import Gpio
from pipeline.virtual.peripherals.rcc import MHZ, Rcc
from pipeline.virtual.peripherals.usart import SerialPort

# Reads of one register in a row, with nothing else in between, that make a wait without end.
MOST_POLLS = 10_000
# Cycles from the bit that gives a peripheral its clock to the first access: RM0390, RCC, peripheral clock
# enable registers; RM0432, RCC, peripherals clock gating.
CLOCK_DELAY = 2


class Line(Protocol):
    """The other end of the console."""

    def send(self, byte: int) -> None: ...
    def take(self) -> int | None: ...
    def has_input(self, *, wait: bool) -> bool: ...


class Family(ABC):
    """One description of a chip family; a class of this kind in families/ is found by its presence."""

    name: ClassVar[str]
    """As `soc` in board.toml."""
    devices: ClassVar[tuple[str, ...]]
    """As `chip` in board.toml."""
    pins: ClassVar[Mapping[tuple[str, str], Mapping[str, int]]]
    """(UART, TX or RX) -> pin -> alternate function, from the data sheets."""

    def __init__(self, device: str) -> None:
        self.device = device

    def functions(self, uart: str, role: str) -> Mapping[str, int]:
        """Pins of this UART's TX or RX on this device, with their alternate functions."""
        return self.pins.get((uart, role), {})

    @abstractmethod
    def populate(self, chip: Chip) -> Rcc:
        """Give the chip its peripherals; the RCC is returned."""

    @abstractmethod
    def check_clock(self, chip: Chip) -> None:
        """Wrong where the clock is too fast for wait states, supply or buses."""

    def check_supply(self, chip: Chip, port: str) -> None:  # noqa: B027  most families have one supply
        """Wrong where the pins of this port have no supply."""


class Chip:
    """All peripherals of one device. Virtual time: an instruction is a period of the core's clock."""

    rcc: Rcc
    system: SystemControl

    def __init__(
        self,
        family: Family,
        board: Board,
        line: Line,
        now: Callable[[], int],
        guard: Callable[[tuple[tuple[int, int], ...]], None],
        *,
        patient: bool = False,
    ) -> None:
        self.family = family
        self.console: Console = board.console
        self.line = line
        self.now = now
        self.guard = guard
        """Forbid every access to these regions (address, bytes)."""
        self.patient = patient
        self.epoch = 0
        """Goes up with every change that may spoil a UART's settings."""
        self.peripherals: dict[int, Peripheral] = {}
        """By the 1 KB page of their registers."""
        self.named: dict[str, Peripheral] = {}
        self._polled = (0, 0, 0)
        """Address and value that was read last, and how often in a row."""
        self.woken: dict[str, int] = {}
        """Peripherals that were given their clock just now -> when."""
        self.rcc = family.populate(self)
        self.rcc.begin()
        self.system = SystemControl(self, board.cpu)
        self._dwt = Dwt(self, board.cpu)

    def add(self, peripheral: Peripheral) -> None:
        extent = max(register.offset for register in peripheral.registers.values()) + 4
        for page in range(peripheral.base >> 10, (peripheral.base + extent + 0x3FF) >> 10):
            self.peripherals[page] = peripheral
        self.named[peripheral.name] = peripheral

    def _at(self, address: int) -> Peripheral:
        peripheral = self.peripherals.get(address >> 10)
        if peripheral is None:
            raise Wrong(
                "UNMAPPED",
                f"there is no register model at {address:#010x}",
                "docs/virtual_nucleo.md lists what is modelled",
            )
        if peripheral.gated and not self.rcc.is_clocked(peripheral.name):
            register, bit = self.rcc.gates[peripheral.name]
            raise Wrong(
                "GATED",
                f"{peripheral.name} at {address:#010x} has no clock: bit {bit} of RCC_{register} is 0",
            )
        since = self.woken.pop(peripheral.name, None)
        if since is not None and self.now() - since < CLOCK_DELAY:
            raise Wrong(
                "GATED",
                f"{peripheral.name} at {address:#010x} is used at once after its clock was turned on, "
                f"which takes {CLOCK_DELAY} cycles",
                "read the register back that turned it on",
            )
        return peripheral

    def read(self, address: int, size: int) -> int:
        peripheral = self._at(address)
        word = peripheral.read((address & ~3) - peripheral.base)
        if isinstance(peripheral, SerialPort):  # the host may take its time
            self._polled = (0, 0, 0)
        elif self._polled[:2] != (address, word):
            self._polled = (address, word, 1)
        elif not self.patient:
            self._polled = (address, word, self._polled[2] + 1)
            if self._polled[2] == MOST_POLLS:
                raise Wrong(
                    "WAIT",
                    f"{peripheral.name} at {address:#010x} is polled for what never comes: {word:#x} stays",
                )
        return word >> 8 * (address & 3) & ((1 << 8 * size) - 1)

    def write(self, address: int, size: int, value: int) -> None:
        peripheral = self._at(address)
        offset = (address & ~3) - peripheral.base
        if size < 4:
            shift = 8 * (address & 3)
            value = peripheral.held(offset) & ~(((1 << 8 * size) - 1) << shift) | value << shift
        peripheral.write(offset, value & 0xFFFF_FFFF)
        if isinstance(peripheral, Gpio):
            self.epoch += 1

    def clock_changed(self) -> None:
        """After any write to what decides on clocks and supplies."""
        self.epoch += 1
        self.family.check_clock(self)

    def check_pin(self, uart: str, role: str) -> None:
        """Wrong unless the console's pin is this UART's, supplied and switched to it."""
        pin = self.console.tx if role == "TX" else self.console.rx
        functions = self.family.functions(uart, role)
        if pin not in functions:
            raise Wrong("PIN", f"{pin} cannot be {role} of {uart} on {self.family.device}")
        port = self.named[f"GPIO{pin[1]}"]
        assert isinstance(port, Gpio)
        if not self.rcc.is_clocked(port.name):
            raise Wrong("GATED", f"{port.name} has no clock, and {pin} is {role} of {uart}")
        self.family.check_supply(self, pin[1])
        port.check(int(pin[2:]), f"{role} of {uart}", functions[pin])


def check_latency(hclk_hz: int, wait_states: int, limits_mhz: tuple[float, ...], where: str) -> None:
    """Wrong E_VIRTUAL_LATENCY or E_VIRTUAL_VOLTAGE; `limits_mhz` are the highest clocks by wait states."""
    if hclk_hz > limits_mhz[-1] * MHZ:
        raise Wrong(
            "VOLTAGE", f"HCLK is {hclk_hz / MHZ:g} MHz, {where} allows {limits_mhz[-1]:g} MHz",
            "raise the regulator's voltage before the clock",
        )  # fmt: skip
    allowed = limits_mhz[min(wait_states, len(limits_mhz) - 1)]
    if hclk_hz > allowed * MHZ:
        needed = next(count for count, limit in enumerate(limits_mhz) if hclk_hz <= limit * MHZ)
        raise Wrong(
            "LATENCY",
            f"HCLK is {hclk_hz / MHZ:g} MHz with {wait_states} flash wait states; "
            f"in {where} it needs {needed}",
            "raise FLASH_ACR LATENCY before the clock, lower it after",
        )


def check_bus(rcc: Rcc, limits_mhz: Mapping[str, float]) -> None:
    """Wrong E_VIRTUAL_CLOCK where a bus is too fast."""
    for bus, limit in limits_mhz.items():
        if rcc.pclk_hz(bus) > limit * MHZ:
            raise Wrong(
                "CLOCK", f"{bus} runs at {rcc.pclk_hz(bus) / MHZ:g} MHz, at most {limit:g} MHz are allowed"
            )
