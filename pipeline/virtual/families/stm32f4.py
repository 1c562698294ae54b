"""STM32F401 (RM0368) and F446 (RM0390). Offsets and bits: stm32f401xe.h, stm32f446xx.h of cmsis_device_f4."""

from __future__ import annotations

from typing import ClassVar

from pipeline.virtual.chip import Chip, Family, check_bus, check_latency
from pipeline.virtual.peripherals.base import Peripheral, Register, Wrong
from pipeline.virtual.peripherals.gpio import Gpio
from pipeline.virtual.peripherals.rcc import MHZ, Field, Oscillator, Rcc
from pipeline.virtual.peripherals.timer import Timer
from pipeline.virtual.peripherals.usart import UsartV1

OVER_DRIVE, OVER_DRIVE_SWITCH = 16, 17


class F4Rcc(Rcc):
    """RM0390, 6.3; the F7's is the same but for the UARTs' clocks (RM0410, 5.3)."""

    oscillators: ClassVar = {
        "HSI": Oscillator(Field("CR", 0), Field("CR", 1), 16 * MHZ),
        "PLL": Oscillator(Field("CR", 24), Field("CR", 25)),
    }
    sources = ("HSI", "HSE", "PLL")
    ppre: ClassVar = {"APB1": Field("CFGR", 10, 3), "APB2": Field("CFGR", 13, 3)}
    gates: ClassVar = {
        **{f"GPIO{letter}": ("AHB1ENR", number) for number, letter in enumerate("ABCDEFGHIJK")},
        "PWR": ("APB1ENR", 28), "TIM2": ("APB1ENR", 0), "TIM5": ("APB1ENR", 3),
        "USART2": ("APB1ENR", 17), "USART3": ("APB1ENR", 18),
        "USART1": ("APB2ENR", 4), "USART6": ("APB2ENR", 5), "SYSCFG": ("APB2ENR", 14),
    }  # fmt: skip
    bus_of: ClassVar = {
        "USART1": "APB2", "USART6": "APB2", "USART2": "APB1", "USART3": "APB1",
        "TIM2": "APB1", "TIM5": "APB1",
    }  # fmt: skip

    def __init__(
        self, chip: Chip, masks: dict[str, int], vco_mhz: tuple[int, int], least_n: int, most_mhz: int
    ) -> None:
        self._vco_hz = (vco_mhz[0] * MHZ, vco_mhz[1] * MHZ)
        self._least_n = least_n
        self._most_hz = most_mhz * MHZ
        resets = {
            "CR": 0x83,
            "PLLCFGR": 0x2400_3010,
            "AHB1ENR": 0x10_0000 if masks["AHB1ENR"] >> 20 & 1 else 0,
        }
        offsets = {
            "CR": 0x00, "PLLCFGR": 0x04, "CFGR": 0x08, "CIR": 0x0C, "AHB1RSTR": 0x10, "APB1RSTR": 0x20,
            "APB2RSTR": 0x24, "AHB1ENR": 0x30, "AHB2ENR": 0x34, "APB1ENR": 0x40, "APB2ENR": 0x44,
            "BDCR": 0x70, "CSR": 0x74, "DCKCFGR": 0x8C, "DCKCFGR2": 0x90,
        }  # fmt: skip
        flags = {"CR": 0x2A02_FF02, "CFGR": 0xC}
        registers = {
            name: Register(offsets[name], resets.get(name, 0), mask, flags.get(name, 0))
            for name, mask in masks.items()
        }
        super().__init__(chip, "RCC", 0x4002_3800, gated=False, registers=registers)

    def pll_source(self) -> str:
        return "HSE" if self.field("PLLCFGR", 22) else "HSI"

    def pll_configuration(self) -> tuple[int, ...]:
        return (self.values["PLLCFGR"],)

    def pll_hz(self) -> int:
        """RM0390, 6.3.2: VCO input 1 to 2 MHz, PLLM 2 to 63, PLLQ 2 to 15."""
        m = self.factor("PLLM", self.field("PLLCFGR", 0, 6), 2, 63)
        n = self.factor("PLLN", self.field("PLLCFGR", 6, 9), self._least_n, 432)
        self.factor("PLLQ", self.field("PLLCFGR", 24, 4), 2, 15)
        p = 2 * (self.field("PLLCFGR", 16, 2) + 1)
        fed = self.fed() / m
        self.within("PLL input / PLLM", fed, 0.95 * MHZ, 2.1 * MHZ)
        self.within("VCO output", fed * n, *self._vco_hz)
        self.within("PLLCLK", fed * n / p, 24 * MHZ, self._most_hz)
        return int(fed * n / p)


