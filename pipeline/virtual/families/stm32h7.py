"""STM32H742, H743, H753 (RM0433), silicon revision V. Offsets and bits: stm32h743xx.h of cmsis_device_h7."""

from __future__ import annotations

from typing import ClassVar

from pipeline.virtual.chip import Chip, Family, check_bus, check_latency
from pipeline.virtual.peripherals.base import START_UP, Peripheral, Register, Wrong
from pipeline.virtual.peripherals.gpio import Gpio
from pipeline.virtual.peripherals.rcc import MHZ, Field, Oscillator, Rcc
from pipeline.virtual.peripherals.timer import Timer
from pipeline.virtual.peripherals.usart import Usart

DIVIDERS = (2, 4, 8, 16, 64, 128, 256, 512)
# By voltage scale. Highest AXI clock in MHz by wait states, and by WRHIGHFREQ: RM0433, table 17.
WAIT_STATES = {
    0: (70, 140, 210, 225, 240),
    1: (70, 140, 210, 225),
    2: (55, 110, 165, 225),
    3: (45, 90, 135, 180, 225),
}
PROGRAM_DELAYS = {
    0: (70, 185, 240, 240),
    1: (70, 185, 225, 225),
    2: (55, 165, 225, 225),
    3: (45, 135, 225, 225),
}
# Highest clock of core, of AXI and AHB, and of each APB in MHz: DS12110, table 22.
MOST_MHZ = {0: (480, 240, 120), 1: (400, 200, 100), 2: (300, 150, 75), 3: (200, 100, 50)}
PORTS = "ABCDEFGHIJK"


