"""STM32U575, U585 (RM0456) without TrustZone. Offsets and bits: stm32u575xx.h of cmsis_device_u5."""

from __future__ import annotations

from typing import ClassVar

from pipeline.virtual.chip import Chip, Family, check_bus, check_latency
from pipeline.virtual.peripherals.base import START_UP, Peripheral, Register, Wrong
from pipeline.virtual.peripherals.gpio import Gpio
from pipeline.virtual.peripherals.rcc import MHZ, Field, Oscillator, Rcc
from pipeline.virtual.peripherals.timer import Timer
from pipeline.virtual.peripherals.usart import Usart

# Highest HCLK in MHz by wait states, by voltage range: RM0456, table 54.
WAIT_STATES = {1: (32, 64, 96, 128, 160), 2: (30, 60, 90, 110), 3: (24, 48, 55), 4: (12, 25)}
# Above this, the booster of the regulator has to be ready: RM0456, 10.5.4.
BOOST_HZ = 55 * MHZ
BOOST_DIVIDERS = (1, 2, 4, 6, 8, 10, 12, 14, 16)
MSI_MHZ = (48, 24, 16, 12, 4, 2, 1.33, 1, 3.072, 1.536, 1.024, 0.768, 0.4, 0.2, 0.133, 0.1)
PORTS = "ABCDEFGHI"


