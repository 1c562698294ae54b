"""STM32L4 (RM0351) and L4+ (RM0432). Offsets and bits: stm32l476xx.h and stm32l4r5xx.h of cmsis_device_l4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pipeline.virtual.chip import Chip, Family, check_bus, check_latency
from pipeline.virtual.peripherals.base import START_UP, Peripheral, Register, Wrong
from pipeline.virtual.peripherals.gpio import Gpio
from pipeline.virtual.peripherals.rcc import MHZ, Field, Oscillator, Rcc
from pipeline.virtual.peripherals.timer import Timer
from pipeline.virtual.peripherals.usart import Usart

MSI_HZ = tuple(int(mhz * MHZ) for mhz in (0.1, 0.2, 0.4, 0.8, 1, 2, 4, 8, 16, 24, 32, 48))
# Above this, HCLK of an L4+ is reached by way of half of it; an L4 never gets there.
STEP_HZ = 80 * MHZ
STEP_S = 1e-6
# Highest HCLK in MHz by wait states: RM0351, table 11; RM0432, table 13.
WAIT_STATES = {
    "stm32l4": {"range 1": (16, 32, 48, 64, 80), "range 2": (6, 12, 18, 26)},
    "stm32l4+": {
        "range 1 boost": (20, 40, 60, 80, 100, 120),
        "range 1": (20, 40, 60, 80),
        "range 2": (8, 16, 26),
    },
}
PORTS = "ABCDEFGHI"


class L4Rcc(Rcc):
    """RM0432, 6.4."""

    oscillators: ClassVar = {
        "MSI": Oscillator(Field("CR", 0), Field("CR", 1)),
        "HSI16": Oscillator(Field("CR", 8), Field("CR", 10), 16 * MHZ),
        "PLL": Oscillator(Field("CR", 24), Field("CR", 25)),
    }
    sources = ("MSI", "HSI16", "HSE", "PLL")
    ppre: ClassVar = {"APB1": Field("CFGR", 8, 3), "APB2": Field("CFGR", 11, 3)}
    gates: ClassVar = {
        **{f"GPIO{letter}": ("AHB2ENR", number) for number, letter in enumerate(PORTS)},
        "FLASH": ("AHB1ENR", 8),
        "PWR": ("APB1ENR1", 28),
        "TIM2": ("APB1ENR1", 0),
        "TIM5": ("APB1ENR1", 3),
        "USART2": ("APB1ENR1", 17),
        "USART3": ("APB1ENR1", 18),
        "LPUART1": ("APB1ENR2", 0),
        "USART1": ("APB2ENR", 14),
        "SYSCFG": ("APB2ENR", 0),
    }
    kernel_selects: ClassVar = {
        name: (Field("CCIPR", shift, 2), ("PCLK", "SYSCLK", "HSI16", "LSE"))
        for name, shift in (("USART1", 0), ("USART2", 2), ("USART3", 4), ("LPUART1", 10))
    }
    bus_of: ClassVar = {
        "USART1": "APB2", "USART2": "APB1", "USART3": "APB1", "LPUART1": "APB1",
        "TIM2": "APB1", "TIM5": "APB1",
    }  # fmt: skip

    def __init__(self, chip: Chip, plus: bool, registers: dict[str, Register] | None = None) -> None:
        self._plus = plus
        registers = registers or self._own_registers(plus)
        super().__init__(chip, "RCC", 0x4002_1000, gated=False, registers=registers)

    @staticmethod
    def _own_registers(plus: bool) -> dict[str, Register]:
        # PLLRDY, PLLSAIxRDY, HSERDY, HSIRDY and MSIRDY of CR and SWS of CFGR are the hardware's.
        flags = 0x2A02_0402
        registers = {
            "CR": Register(0x00, 0x63, 0x3F0F_0FFF, flags),
            "ICSCR": Register(
                0x04, 0x4000_0000 if plus else 0x1000_0000, 0x7F00_FF00 if plus else 0x1F00_FF00
            ),
            "CFGR": Register(0x08, 0, 0x7F00_BFFF if plus else 0x7700_BFFF, 0xC),
            "PLLCFGR": Register(0x0C, 0x1000, 0xFF73_7FF3 if plus else 0x0773_7F73),
            "CIER": Register(0x18, 0, 0x6FF if plus else 0x2FF),
            "CIFR": Register(0x1C, 0, 0),
            "CICR": Register(0x20, 0, 0x7FF if plus else 0x3FF),
            "AHB1RSTR": Register(0x28, 0, 0x3_1107 if plus else 0x1_1103),
            "AHB2RSTR": Register(0x2C, 0, 0x54_71FF if plus else 0x4_30FF),
            "AHB3RSTR": Register(0x30, 0, 0x301 if plus else 0x101),
            "APB1RSTR1": Register(0x38, 0, 0xF3FE_C03F if plus else 0xF2FE_C23F),
            "APB1RSTR2": Register(0x3C, 0, 0x23 if plus else 0x25),
            "APB2RSTR": Register(0x40, 0, 0x0167_7801 if plus else 0x0167_7C01),
            "AHB1ENR": Register(0x48, 0x100, 0x3_1107 if plus else 0x1_1103),
            "AHB2ENR": Register(0x4C, 0, 0x54_71FF if plus else 0x4_30FF),
            "AHB3ENR": Register(0x50, 0, 0x301 if plus else 0x101),
            "APB1ENR1": Register(0x58, 0x400 if plus else 0, 0xF3FE_CC3F if plus else 0xF2FE_CA3F),
            "APB1ENR2": Register(0x5C, 0, 0x23 if plus else 0x25),
            "APB2ENR": Register(0x60, 0, 0x0167_7881 if plus else 0x0167_7C81),
            "CCIPR": Register(0x88, 0, 0x3C3F_FFFF if plus else 0xFFFF_FFFF),
            "BDCR": Register(0x90, 0, 0x0301_837F),
            "CSR": Register(0x94, 0x0C00_0600, 0xFF80_0F03),
        }
        if plus:
            registers |= {"CRRCR": Register(0x98, 0, 0xFF83), "CCIPR2": Register(0x9C, 0, 0x33_47FF)}
        return registers

    def hertz(self, source: str) -> int:
        if source == "MSI":
            # MSIRGSEL chooses between the range of CR and that after standby, 4 MHz.
            place = Field("CR", 4, 4) if self.field("CR", 3) else Field("CSR", 8, 4)
            return MSI_HZ[min(self.take(place), len(MSI_HZ) - 1)]
        return super().hertz(source)

    def pll_source(self) -> str:
        return ("no clock", "MSI", "HSI16", "HSE")[self.field("PLLCFGR", 0, 2)]

    def pll_configuration(self) -> tuple[int, ...]:
        """PLLSRC, PLLM, PLLN and PLLR; the outputs' enable bits may change at any time."""
        return (self.values["PLLCFGR"] & ~0x0111_0000,)

    def pll_hz(self) -> int:
        m = self.field("PLLCFGR", 4, 4 if self._plus else 3) + 1
        n = self.factor("PLLN", self.field("PLLCFGR", 8, 7), 8, 127 if self._plus else 86)
        r = 2 * (self.field("PLLCFGR", 25, 2) + 1)
        fed = self.fed() / m
        # RM0432 and RM0351, 6.4.4, PLLM; DS12023 and DS10198, PLL characteristics.
        self.within("PLL input / PLLM", fed, *((2.66 * MHZ, 8 * MHZ) if self._plus else (4 * MHZ, 16 * MHZ)))
        self.within("VCO output", fed * n, 64 * MHZ, 344 * MHZ)
        self.within("PLLCLK", fed * n / r, 8 * MHZ, (120 if self._plus else 80) * MHZ)
        return int(fed * n / r)

    def _switch_to(self, source: str) -> None:
        if source == "PLL" and not self.field("PLLCFGR", 24):
            raise Wrong("CLOCK", "the core is switched to the PLL, whose output R is not enabled (PLLREN)")
        super()._switch_to(source)