class F4Pwr(Peripheral):
    """RM0390, 5.4: scales, and over-drive where `masks` have its bits. F7: RM0410, 4.4."""

    def __init__(self, chip: Chip, masks: tuple[int, int], scale: int) -> None:
        names = ("CR", "CSR")
        super().__init__(
            chip,
            "PWR",
            0x4000_7000,
            registers={
                names[0]: Register(0x00, scale << 14, masks[0]),
                names[1]: Register(0x04, 0, masks[1], 0x0007_4000),
            },
        )

    def write_cr(self, old: int, new: int) -> None:
        rcc = self.chip.rcc
        if (old ^ new) >> 14 & 3 and rcc.take(rcc.oscillators["PLL"].on):
            raise Wrong("VOLTAGE", "PWR_CR VOS is changed while the PLL is on")
        for bit in (OVER_DRIVE, OVER_DRIVE_SWITCH):
            if new >> bit & 1 and not old >> bit & 1:
                if bit == OVER_DRIVE and not rcc.take(rcc.oscillators["PLL"].on):
                    # RM0390, 5.1.4: HSI or HSE as system clock, PLL on, then ODEN.
                    raise Wrong("VOLTAGE", "over-drive is turned on while the PLL is off")
                if bit == OVER_DRIVE_SWITCH and not self.is_raised("CSR", OVER_DRIVE):
                    raise Wrong("VOLTAGE", "ODSWEN is set before over-drive is ready (ODRDY)")
                self.raise_later("CSR", bit)
            elif old >> bit & 1 and not new >> bit & 1:
                self.lower("CSR", bit)
        self.chip.clock_changed()

    def read_csr(self) -> int:
        """VOSRDY: the scale is taken when the PLL is on; out of it, scale 3 reigns."""
        rcc = self.chip.rcc
        return self.values["CSR"] | rcc.is_raised("CR", 25) << 14

    def scale(self) -> int:
        return {1: 3, 2: 2, 3: 1}.get(self.field("CR", 14, 2), 0)

    def is_overdriven(self) -> bool:
        return self.is_raised("CSR", OVER_DRIVE_SWITCH)


class F4Flash(Peripheral):
    """RM0390, 3.8.1. It has no clock gate."""

    def write_acr(self, old: int, new: int) -> None:
        self.chip.clock_changed()


def check_scale(pwr: F4Pwr, hclk_hz: int, most_mhz: dict[int, tuple[int, int]]) -> None:
    """Wrong E_VIRTUAL_VOLTAGE; scale -> highest HCLK in MHz without and with over-drive."""
    scale = pwr.scale()
    if scale not in most_mhz:
        raise Wrong("VOLTAGE", f"PWR_CR VOS is {pwr.field('CR', 14, 2)}, which is reserved")
    most = most_mhz[scale][pwr.is_overdriven()]
    if hclk_hz > most * MHZ:
        raise Wrong(
            "VOLTAGE",
            f"HCLK is {hclk_hz / MHZ:g} MHz, voltage scale {scale} "
            f"{'with' if pwr.is_overdriven() else 'without'} over-drive allows {most} MHz",
        )


