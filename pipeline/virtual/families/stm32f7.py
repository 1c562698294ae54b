"""STM32F76x and F77x (RM0410). Offsets and bits: stm32f767xx.h of cmsis_device_f7."""

from __future__ import annotations

from typing import ClassVar

from pipeline.virtual.chip import Chip, Family, check_bus, check_latency
from pipeline.virtual.families.stm32f4 import F4Flash, F4Pwr, F4Rcc, check_scale
from pipeline.virtual.peripherals.base import Register
from pipeline.virtual.peripherals.gpio import Gpio
from pipeline.virtual.peripherals.rcc import Field, Rcc
from pipeline.virtual.peripherals.timer import Timer
from pipeline.virtual.peripherals.usart import Usart

# Highest HCLK in MHz by wait states, 2.7 to 3.6 V: RM0410, table 7.
WAIT_STATES = (30, 60, 90, 120, 150, 180, 210, 216)


class F7Rcc(F4Rcc):
    """RM0410, 5.3."""

    kernel_selects: ClassVar = {
        name: (Field("DCKCFGR2", shift, 2), ("PCLK", "SYSCLK", "HSI", "LSE"))
        for name, shift in (("USART1", 0), ("USART2", 2), ("USART3", 4), ("USART6", 10))
    }


class Stm32F7(Family):
    """F767."""

    name = "stm32f7"
    devices = ("STM32F767",)
    pins: ClassVar = {  # DS11532, alternate functions
        ("USART1", "TX"): {"PA9": 7, "PB6": 7, "PB14": 4},
        ("USART1", "RX"): {"PA10": 7, "PB7": 7, "PB15": 4},
        ("USART2", "TX"): {"PA2": 7, "PD5": 7},
        ("USART2", "RX"): {"PA3": 7, "PD6": 7},
        ("USART3", "TX"): {"PB10": 7, "PC10": 7, "PD8": 7},
        ("USART3", "RX"): {"PB11": 7, "PC11": 7, "PD9": 7},
    }

    def populate(self, chip: Chip) -> Rcc:
        masks = {
            "CR": 0x3F0F_FFFB, "PLLCFGR": 0x7F43_7FFF, "CFGR": 0xFFFF_FCFF, "CIR": 0x00FF_7FFF,
            "AHB1RSTR": 0x22E0_17FF, "APB1RSTR": 0xFFFF_EBFF, "APB2RSTR": 0x64F7_79B3,
            "AHB1ENR": 0x7EF4_17FF, "AHB2ENR": 0xC3, "APB1ENR": 0xFFFF_EFFF, "APB2ENR": 0x64F7_7FB3,
            "BDCR": 0x1_831F, "CSR": 0xFF00_0003, "DCKCFGR": 0x07F3_1F1F, "DCKCFGR2": 0x3FFF_FFFF,
        }  # fmt: skip
        rcc = F7Rcc(chip, masks, (100, 432), 50, 216)
        self._pwr = F4Pwr(chip, (0x000F_EFFB, 0x000F_430F), 3)
        self._flash = F4Flash(
            chip, "FLASH", 0x4002_3C00, gated=False, registers={"ACR": Register(0x00, 0, 0xB0F)}
        )
        for number, letter in enumerate("ABCDEFGHIJK"):
            Gpio(
                chip,
                letter,
                0x4002_0000 + 0x400 * number,
                mode_reset={"A": 0xA800_0000, "B": 0x280}.get(letter, 0),
                pull_reset={"A": 0x6400_0000, "B": 0x100}.get(letter, 0),
            )
        Timer(chip, "TIM2", 0x4000_0000)
        Timer(chip, "TIM5", 0x4000_0C00)
        for name, base in (("USART1", 0x4001_1000), ("USART2", 0x4000_4400), ("USART3", 0x4000_4800)):
            Usart(chip, name, base, fifo=False)
        return rcc

    def check_clock(self, chip: Chip) -> None:
        hclk_hz = chip.rcc.hclk_hz()
        check_latency(hclk_hz, self._flash.field("ACR", 0, 4), WAIT_STATES, "2.7 to 3.6 V")
        # RM0410, 4.1.4: highest HCLK by scale, without and with over-drive. DS11532, table 17: buses.
        check_scale(self._pwr, hclk_hz, {1: (180, 216), 2: (168, 180), 3: (144, 144)})
        fast = self._pwr.is_overdriven()
        check_bus(chip.rcc, {"APB1": 54 if fast else 45, "APB2": 108 if fast else 90})