class U5Rcc(Rcc):
    """RM0456, 11.8."""

    oscillators: ClassVar = {
        "MSIS": Oscillator(Field("CR", 0), Field("CR", 2)),
        "HSI16": Oscillator(Field("CR", 8), Field("CR", 10), 16 * MHZ),
        "PLL": Oscillator(Field("CR", 24), Field("CR", 25)),
    }
    switch = Field("CFGR1", 0, 2)
    switched = Field("CFGR1", 2, 2)
    sources = ("MSIS", "HSI16", "HSE", "PLL")
    hpre = Field("CFGR2", 0, 4)
    ppre: ClassVar = {
        "APB1": Field("CFGR2", 4, 3),
        "APB2": Field("CFGR2", 8, 3),
        "APB3": Field("CFGR3", 4, 3),
    }
    gates: ClassVar = {
        **{f"GPIO{letter}": ("AHB2ENR1", number) for number, letter in enumerate(PORTS)},
        "FLASH": ("AHB1ENR", 8), "PWR": ("AHB3ENR", 2), "TIM2": ("APB1ENR1", 0), "TIM5": ("APB1ENR1", 3),
        "USART2": ("APB1ENR1", 17), "USART3": ("APB1ENR1", 18), "USART1": ("APB2ENR", 14),
    }  # fmt: skip
    bus_of: ClassVar = {
        "USART1": "APB2", "USART2": "APB1", "USART3": "APB1", "TIM2": "APB1", "TIM5": "APB1",
    }  # fmt: skip
    kernel_selects: ClassVar = {
        name: (Field("CCIPR1", shift, 2), ("PCLK", "SYSCLK", "HSI16", "LSE"))
        for name, shift in (("USART1", 0), ("USART2", 2), ("USART3", 4))
    }

    def __init__(self, chip: Chip) -> None:
        registers = {
            # The MSIs' and all other ready flags are the hardware's; MSIKRDY reads as after reset.
            "CR": Register(0x00, 0x31, 0x3F1F_F7FF, 0x2A02_A424),
            "ICSCR1": Register(0x08, 0x4400_0000, 0xFFC0_0000),
            "CFGR1": Register(0x1C, 0, 0x7F00_003F, 0xC),
            "CFGR2": Register(0x20, 0, 0x1F_777F),
            "CFGR3": Register(0x24, 0, 0x3_0070),
            "PLL1CFGR": Register(0x28, 0, 0x7_FF1F),
            "PLL1DIVR": Register(0x34, 0x0101_0280, 0x7F7F_FFFF),
            "PLL1FRACR": Register(0x38, 0, 0xFFF8),
            "CIER": Register(0x50, 0, 0x19FF),
            "AHB1ENR": Register(0x88, 0xD000_0100, 0xD107_110F),
            "AHB2ENR1": Register(0x8C, 0xC000_0000, 0xD826_55FF),
            "AHB2ENR2": Register(0x90, 0, 0x111),
            "AHB3ENR": Register(0x94, 0x8000_0000, 0x8000_1665),
            "APB1ENR1": Register(0x9C, 0, 0x017E_483F),
            "APB1ENR2": Register(0xA0, 0, 0x80_0222),
            "APB2ENR": Register(0xA4, 0, 0x67_7800),
            "APB3ENR": Register(0xA8, 0, 0x30_F8E2),
            "CCIPR1": Register(0xE0, 0, 0xEFFF_FFFF),
            "CCIPR3": Register(0xE8, 0, 0x7_FFDF),
            "CSR": Register(0xF4, 0x0C00_4400, 0xFE80_FF00),
        }
        super().__init__(chip, "RCC", 0x4602_0C00, gated=False, registers=registers)

    def hertz(self, source: str) -> int:
        if source == "MSIS":
            # MSIRGSEL chooses between the range of ICSCR1 and that after standby, 4 MHz.
            code = self.field("ICSCR1", 28, 4) if self.field("ICSCR1", 23) else self.field("CSR", 12, 4)
            return int(MSI_MHZ[code] * MHZ)
        return super().hertz(source)

    def pll_source(self) -> str:
        return ("no clock", "MSIS", "HSI16", "HSE")[self.field("PLL1CFGR", 0, 2)]

    def pll_configuration(self) -> tuple[int, ...]:
        return (self.values["PLL1CFGR"] & 0xFF0F, self.values["PLL1DIVR"])

    def pll_hz(self) -> int:
        """RM0456, 11.8.9 and 11.8.12, and DS13737, PLL characteristics."""
        m = self.field("PLL1CFGR", 8, 4) + 1
        n = self.factor("PLL1N", self.field("PLL1DIVR", 0, 9) + 1, 4, 512)
        r = self.field("PLL1DIVR", 24, 7) + 1
        fraction = self.field("PLL1FRACR", 3, 13) / 8192 if self.field("PLL1CFGR", 4) else 0
        fed = self.fed() / m
        wide = self.field("PLL1CFGR", 2, 2) == 3
        self.within(
            "PLL input / PLL1M, for this PLL1RGE,",
            fed,
            *((8 * MHZ, 16 * MHZ) if wide else (4 * MHZ, 8 * MHZ)),
        )
        vco = fed * (n + fraction)
        self.within("VCO output", vco, 128 * MHZ, 544 * MHZ)
        self.within("pll1_r_ck", vco / r, 1 * MHZ, 160 * MHZ)
        return int(vco / r)

    def boost_hz(self) -> float:
        """What the regulator's booster is clocked with."""
        code = self.field("PLL1CFGR", 12, 4)
        return self.fed() / BOOST_DIVIDERS[min(code, len(BOOST_DIVIDERS) - 1)]

    def _switch_to(self, source: str) -> None:
        if source == "PLL" and not self.field("PLL1CFGR", 18):
            raise Wrong("CLOCK", "the core is switched to PLL1, whose output R is not enabled (PLL1REN)")
        super()._switch_to(source)


class U5Pwr(Peripheral):
    """RM0456, 10.11."""

    def __init__(self, chip: Chip, rcc: U5Rcc) -> None:
        self._rcc = rcc
        super().__init__(
            chip,
            "PWR",
            0x4602_0800,
            registers={
                "CR3": Register(0x08, 0, 0x6),
                "VOSR": Register(0x0C, 0, 0x7_0000, 0xC000),
                "SVMCR": Register(0x10, 0, 0x7F00_00F0),
                "SVMSR": Register(0x3C, 0, 0),
                "UCPDR": Register(0x2C, 0, 3),
            },
        )
        self.raise_later("VOSR", 15, 0)

    def write_vosr(self, old: int, new: int) -> None:
        if (old ^ new) >> 16 & 3:
            self.raise_later("VOSR", 15)
        if new >> 18 & 1 and not old >> 18 & 1:
            if not 4 * MHZ <= self._rcc.boost_hz() <= 16 * MHZ:
                raise Wrong(
                    "VOLTAGE",
                    f"the booster is clocked with {self._rcc.boost_hz() / MHZ:g} MHz, not 4 to 16 MHz",
                    "set PLL1SRC and PLL1MBOOST first",
                )
            self.raise_later("VOSR", 14)
        elif old >> 18 & 1 and not new >> 18 & 1:
            self.lower("VOSR", 14)
        self.chip.clock_changed()

    def write_svmcr(self, old: int, new: int) -> None:
        self.chip.clock_changed()

    def range(self) -> int:
        """What may be relied on: the lowest voltage until the one asked for is ready."""
        return 4 - self.field("VOSR", 16, 2) if self.is_raised("VOSR", 15) else 4

    def is_boosted(self) -> bool:
        return self.is_raised("VOSR", 14)