class H7Rcc(Rcc):
    """RM0433, 8.7."""

    oscillators: ClassVar = {
        "HSI": Oscillator(Field("CR", 0), Field("CR", 2), 64 * MHZ),
        "CSI": Oscillator(Field("CR", 7), Field("CR", 8), 4 * MHZ),
        "PLL": Oscillator(Field("CR", 24), Field("CR", 25)),
    }
    switch = Field("CFGR", 0, 3)
    switched = Field("CFGR", 3, 3)
    sources = ("HSI", "CSI", "HSE", "PLL")
    hpre = Field("D1CFGR", 0, 4)
    ppre: ClassVar = {
        "APB1": Field("D2CFGR", 4, 3),
        "APB2": Field("D2CFGR", 8, 3),
        "APB3": Field("D1CFGR", 4, 3),
        "APB4": Field("D3CFGR", 4, 3),
    }
    gates: ClassVar = {
        **{f"GPIO{letter}": ("AHB4ENR", number) for number, letter in enumerate(PORTS)},
        "SYSCFG": ("APB4ENR", 1), "TIM2": ("APB1LENR", 0), "TIM5": ("APB1LENR", 3),
        "USART2": ("APB1LENR", 17), "USART3": ("APB1LENR", 18), "USART1": ("APB2ENR", 4),
    }  # fmt: skip
    bus_of: ClassVar = {
        "USART1": "APB2", "USART2": "APB1", "USART3": "APB1", "TIM2": "APB1", "TIM5": "APB1",
    }  # fmt: skip
    kernel_selects: ClassVar = {
        name: (Field("D2CCIP2R", shift, 3), ("PCLK", "PLL2", "PLL3", "HSI", "CSI", "LSE"))
        for name, shift in (("USART2", 0), ("USART3", 0), ("USART1", 3))
    }

    def __init__(self, chip: Chip) -> None:
        registers = {
            # HSIDIVF, D1CKRDY, D2CKRDY and all ready flags are the hardware's.
            "CR": Register(0x00, 0x83, 0x3F0F_F3BF, 0x2A02_E124),
            "CFGR": Register(0x10, 0, 0xFFFC_FFFF, 0x38),
            "D1CFGR": Register(0x18, 0, 0xF7F),
            "D2CFGR": Register(0x1C, 0, 0x770),
            "D3CFGR": Register(0x20, 0, 0x70),
            "PLLCKSELR": Register(0x28, 0x0202_0200, 0x03F3_F3F3),
            "PLLCFGR": Register(0x2C, 0x01FF_0000, 0x01FF_0FFF),
            "PLL1DIVR": Register(0x30, 0x0101_0280, 0x7F7F_FFFF),
            "PLL1FRACR": Register(0x34, 0, 0xFFF8),
            "D1CCIPR": Register(0x4C, 0, 0x3001_0033),
            "D2CCIP1R": Register(0x50, 0, 0xB137_71C7),
            "D2CCIP2R": Register(0x54, 0, 0x70F0_333F),
            "D3CCIPR": Register(0x58, 0, 0x77E3_FF07),
            "CIER": Register(0x60, 0, 0x3FF),
            "RSR": Register(0xD0, 0x00FE_0000, 0x55FF_0000),
            "AHB3ENR": Register(0xD4, 0, 0x1_5031),
            "AHB1ENR": Register(0xD8, 0, 0x1E03_8023),
            "AHB2ENR": Register(0xDC, 0, 0xE000_0241),
            "AHB4ENR": Register(0xE0, 0, 0x1328_07FF),
            "APB3ENR": Register(0xE4, 0, 0x48),
            "APB1LENR": Register(0xE8, 0, 0xE8FF_C3FF),
            "APB1HENR": Register(0xEC, 0, 0x136),
            "APB2ENR": Register(0xF0, 0, 0x31D7_3033),
            "APB4ENR": Register(0xF4, 0x1_0000, 0x21_DEAA),
        }
        super().__init__(chip, "RCC", 0x5802_4400, gated=False, registers=registers)

    def hertz(self, source: str) -> int:
        if source == "HSI":
            return 64 * MHZ >> self.field("CR", 3, 2)
        return super().hertz(source)

    def core_hz(self) -> int:
        code = self.field("D1CFGR", 8, 4)
        return self.sysclk_hz() // (1 if code < 8 else DIVIDERS[code - 8])

    def hclk_hz(self) -> int:
        code = self.take(self.hpre)
        return self.core_hz() // (1 if code < 8 else DIVIDERS[code - 8])

    def pll_source(self) -> str:
        return ("HSI", "CSI", "HSE", "no clock")[self.field("PLLCKSELR", 0, 2)]

    def pll_configuration(self) -> tuple[int, ...]:
        return (
            self.values["PLLCKSELR"] & 0x3F3,
            self.values["PLLCFGR"] & 0xE,
            self.values["PLL1DIVR"] & 0xFFFF,
        )

    def pll_hz(self) -> int:
        """RM0433, 8.7.11 to 8.7.13, and DS12110, PLL characteristics of revision V."""
        m = self.factor("DIVM1", self.field("PLLCKSELR", 4, 6), 1, 63)
        n = self.factor("DIVN1", self.field("PLL1DIVR", 0, 9) + 1, 4, 512)
        p = self.field("PLL1DIVR", 9, 7) + 1
        if p > 1 and p % 2:
            raise Wrong("PLL", f"DIVP1 divides by {p}: odd factors are not allowed")
        fraction = self.field("PLL1FRACR", 3, 13) / 8192 if self.field("PLLCFGR", 0) else 0
        fed = self.fed() / m
        low = MHZ << self.field("PLLCFGR", 2, 2)
        self.within("PLL input / DIVM1, for this PLL1RGE,", fed, low, 2 * low)
        vco = fed * (n + fraction)
        medium = self.field("PLLCFGR", 1)
        self.within("VCO output", vco, *((150 * MHZ, 420 * MHZ) if medium else (192 * MHZ, 960 * MHZ)))
        self.within("pll1_p_ck", vco / p, 1.5 * MHZ, 480 * MHZ)
        return int(vco / p)

    def _switch_to(self, source: str) -> None:
        if source == "PLL" and not self.field("PLLCFGR", 16):
            raise Wrong("CLOCK", "the core is switched to PLL1, whose output P is not enabled (DIVP1EN)")
        super()._switch_to(source)


class H7Pwr(Peripheral):
    """RM0433, 6.8: the supply is configured once, then the voltage scale may be changed."""

    def __init__(self, chip: Chip) -> None:
        self._configured = False
        self.over_drive = False
        super().__init__(
            chip,
            "PWR",
            0x5802_4800,
            gated=False,
            registers={
                "CR1": Register(0x00, 0xF000_C000, 0x7_C3F1),
                "CSR1": Register(0x04, 0x4000, 0, 0x1_E010),
                "CR2": Register(0x08, 0, 0x11, 0xF1_0000),
                "CR3": Register(0x0C, 0x6, 0x300_0307, 0x400_0000),
                "CPUCR": Register(0x10),
                "D3CR": Register(0x18, 0x4000, 0xC000, 0x2000),
            },
        )
        self.raise_later("D3CR", 13, 0)

    def write_cr3(self, old: int, new: int) -> None:
        if not new & 3:
            raise Wrong("VOLTAGE", "PWR_CR3 turns the LDO off, which supplies this board's core")
        self._configured = True
        self.raise_later("CSR1", 13)

    def write_d3cr(self, old: int, new: int) -> None:
        if not new >> 14 & 3:
            raise Wrong("VOLTAGE", "PWR_D3CR VOS is 0, which is reserved")
        if (old ^ new) >> 14 & 3:
            if not self._configured:
                raise Wrong("VOLTAGE", "PWR_D3CR VOS is changed before the supply was configured (PWR_CR3)")
            self.raise_later("D3CR", 13)
        self.chip.clock_changed()

    def set_over_drive(self, on: bool) -> None:
        """VOS0, from VOS1 only: RM0433, 6.6.2."""
        if on and not (self.field("D3CR", 14, 2) == 3 and self.is_raised("D3CR", 13)):
            raise Wrong("VOLTAGE", "ODEN is set while voltage scale 1 is not ready")
        if on != self.over_drive:
            self.raise_later("D3CR", 13, 2 * START_UP)
        self.over_drive = on
        self.chip.clock_changed()

    def scale(self) -> int:
        """What may be relied on: the lowest voltage until the one asked for is ready."""
        if not self.is_raised("D3CR", 13):
            return 3 if not self.over_drive else 1
        return 0 if self.over_drive else 4 - self.field("D3CR", 14, 2)


