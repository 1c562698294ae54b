"""The core's own registers: system control, SysTick, DWT, MPU, caches (ARM DDI 0403E and DDI 0553B).

Of the NVIC there are the registers and no interrupt: the firmware of this project enables none, and one that
does is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.virtual.peripherals.base import Peripheral, Register, Wrong

if TYPE_CHECKING:
    from pipeline.virtual.chip import Chip

UNLOCK = 0xC5AC_CE55
# Registers of the NVIC for 240 lines, the most that these cores can have: those that a chip lacks read as
# disabled. Offsets: ARM DDI 0403E, B3.4.3.
NVIC_WORDS = 8
NVIC_ENABLE, NVIC_DISABLE, NVIC_UNPEND = 0x100, 0x180, 0x280
# CPUID of each core, its variant and revision as in ST's parts (ARM DDI 0403E, B3.2.3).
CPUIDS = {"cortex-m4": 0x410F_C241, "cortex-m7": 0x411F_C271, "cortex-m33": 0x410F_D214}


class SystemControl(Peripheral):
    """SCB, SysTick and MPU, all in 0xE000E000 to 0xE000EFFF."""

    def __init__(self, chip: Chip, core: str) -> None:
        self._core = core
        self._systick_since = 0
        self._systick_start = 0
        self._regions: dict[int, tuple[int, int]] = {}
        registers = {
            "ICTR": Register(0x004, NVIC_WORDS - 1, 0),
            "ACTLR": Register(0x008),
            "SYST_CSR": Register(0x010, 0, 0x1_0007),
            "SYST_RVR": Register(0x014, 0, 0xFF_FFFF),
            "SYST_CVR": Register(0x018),
            "SYST_CALIB": Register(0x01C, 0, 0),
            **{
                f"{name}{n}": Register(base + 4 * n)
                for name, base in (("ISER", NVIC_ENABLE), ("ICER", NVIC_DISABLE), ("ICPR", NVIC_UNPEND))
                for n in range(NVIC_WORDS)
            },
            "CPUID": Register(0xD00, CPUIDS[core], 0),
            "ICSR": Register(0xD04),
            "VTOR": Register(0xD08, 0, 0xFFFF_FF80),
            "AIRCR": Register(0xD0C, 0xFA05_0000),
            "SCR": Register(0xD10),
            "CCR": Register(0xD14, 0x200),
            "SHPR1": Register(0xD18),
            "SHPR2": Register(0xD1C),
            "SHPR3": Register(0xD20),
            "SHCSR": Register(0xD24),
            "CFSR": Register(0xD28),
            "HFSR": Register(0xD2C),
            "MMFAR": Register(0xD34),
            "BFAR": Register(0xD38),
            "CPACR": Register(0xD88),
            "MPU_TYPE": Register(0xD90, 0x800, 0),
            "MPU_CTRL": Register(0xD94, 0, 7),
            "MPU_RNR": Register(0xD98, 0, 0xFF),
            "MPU_RBAR": Register(0xD9C),
            "MPU_RASR": Register(0xDA0),
            "DEMCR": Register(0xDFC, 0, 0x010F_07F1),
            "FPCCR": Register(0xF34, 0xC000_0000),
        }
        if core == "cortex-m33":
            registers |= {"MPU_MAIR0": Register(0xDC0), "MPU_MAIR1": Register(0xDC4)}
        if core == "cortex-m7":
            # 4 KB or 16 KB, four ways: enough for the loops that clean by set and way (ARM DDI 0489).
            registers |= {
                "CLIDR": Register(0xD78, 0x0900_0003, 0),
                "CTR": Register(0xD7C, 0x8303_C003, 0),
                "CCSIDR": Register(0xD80, 0xF01F_E019, 0),
                "CSSELR": Register(0xD84, 0, 0xF),
                "ICIALLU": Register(0xF50),
                "ICIMVAU": Register(0xF58),
                "DCIMVAC": Register(0xF5C),
                "DCISW": Register(0xF60),
                "DCCMVAU": Register(0xF64),
                "DCCMVAC": Register(0xF68),
                "DCCSW": Register(0xF6C),
                "DCCIMVAC": Register(0xF70),
                "DCCISW": Register(0xF74),
                "ITCMCR": Register(0xF90, 1),
                "DTCMCR": Register(0xF94, 1),
                "AHBPCR": Register(0xF98, 1),
                "CACR": Register(0xF9C),
            }
        super().__init__(chip, "SCS", 0xE000_E000, gated=False, registers=registers)

    # ---- NVIC: no line is ever enabled or pending ----

    def write(self, offset: int, value: int) -> None:
        for base in (NVIC_ENABLE, NVIC_DISABLE, NVIC_UNPEND):
            word = (offset - base) // 4
            if word not in range(NVIC_WORDS):
                continue
            if base == NVIC_ENABLE and value:
                line = 32 * word + (value & -value).bit_length() - 1
                raise Wrong("INTERRUPT", f"line {line} of the NVIC is enabled: a virtual board has none")
            return
        super().write(offset, value)

    # ---- SysTick: counts down, one instruction a period of HCLK or eight ----

    def write_syst_csr(self, old: int, new: int) -> None:
        if new & 2:
            raise Wrong("INTERRUPT", "SysTick's interrupt is turned on: a virtual board has none")
        if (new ^ old) & 5:
            self._systick_start = self._count(old)
            self._systick_since = self.chip.now()

    def write_syst_cvr(self, old: int, new: int) -> None:
        self._systick_start = 0
        self._systick_since = self.chip.now()

    def _count(self, control: int) -> int:
        if not control & 1:
            return self._systick_start
        period = 1 if control & 4 else 8
        passed = (self.chip.now() - self._systick_since) // period
        return (self._systick_start - passed) % (self.values["SYST_RVR"] + 1)

    def read_syst_cvr(self) -> int:
        return self._count(self.values["SYST_CSR"])

    # ---- system control ----

    def write_aircr(self, old: int, new: int) -> None:
        if new >> 16 != 0x05FA:
            raise Wrong("RESERVED", f"SCB_AIRCR is given {new:#010x} without its key 0x05FA")
        self.values["AIRCR"] = 0xFA05_0000 | new & 0x700
        if new & 4:
            raise Wrong("RESET", "the firmware resets itself (SYSRESETREQ)")

    def write_icsr(self, old: int, new: int) -> None:
        raise Wrong("INTERRUPT", "an exception is made pending through SCB_ICSR: a virtual board has none")

    # ---- MPU: a region without any access is enforced, as the guard of the stack ----

    def _region(self) -> int:
        base = self.values["MPU_RBAR"]
        return base & 15 if base & 16 and self._core != "cortex-m33" else self.values["MPU_RNR"]

    def write_mpu_rasr(self, old: int, new: int) -> None:
        if self._core == "cortex-m33":
            return
        size = 2 << (new >> 1 & 31)
        base = self.values["MPU_RBAR"] & ~31
        if new & 1 and base % size:
            raise Wrong(
                "MPU", f"an MPU region of {size:#x} bytes begins at {base:#010x}, no multiple of that"
            )
        if new & 1 and new >> 24 & 7 == 0:
            self._regions[self._region()] = (base, size)
        else:
            self._regions.pop(self._region(), None)
        self._guard(self.values["MPU_CTRL"])

    def write_mpu_ctrl(self, old: int, new: int) -> None:
        self._guard(new)

    def _guard(self, control: int) -> None:
        self.chip.guard(tuple(self._regions.values()) if control & 1 else ())


class Dwt(Peripheral):
    """CYCCNT counts instructions. On M7 the lock access register has to be opened first."""

    def __init__(self, chip: Chip, core: str) -> None:
        self._locked = core == "cortex-m7"
        self._start = 0
        self._since = 0
        super().__init__(
            chip,
            "DWT",
            0xE000_1000,
            gated=False,
            registers={
                "CTRL": Register(0x00, 0x4000_0000),
                "CYCCNT": Register(0x04),
                "LAR": Register(0xFB0),
                "LSR": Register(0xFB4, 0, 0),
            },
        )

    def _is_on(self) -> bool:
        return bool(self.chip.system.values["DEMCR"] >> 24 & 1)

    def write(self, offset: int, value: int) -> None:
        if offset != self.registers["LAR"].offset and (self._locked or not self._is_on()):
            return
        super().write(offset, value)

    def write_lar(self, old: int, new: int) -> None:
        self._locked = new != UNLOCK and self._locked

    def read_lsr(self) -> int:
        return 1 | self._locked << 1

    def read_cyccnt(self) -> int:
        if not self._is_on() or not self.values["CTRL"] & 1:
            return self._start
        return (self._start + self.chip.now() - self._since) & 0xFFFF_FFFF

    def write_ctrl(self, old: int, new: int) -> None:
        self.values["CTRL"] = old
        self._start = self.read_cyccnt()
        self._since = self.chip.now()
        self.values["CTRL"] = new

    def write_cyccnt(self, old: int, new: int) -> None:
        self._start = new
        self._since = self.chip.now()