class Stm32F4(Family):
    """F401 and F446."""

    name = "stm32f4"
    devices = ("STM32F401", "STM32F446")
    pins: ClassVar = {  # DS10086 (it has no USART3) and DS10693, alternate functions
        ("USART1", "TX"): {"PA9": 7, "PB6": 7},
        ("USART1", "RX"): {"PA10": 7, "PB7": 7},
        ("USART2", "TX"): {"PA2": 7, "PD5": 7},
        ("USART2", "RX"): {"PA3": 7, "PD6": 7},
        ("USART3", "TX"): {"PB10": 7, "PC10": 7, "PD8": 7},
        ("USART3", "RX"): {"PB11": 7, "PC5": 7, "PC11": 7, "PD9": 7},
    }

    def populate(self, chip: Chip) -> Rcc:
        large = self._large = self.device == "STM32F446"
        masks = {
            "CR": 0x3F0F_FFFB if large else 0x0F0F_FFFB,
            "PLLCFGR": 0x7F43_7FFF if large else 0x0F43_7FFF,
            "CFGR": 0xFF7F_FCFF if large else 0xFFFF_FCFF,
            "CIR": 0x00FF_7FFF if large else 0x00BF_3FBF,
            "AHB1RSTR": 0x2060_10FF if large else 0x0060_109F,
            "APB1RSTR": 0x3FFF_C9FF if large else 0x10E2_C80F,
            "APB2RSTR": 0x00C7_7933 if large else 0x0007_7931,
            "AHB1ENR": 0x6064_10FF if large else 0x0060_109F,
            "AHB2ENR": 0x81 if large else 0x80,
            "APB1ENR": 0x3FFF_C9FF if large else 0x10E2_C80F,
            "APB2ENR": 0x00C7_7F33 if large else 0x0007_7931,
            "BDCR": 0x1_830F if large else 0x1_8307,
            "CSR": 0xFF00_0003,
        }
        # RM0368, 6.3.2, and RM0390, 6.3.2; DS10086 and DS10693, main PLL characteristics.
        rcc = F4Rcc(
            chip, masks, (100, 432) if large else (192, 432), 50 if large else 192, 180 if large else 84
        )
        self._pwr = F4Pwr(
            chip,
            (0x003F_EFFF, 0x000F_438F) if large else (0xEFFF, 0x430F),
            3 if large else 2,
        )
        self._flash = F4Flash(
            chip,
            "FLASH",
            0x4002_3C00,
            gated=False,
            registers={"ACR": Register(0x00, 0, 0x1F0F if large else 0x1F07)},
        )
        for number, letter in enumerate("ABCDEFGH" if large else "ABCDE"):
            Gpio(
                chip,
                letter,
                0x4002_0000 + 0x400 * number,
                mode_reset={"A": 0xA800_0000 if large else 0x0C00_0000, "B": 0x280}.get(letter, 0),
                pull_reset={"A": 0x6400_0000, "B": 0x100}.get(letter, 0),
            )
        Timer(chip, "TIM2", 0x4000_0000)
        Timer(chip, "TIM5", 0x4000_0C00)
        for name, base in (("USART1", 0x4001_1000), ("USART2", 0x4000_4400)):
            UsartV1(chip, name, base)
        if large:
            UsartV1(chip, "USART3", 0x4000_4800)
        return rcc

    def check_clock(self, chip: Chip) -> None:
        hclk_hz = chip.rcc.hclk_hz()
        # RM0368, table 6, and RM0390, table 5: 2.7 to 3.6 V.
        limits = (30, 60, 90, 120, 150, 180) if self._large else (30, 60, 84)
        check_latency(hclk_hz, self._flash.field("ACR", 0, 4), limits, "2.7 to 3.6 V")
        # RM0368, 5.4.1, and RM0390, 5.4.1: VOS.
        scales = {1: (168, 180), 2: (144, 168), 3: (120, 120)} if self._large else {2: (84, 84), 3: (60, 60)}
        check_scale(self._pwr, hclk_hz, scales)
        check_bus(chip.rcc, {"APB1": 45, "APB2": 90} if self._large else {"APB1": 42, "APB2": 84})
