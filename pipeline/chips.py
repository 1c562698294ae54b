"""What a chip allows: clocks, wait states, pins, memory.

Each chip names its reference manual and its data sheet. In these, by the titles that ST gives to sections:

| figure | reference manual | data sheet |
|---|---|---|
| `source_hz` | RCC, HSI clock | internal clock source characteristics |
| `factors` | RCC, PLL configuration register | |
| `pll_input_hz`, `vco_hz` | RCC, PLL configuration register | PLL characteristics |
| `core_hz`, `ahb_hz`, `apb1_hz`, `apb2_hz` | RCC, clocks | general operating conditions |
| `wait_states_hz` | embedded flash memory, read access latency | |
| `uarts` | | pinout and pin description, alternate functions |
| `memory` | memory organization, embedded SRAM | memory mapping |

Pins and alternate functions were read from ST's open pin data, which the data sheets are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

KHZ = 1_000
MHZ = 1_000_000
KIB = 1024


@dataclass(frozen=True, slots=True)
class Window:
    """A range of addresses behind which a chip has memory."""

    name: str
    origin: int
    length_bytes: int

    @property
    def end(self) -> int:
        return self.origin + self.length_bytes


@dataclass(frozen=True, slots=True)
class Chip:
    """One line of a family, such as STM32L4R5. Frequencies in Hz; limits are inclusive."""

    name: str
    family: str
    """board/soc/<family>.c"""
    cpu: str
    fpu: str
    source: str
    """The oscillator that feeds the PLL: the one that board/soc/<family>.c chooses."""
    source_hz: int
    factors: Mapping[str, tuple[int, ...] | range]
    """What each factor of the PLL may be: `m` divides its input, `n` multiplies, `p` or `r` divides."""
    pll_input_hz: tuple[int, int]
    vco_hz: tuple[int, int]
    core_hz: int
    """The most that the core may run at; likewise the buses."""
    ahb_hz: int
    apb1_hz: int
    apb2_hz: int
    wait_states_hz: tuple[int, ...]
    """The highest AHB clock for 0, 1, 2, ... wait states, at 2.7 to 3.6 V in the voltage range in use."""
    uarts: Mapping[str, Mapping[str, str]]
    """For each UART and role (tx, rx): `pin:alternate function` of each pin that it reaches."""
    memory: tuple[Window, ...]
    uart_fifo: bool = True
    """Whether its UARTs have FIFOs."""

    @property
    def output_factor(self) -> str:
        """The PLL's factor that makes the core's clock: p or r."""
        return next(letter for letter in "pr" if letter in self.factors)

    def wait_states(self, ahb_hz: int) -> int:
        """The fewest for this clock."""
        return sum(ahb_hz > most for most in self.wait_states_hz[:-1])

    def functions(self, uart: str, role: str) -> dict[str, int]:
        """Alternate function by pin."""
        pairs = (word.split(":") for word in self.uarts[uart][role].split())
        return {pin: int(number) for pin, number in pairs}


def uart_bus(uart: str) -> str:
    """The bus that clocks a UART, by the key of its divider in board.toml."""
    return "apb2_divider" if uart == "USART1" else "apb1_divider"


def steps(each_hz: int, count: int) -> tuple[int, ...]:
    """Limits of wait states that are equally far apart."""
    return tuple(each_hz * (number + 1) for number in range(count))


def windows(*spans: tuple[str, int, int]) -> tuple[Window, ...]:
    """Windows from (name, origin, KiB)."""
    return tuple(Window(name, origin, kib * KIB) for name, origin, kib in spans)


EVEN_TO_8 = (2, 4, 6, 8)
EVEN_TO_128 = (1, *range(2, 129, 2))

UARTS_F401 = {
    "USART1": {"tx": "PA9:7 PB6:7", "rx": "PA10:7 PB7:7"},
    "USART2": {"tx": "PA2:7 PD5:7", "rx": "PA3:7 PD6:7"},
}
UARTS_F446 = {
    **UARTS_F401,
    "USART3": {"tx": "PB10:7 PC10:7 PD8:7", "rx": "PB11:7 PC11:7 PC5:7 PD9:7"},
}
UARTS_F7_H7 = {
    "USART1": {"tx": "PA9:7 PB14:4 PB6:7", "rx": "PA10:7 PB15:4 PB7:7"},
    "USART2": {"tx": "PA2:7 PD5:7", "rx": "PA3:7 PD6:7"},
    "USART3": {"tx": "PB10:7 PC10:7 PD8:7", "rx": "PB11:7 PC11:7 PD9:7"},
}
UARTS_L47X = {
    "LPUART1": {"tx": "PB11:8 PC1:8 PG7:8", "rx": "PB10:8 PC0:8 PG8:8"},
    "USART1": {"tx": "PA9:7 PB6:7 PG9:7", "rx": "PA10:7 PB7:7 PG10:7"},
    "USART2": {"tx": "PA2:7 PD5:7", "rx": "PA3:7 PD6:7"},
    "USART3": {"tx": "PB10:7 PC10:7 PC4:7 PD8:7", "rx": "PB11:7 PC11:7 PC5:7 PD9:7"},
}
UARTS_L4R5 = {
    **UARTS_L47X,
    "LPUART1": {"tx": "PA2:8 PB11:8 PC1:8 PG7:8", "rx": "PA3:8 PB10:8 PC0:8 PG8:8"},
    "USART2": {"tx": "PA2:7 PD5:7", "rx": "PA15:3 PA3:7 PD6:7"},
}
UARTS_G4 = {
    "LPUART1": {"tx": "PA2:12 PB11:8 PC1:8 PG7:8", "rx": "PA3:12 PB10:8 PC0:8 PG8:8"},
    "USART1": {"tx": "PA9:7 PB6:7 PC4:7 PE0:7 PG9:7", "rx": "PA10:7 PB7:7 PC5:7 PE1:7"},
    "USART2": {"tx": "PA14:7 PA2:7 PB3:7 PD5:7", "rx": "PA15:7 PA3:7 PB4:7 PD6:7"},
    "USART3": {"tx": "PB10:7 PB9:7 PC10:7 PD8:7", "rx": "PB11:7 PB8:7 PC11:7 PD9:7 PE15:7"},
}
UARTS_U5 = {
    "USART1": {"tx": "PA9:7 PB6:7 PG9:7", "rx": "PA10:7 PB7:7 PG10:7"},
    "USART2": {"tx": "PA2:7 PD5:7", "rx": "PA15:3 PA3:7 PD6:7"},
    "USART3": {"tx": "PA7:7 PB10:7 PC10:7 PC4:7 PD8:7", "rx": "PA5:7 PB11:7 PC11:7 PC5:7 PD9:7"},
}

# RM0368, DS10086. 84 MHz in voltage scale 2; VCO and N as the manual has them from 192 on.
STM32F401 = Chip(
    "STM32F401", "stm32f4", "cortex-m4", "fpv4-sp-d16",
    source="HSI", source_hz=16 * MHZ,
    factors={"m": range(2, 64), "n": range(192, 433), "p": EVEN_TO_8},
    pll_input_hz=(1 * MHZ, 2 * MHZ), vco_hz=(192 * MHZ, 432 * MHZ),
    core_hz=84 * MHZ, ahb_hz=84 * MHZ, apb1_hz=42 * MHZ, apb2_hz=84 * MHZ,
    wait_states_hz=steps(30 * MHZ, 3),
    uarts=UARTS_F401, uart_fifo=False,
    memory=windows(("flash", 0x0800_0000, 512), ("SRAM1", 0x2000_0000, 96)),
)  # fmt: skip
# RM0390, DS10693. 180 MHz in voltage scale 1 with over-drive (power control, voltage regulator).
STM32F446 = replace(
    STM32F401, name="STM32F446",
    factors={"m": range(2, 64), "n": range(50, 433), "p": EVEN_TO_8},
    vco_hz=(100 * MHZ, 432 * MHZ),
    core_hz=180 * MHZ, ahb_hz=180 * MHZ, apb1_hz=45 * MHZ, apb2_hz=90 * MHZ,
    wait_states_hz=steps(30 * MHZ, 9),
    uarts=UARTS_F446,
    memory=windows(("flash", 0x0800_0000, 512), ("SRAM1 and SRAM2", 0x2000_0000, 128)),
)  # fmt: skip
# RM0351, DS10198. Range 1 (power control, dynamic voltage scaling management).
STM32L476 = Chip(
    "STM32L476", "stm32l4", "cortex-m4", "fpv4-sp-d16",
    source="HSI16", source_hz=16 * MHZ,
    factors={"m": range(1, 9), "n": range(8, 87), "r": EVEN_TO_8},
    pll_input_hz=(4 * MHZ, 16 * MHZ), vco_hz=(64 * MHZ, 344 * MHZ),
    core_hz=80 * MHZ, ahb_hz=80 * MHZ, apb1_hz=80 * MHZ, apb2_hz=80 * MHZ,
    wait_states_hz=steps(16 * MHZ, 5),
    uarts=UARTS_L47X, uart_fifo=False,
    memory=windows(("flash", 0x0800_0000, 1024), ("SRAM1", 0x2000_0000, 96), ("SRAM2", 0x1000_0000, 32)),
)  # fmt: skip
# RM0351, DS10969: as the L476, without its LCD.
STM32L475 = replace(STM32L476, name="STM32L475")
# RM0432, DS12023. Range 1 boost (power control, dynamic voltage scaling management).
STM32L4R5 = replace(
    STM32L476, name="STM32L4R5",
    factors={"m": range(1, 17), "n": range(8, 128), "r": EVEN_TO_8},
    pll_input_hz=(2_660 * KHZ, 8 * MHZ),
    core_hz=120 * MHZ, ahb_hz=120 * MHZ, apb1_hz=120 * MHZ, apb2_hz=120 * MHZ,
    wait_states_hz=steps(20 * MHZ, 6),
    uarts=UARTS_L4R5, uart_fifo=True,
    memory=windows(
        ("flash", 0x0800_0000, 2048), ("SRAM1 to SRAM3", 0x2000_0000, 640), ("SRAM2", 0x1000_0000, 64)
    ),
)  # fmt: skip
# RM0440, DS12288. Range 1 boost (power control, dynamic voltage scaling management).
STM32G474 = replace(
    STM32L4R5, name="STM32G474", family="stm32g4",
    pll_input_hz=(2_660 * KHZ, 16 * MHZ), vco_hz=(96 * MHZ, 344 * MHZ),
    core_hz=170 * MHZ, ahb_hz=170 * MHZ, apb1_hz=170 * MHZ, apb2_hz=170 * MHZ,
    wait_states_hz=steps(34 * MHZ, 5),
    uarts=UARTS_G4,
    memory=windows(
        ("flash", 0x0800_0000, 512), ("SRAM1, SRAM2, CCM", 0x2000_0000, 128), ("CCM", 0x1000_0000, 32)
    ),
)  # fmt: skip
# RM0410, DS11532. 216 MHz in voltage scale 1 with over-drive (power control, voltage regulator).
STM32F767 = replace(
    STM32F446, name="STM32F767", family="stm32f7", cpu="cortex-m7", fpu="fpv5-d16",
    core_hz=216 * MHZ, ahb_hz=216 * MHZ, apb1_hz=54 * MHZ, apb2_hz=108 * MHZ,
    wait_states_hz=steps(30 * MHZ, 8),
    uarts=UARTS_F7_H7,
    memory=windows(
        ("flash", 0x0800_0000, 2048), ("DTCM, SRAM1, SRAM2", 0x2000_0000, 512), ("ITCM", 0x0000_0000, 16)
    ),
)  # fmt: skip
# RM0433, DS12110, silicon revision V. Voltage scale 0 (power control, voltage scaling), and its wait states
# of the AXI clock (embedded flash memory, recommended number of wait states and programming delay).
STM32H743 = Chip(
    "STM32H743", "stm32h7", "cortex-m7", "fpv5-d16",
    source="HSI", source_hz=64 * MHZ,
    factors={"m": range(1, 64), "n": range(4, 513), "p": EVEN_TO_128},
    pll_input_hz=(2 * MHZ, 16 * MHZ), vco_hz=(192 * MHZ, 960 * MHZ),
    core_hz=480 * MHZ, ahb_hz=240 * MHZ, apb1_hz=120 * MHZ, apb2_hz=120 * MHZ,
    wait_states_hz=(70 * MHZ, 140 * MHZ, 210 * MHZ, 225 * MHZ, 240 * MHZ),
    uarts=UARTS_F7_H7,
    memory=windows(
        ("flash", 0x0800_0000, 2048), ("DTCM", 0x2000_0000, 128), ("ITCM", 0x0000_0000, 64),
        ("AXI SRAM", 0x2400_0000, 512), ("SRAM1 to SRAM3", 0x3000_0000, 288), ("SRAM4", 0x3800_0000, 64),
    ),
)  # fmt: skip
# RM0456, DS13737. Range 1 with the booster (power control, dynamic voltage scaling management).
STM32U575 = Chip(
    "STM32U575", "stm32u5", "cortex-m33", "fpv5-sp-d16",
    source="HSI16", source_hz=16 * MHZ,
    factors={"m": range(1, 17), "n": range(4, 513), "r": EVEN_TO_128},
    pll_input_hz=(4 * MHZ, 16 * MHZ), vco_hz=(128 * MHZ, 544 * MHZ),
    core_hz=160 * MHZ, ahb_hz=160 * MHZ, apb1_hz=160 * MHZ, apb2_hz=160 * MHZ,
    wait_states_hz=steps(32 * MHZ, 5),
    uarts=UARTS_U5,
    memory=windows(
        ("flash", 0x0800_0000, 2048), ("SRAM1 to SRAM3", 0x2000_0000, 768), ("SRAM4", 0x2800_0000, 16)
    ),
)  # fmt: skip

CHIPS: dict[str, Chip] = {
    chip.name: chip
    for chip in (
        STM32F401, STM32F446, STM32L475, STM32L476, STM32L4R5, STM32G474, STM32F767, STM32H743, STM32U575,
    )
}  # fmt: skip