class L4Pwr(Peripheral):
    """RM0432, 5.4."""

    def __init__(self, chip: Chip, plus: bool) -> None:
        self._changing = 0
        registers = {
            "CR1": Register(0x00, 0x200, 0x4717 if plus else 0x4707),
            "CR2": Register(0x04, 0, 0x6FF),
            "CR3": Register(0x08, 0x8000, 0x951F if plus else 0x851F),
            "CR4": Register(0x0C, 0, 0x31F),
            "SR1": Register(0x10, 0, 0),
            "SR2": Register(0x14, 0x100, 0),
            "SCR": Register(0x18, 0, 0x11F),
        }
        if plus:
            registers["CR5"] = Register(0x80, 0x100, 0x100)
        super().__init__(chip, "PWR", 0x4000_7000, registers=registers)

    def write_cr1(self, old: int, new: int) -> None:
        if new >> 9 & 3 not in (1, 2):
            raise Wrong("VOLTAGE", f"PWR_CR1 VOS is {new >> 9 & 3}, which is forbidden")
        if (old ^ new) >> 9 & 3:
            self._changing = self.chip.now() + START_UP
        self.chip.clock_changed()

    def write_cr2(self, old: int, new: int) -> None:
        self.chip.clock_changed()

    def write_cr5(self, old: int, new: int) -> None:
        self.chip.clock_changed()

    def read_sr2(self) -> int:
        return self.values["SR2"] | (self.chip.now() < self._changing) << 10

    def voltage(self) -> str:
        if self.field("CR1", 9, 2) == 2 or self.chip.now() < self._changing:
            return "range 2"
        return "range 1 boost" if "CR5" in self.values and not self.field("CR5", 8) else "range 1"