class H7Flash(Peripheral):
    """RM0433, 4.9.1."""

    def write_acr(self, old: int, new: int) -> None:
        self.chip.clock_changed()


class H7Syscfg(Peripheral):
    """RM0433, 12.3: the bit that turns scale 1 into scale 0."""

    def __init__(self, chip: Chip, pwr: H7Pwr) -> None:
        self._pwr = pwr
        registers = {"PMCR": Register(0x04, 0, 0x0FE0_03FF), "PWRCR": Register(0x2C, 0, 1)}
        super().__init__(chip, "SYSCFG", 0x5800_0400, registers=registers)

    def write_pwrcr(self, old: int, new: int) -> None:
        self._pwr.set_over_drive(bool(new & 1))


class Stm32H7(Family):
    """H743."""

    name = "stm32h7"
    devices = ("STM32H743",)
    pins: ClassVar = {  # DS12110, alternate functions
        ("USART1", "TX"): {"PA9": 7, "PB6": 7, "PB14": 4},
        ("USART1", "RX"): {"PA10": 7, "PB7": 7, "PB15": 4},
        ("USART2", "TX"): {"PA2": 7, "PD5": 7},
        ("USART2", "RX"): {"PA3": 7, "PD6": 7},
        ("USART3", "TX"): {"PB10": 7, "PC10": 7, "PD8": 7},
        ("USART3", "RX"): {"PB11": 7, "PC11": 7, "PD9": 7},
    }

    def populate(self, chip: Chip) -> Rcc:
        rcc = H7Rcc(chip)
        self._pwr = H7Pwr(chip)
        self._flash = H7Flash(
            chip, "FLASH", 0x5200_2000, gated=False, registers={"ACR": Register(0x00, 0x37, 0x3F)}
        )
        H7Syscfg(chip, self._pwr)
        for number, letter in enumerate(PORTS):
            Gpio(
                chip,
                letter,
                0x5802_0000 + 0x400 * number,
                mode_reset=Gpio.mode_resets.get(letter, 0xFFFF_FFFF),
                pull_reset={"A": 0x6400_0000, "B": 0x100}.get(letter, 0),
            )
        Timer(chip, "TIM2", 0x4000_0000)
        Timer(chip, "TIM5", 0x4000_0C00)
        for name, base in (("USART1", 0x4001_1000), ("USART2", 0x4000_4400), ("USART3", 0x4000_4800)):
            Usart(chip, name, base)
        return rcc

    def check_clock(self, chip: Chip) -> None:
        rcc, scale = chip.rcc, self._pwr.scale()
        core, bus, apb = MOST_MHZ[scale]
        for what, hertz, most in (("the core", rcc.core_hz(), core), ("AXI", rcc.hclk_hz(), bus)):
            if hertz > most * MHZ:
                raise Wrong(
                    "VOLTAGE",
                    f"{what} runs at {hertz / MHZ:g} MHz, voltage scale {scale} allows {most} MHz",
                    "raise the regulator's voltage, and wait for VOSRDY, before the clock",
                )
        where = f"voltage scale {scale}"
        check_latency(rcc.hclk_hz(), self._flash.field("ACR", 0, 4), WAIT_STATES[scale], where)
        delay = self._flash.field("ACR", 4, 2)
        if rcc.hclk_hz() > PROGRAM_DELAYS[scale][delay] * MHZ:
            raise Wrong(
                "LATENCY", f"WRHIGHFREQ is {delay}, too low for {rcc.hclk_hz() / MHZ:g} MHz in {where}"
            )
        # Out of reset the buses run at the 64 MHz of HSI in scale 3, more than the data sheet's table says.
        if rcc.source() == "PLL":
            check_bus(rcc, dict.fromkeys(("APB1", "APB2", "APB3", "APB4"), apb))