class U5Flash(Peripheral):
    """RM0456, 7.9.1."""

    def write_acr(self, old: int, new: int) -> None:
        self.chip.clock_changed()


class U5Icache(Peripheral):
    """RM0456, 8.7: after reset and after CACHEINV it is busy for a while; what it holds is not modelled."""

    def __init__(self, chip: Chip) -> None:
        self._busy_until = START_UP
        registers = {
            "CR": Register(0x00, 0x4, 0xF_0007),
            "SR": Register(0x04, 0, 0, 7),
            "FCR": Register(0x0C, 0, 6),
        }
        super().__init__(chip, "ICACHE", 0x4003_0400, gated=False, registers=registers)

    def read_sr(self) -> int:
        return 1 if self.chip.now() < self._busy_until else 2

    def write_cr(self, old: int, new: int) -> None:
        if new & 2:
            self._busy_until = self.chip.now() + START_UP
            self.values["CR"] = new & ~2
        if new & 1 and not old & 1 and self.chip.now() < self._busy_until:
            raise Wrong("CACHE", "ICACHE is enabled while it is busy (BUSYF)")


class Stm32U5(Family):
    """U575."""

    name = "stm32u5"
    devices = ("STM32U575",)
    pins: ClassVar = {  # DS13737, alternate functions
        ("USART1", "TX"): {"PA9": 7, "PB6": 7, "PG9": 7},
        ("USART1", "RX"): {"PA10": 7, "PB7": 7, "PG10": 7},
        ("USART2", "TX"): {"PA2": 7, "PD5": 7},
        ("USART2", "RX"): {"PA3": 7, "PA15": 3, "PD6": 7},
        ("USART3", "TX"): {"PA7": 7, "PB10": 7, "PC4": 7, "PC10": 7, "PD8": 7},
        ("USART3", "RX"): {"PA5": 7, "PB11": 7, "PC5": 7, "PC11": 7, "PD9": 7},
    }

    def populate(self, chip: Chip) -> Rcc:
        rcc = U5Rcc(chip)
        self._pwr = U5Pwr(chip, rcc)
        self._flash = U5Flash(chip, "FLASH", 0x4002_2000, registers={"ACR": Register(0x00, 1, 0x790F)})
        U5Icache(chip)
        for number, letter in enumerate(PORTS):
            Gpio(
                chip,
                letter,
                0x4202_0000 + 0x400 * number,
                mode_reset=Gpio.mode_resets.get(letter, 0xFFFF_FFFF),
                pull_reset={"A": 0x6400_0000, "B": 0x100}.get(letter, 0),
            )
        Timer(chip, "TIM2", 0x4000_0000)
        Timer(chip, "TIM5", 0x4000_0C00)
        for name, base in (("USART1", 0x4001_3800), ("USART2", 0x4000_4400), ("USART3", 0x4000_4800)):
            Usart(chip, name, base)
        return rcc

    def check_clock(self, chip: Chip) -> None:
        hclk_hz, voltage = chip.rcc.hclk_hz(), self._pwr.range()
        limits = WAIT_STATES[voltage]
        check_latency(hclk_hz, self._flash.field("ACR", 0, 4), limits, f"voltage range {voltage}")
        if chip.rcc.sysclk_hz() > BOOST_HZ and not self._pwr.is_boosted():
            raise Wrong(
                "VOLTAGE",
                f"the core runs at {chip.rcc.sysclk_hz() / MHZ:g} MHz, the regulator's booster is not ready",
            )
        check_bus(chip.rcc, dict.fromkeys(("APB1", "APB2", "APB3"), limits[-1]))

    def check_supply(self, chip: Chip, port: str) -> None:
        if port == "G" and not self._pwr.field("SVMCR", 29):
            raise Wrong("SUPPLY", "the pins of port G have no supply: bit IO2SV of PWR_SVMCR is 0")
