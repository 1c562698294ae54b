"""STM32G4 (RM0440): an L4 with another set of clocks. Offsets and bits: stm32g474xx.h of cmsis_device_g4."""

from __future__ import annotations

from typing import ClassVar

from pipeline.virtual.chip import Chip, Family, check_bus, check_latency
from pipeline.virtual.families.stm32l4 import BoostStep, L4Flash, L4Pwr, L4Rcc
from pipeline.virtual.peripherals.base import Register
from pipeline.virtual.peripherals.gpio import Gpio
from pipeline.virtual.peripherals.rcc import MHZ, Field, Oscillator, Rcc
from pipeline.virtual.peripherals.timer import Timer
from pipeline.virtual.peripherals.usart import Usart

# Highest HCLK in MHz by wait states: RM0440, table 29.
WAIT_STATES = {
    "range 1 boost": (34, 68, 102, 136, 170),
    "range 1": (30, 60, 90, 120, 150),
    "range 2": (12, 24, 26),
}
# Above this, HCLK is reached by way of half of it.
STEP_HZ = 150 * MHZ


class G4Rcc(L4Rcc):
    """RM0440, 7.4."""

    oscillators: ClassVar = {
        "HSI16": Oscillator(Field("CR", 8), Field("CR", 10), 16 * MHZ),
        "PLL": Oscillator(Field("CR", 24), Field("CR", 25)),
    }
    sources = ("none", "HSI16", "HSE", "PLL")
    gates: ClassVar = {
        **{f"GPIO{letter}": ("AHB2ENR", number) for number, letter in enumerate("ABCDEFG")},
        "FLASH": ("AHB1ENR", 8), "PWR": ("APB1ENR1", 28), "TIM2": ("APB1ENR1", 0), "TIM5": ("APB1ENR1", 3),
        "USART2": ("APB1ENR1", 17), "USART3": ("APB1ENR1", 18), "LPUART1": ("APB1ENR2", 0),
        "USART1": ("APB2ENR", 14),
    }  # fmt: skip
    own_registers: ClassVar = {
        "CR": Register(0x00, 0x0000_0500, 0x030F_0700, 0x0202_0400),
        "ICSCR": Register(0x04, 0x4000_0000, 0x7F00_0000),
        "CFGR": Register(0x08, 0x1, 0x7F00_3FFF, 0xC),
        "PLLCFGR": Register(0x0C, 0x1000, 0xFF73_7FF3),
        "CIER": Register(0x18, 0, 0x63B),
        "CIFR": Register(0x1C, 0, 0),
        "CICR": Register(0x20, 0, 0x73B),
        "AHB1RSTR": Register(0x28, 0, 0x111F),
        "AHB2RSTR": Register(0x2C, 0, 0x040F_607F),
        "APB1RSTR1": Register(0x38, 0, 0xD2FE_C13F),
        "APB1RSTR2": Register(0x3C, 0, 0x103),
        "APB2RSTR": Register(0x40, 0, 0x0437_F801),
        "AHB1ENR": Register(0x48, 0x100, 0x111F),
        "AHB2ENR": Register(0x4C, 0, 0x040F_607F),
        "AHB3ENR": Register(0x50, 0, 0x101),
        "APB1ENR1": Register(0x58, 0x400, 0xD2FE_CD3F),
        "APB1ENR2": Register(0x5C, 0, 0x103),
        "APB2ENR": Register(0x60, 0, 0x0437_F801),
        "CCIPR": Register(0x88),
        "CSR": Register(0x94, 0x0C00_0000, 0xFE80_0003),
    }

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip, True, self.own_registers)

    def hertz(self, source: str) -> int:
        return Rcc.hertz(self, source)

    def pll_source(self) -> str:
        return ("no clock", "no clock", "HSI16", "HSE")[self.field("PLLCFGR", 0, 2)]

    def pll_hz(self) -> int:
        m = self.field("PLLCFGR", 4, 4) + 1
        n = self.factor("PLLN", self.field("PLLCFGR", 8, 7), 8, 127)
        r = 2 * (self.field("PLLCFGR", 25, 2) + 1)
        fed = self.fed() / m
        # RM0440, 7.4.4, PLLM; DS12288, PLL characteristics.
        self.within("PLL input / PLLM", fed, 2.66 * MHZ, 16 * MHZ)
        self.within("VCO output", fed * n, 96 * MHZ, 344 * MHZ)
        self.within("PLLCLK", fed * n / r, 8 * MHZ, 170 * MHZ)
        return int(fed * n / r)


class Stm32G4(Family):
    """G474."""

    name = "stm32g4"
    devices = ("STM32G474",)
    pins: ClassVar = {  # DS12288, alternate functions
        ("USART1", "TX"): {"PA9": 7, "PB6": 7, "PC4": 7, "PE0": 7, "PG9": 7},
        ("USART1", "RX"): {"PA10": 7, "PB7": 7, "PC5": 7, "PE1": 7},
        ("USART2", "TX"): {"PA2": 7, "PA14": 7, "PB3": 7, "PD5": 7},
        ("USART2", "RX"): {"PA3": 7, "PA15": 7, "PB4": 7, "PD6": 7},
        ("USART3", "TX"): {"PB9": 7, "PB10": 7, "PC10": 7, "PD8": 7},
        ("USART3", "RX"): {"PB8": 7, "PB11": 7, "PC11": 7, "PD9": 7, "PE15": 7},
        ("LPUART1", "TX"): {"PA2": 12, "PB11": 8, "PC1": 8, "PG7": 8},
        ("LPUART1", "RX"): {"PA3": 12, "PB10": 8, "PC0": 8, "PG8": 8},
    }

    def populate(self, chip: Chip) -> Rcc:
        rcc = G4Rcc(chip)
        self._step = BoostStep(STEP_HZ)
        self._pwr = L4Pwr(chip, True)
        self._flash = L4Flash(
            chip, "FLASH", 0x4002_2000, registers={"ACR": Register(0x00, 0x4_0600, 0x4_7F0F)}
        )
        for number, letter in enumerate("ABCDEFG"):
            Gpio(
                chip,
                letter,
                0x4800_0000 + 0x400 * number,
                mode_reset=Gpio.mode_resets.get(letter, 0xFFFF_FFFF),
                pull_reset={"A": 0x6400_0000, "B": 0x0000_0100}.get(letter, 0),
            )
        Timer(chip, "TIM2", 0x4000_0000)
        Timer(chip, "TIM5", 0x4000_0C00)
        for name, base in (("USART1", 0x4001_3800), ("USART2", 0x4000_4400), ("USART3", 0x4000_4800)):
            Usart(chip, name, base)
        Usart(chip, "LPUART1", 0x4000_8000, low_power=True)
        return rcc

    def check_clock(self, chip: Chip) -> None:
        hclk_hz = chip.rcc.hclk_hz()
        voltage = self._pwr.voltage()
        limits = WAIT_STATES[voltage]
        check_latency(hclk_hz, self._flash.field("ACR", 0, 4), limits, f"voltage {voltage}")
        check_bus(chip.rcc, {"APB1": limits[-1], "APB2": limits[-1]})
        self._step.check(chip)