class BoostStep:
    """HCLK of a boosted regulator is reached by way of half of it, for at least a microsecond.

    RM0432 and RM0440: power control, dynamic voltage scaling management.
    """

    def __init__(self, above_hz: int) -> None:
        self._above_hz = above_hz
        self._last_hz = 0
        self._since = 0

    def check(self, chip: Chip) -> None:
        """Wrong E_VIRTUAL_CLOCK where HCLK has come above the limit in another way."""
        hclk_hz = chip.rcc.hclk_hz()
        if hclk_hz == self._last_hz:
            return
        waited = (chip.now() - self._since) / max(self._last_hz, 1)
        if hclk_hz > self._above_hz and (2 * self._last_hz != hclk_hz or waited < STEP_S):
            raise Wrong(
                "CLOCK",
                f"HCLK rises from {self._last_hz / MHZ:g} to {hclk_hz / MHZ:g} MHz after "
                f"{waited * 1e6:.2g} us: above {self._above_hz / MHZ:g} MHz it has to run at half of it "
                "for at least 1 us",
            )
        self._last_hz, self._since = hclk_hz, chip.now()


class L4Flash(Peripheral):
    """RM0432, 3.7.1: access control only; the image is in flash already."""

    def write_acr(self, old: int, new: int) -> None:
        self.chip.clock_changed()


class Stm32L4(Family):
    """L475 and L476 (L4), L4R5 (L4+)."""

    name = "stm32l4"
    devices = ("STM32L475", "STM32L476", "STM32L4R5")
    pins: ClassVar = {  # DS10198 and DS10969: alternate functions
        ("USART1", "TX"): {"PA9": 7, "PB6": 7, "PG9": 7},
        ("USART1", "RX"): {"PA10": 7, "PB7": 7, "PG10": 7},
        ("USART2", "TX"): {"PA2": 7, "PD5": 7},
        ("USART2", "RX"): {"PA3": 7, "PD6": 7},
        ("USART3", "TX"): {"PB10": 7, "PC4": 7, "PC10": 7, "PD8": 7},
        ("USART3", "RX"): {"PB11": 7, "PC5": 7, "PC11": 7, "PD9": 7},
        ("LPUART1", "TX"): {"PB11": 8, "PC1": 8, "PG7": 8},
        ("LPUART1", "RX"): {"PB10": 8, "PC0": 8, "PG8": 8},
    }
    pins_of_plus: ClassVar = {  # DS12023, alternate functions: where L4+ has more
        ("USART2", "RX"): {"PA3": 7, "PA15": 3, "PD6": 7},
        ("LPUART1", "TX"): {"PA2": 8, "PB11": 8, "PC1": 8, "PG7": 8},
        ("LPUART1", "RX"): {"PA3": 8, "PB10": 8, "PC0": 8, "PG8": 8},
    }

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self._plus = device == "STM32L4R5"

    def functions(self, uart: str, role: str) -> Mapping[str, int]:
        more = self.pins_of_plus.get((uart, role)) if self._plus else None
        return more or super().functions(uart, role)

    def populate(self, chip: Chip) -> Rcc:
        rcc = L4Rcc(chip, self._plus)
        self._step = BoostStep(STEP_HZ)
        self._pwr = L4Pwr(chip, self._plus)
        self._flash = L4Flash(
            chip,
            "FLASH",
            0x4002_2000,
            registers={"ACR": Register(0x00, 0x600, 0x7F0F if self._plus else 0x7F07)},
        )
        for number, letter in enumerate(PORTS if self._plus else PORTS[:8]):
            # Port H has three pins on these packages, and F to I no debug pins.
            reset = Gpio.mode_resets.get(letter, 0xFFFF_FFFF)
            pull = {"A": 0x6400_0000, "B": 0x0000_0100}.get(letter, 0)
            Gpio(chip, letter, 0x4800_0000 + 0x400 * number, mode_reset=reset, pull_reset=pull)
        Timer(chip, "TIM2", 0x4000_0000)
        Timer(chip, "TIM5", 0x4000_0C00)
        for name, base in (("USART1", 0x4001_3800), ("USART2", 0x4000_4400), ("USART3", 0x4000_4800)):
            Usart(chip, name, base, fifo=self._plus)
        Usart(chip, "LPUART1", 0x4000_8000, low_power=True, fifo=self._plus)
        return rcc

    def check_clock(self, chip: Chip) -> None:
        hclk_hz = chip.rcc.hclk_hz()
        voltage = self._pwr.voltage()
        limits = WAIT_STATES["stm32l4+" if self._plus else "stm32l4"][voltage]
        check_latency(hclk_hz, self._flash.field("ACR", 0, 4), limits, f"voltage {voltage}")
        check_bus(chip.rcc, {"APB1": limits[-1], "APB2": limits[-1]})
        self._step.check(chip)

    def check_supply(self, chip: Chip, port: str) -> None:
        if port == "G" and not self._pwr.field("CR2", 9):
            raise Wrong(
                "SUPPLY",
                "the pins of port G have no supply: bit IOSV of PWR_CR2 is 0",
                "set it: VddIO2 is valid (RM0432, 5.1.2)",
            )
