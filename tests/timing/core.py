"""The timing core through ctypes, one instruction at a time: no simulator, no file."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.build import build_library
from pipeline.timing.estimate import NATIVE
from pipeline.timing.instructions import Instruction, decode

FLASH = 0x0800_0000
RAM = 0x2000_0000
FETCH_RAM = 0x1000_0000
STATE_BYTES = 1 << 16  # more than struct machine needs


class CRegion(ctypes.Structure):
    _fields_ = (("origin", ctypes.c_uint32), ("bytes", ctypes.c_uint32))


class CMemory(ctypes.Structure):
    _fields_ = (
        ("flash", CRegion),
        ("wait_states", ctypes.c_uint32),
        ("fetch_miss_extra", ctypes.c_uint32),
        ("data_miss_extra", ctypes.c_uint32),
        ("read_bytes", ctypes.c_uint32),
        ("line_bytes", ctypes.c_uint32),
        ("instruction_lines", ctypes.c_uint32),
        ("data_lines", ctypes.c_uint32),
        ("instruction_ways", ctypes.c_uint32),
        ("data_ways", ctypes.c_uint32),
        ("unified", ctypes.c_bool),
        ("prefetch", ctypes.c_bool),
        ("fetch_ram", CRegion * 8),
        ("fetch_ram_count", ctypes.c_uint32),
    )


class CInstruction(ctypes.Structure):
    _fields_ = (
        ("address", ctypes.c_uint32),
        ("bytes", ctypes.c_uint8),
        ("kind", ctypes.c_uint8),
        ("words", ctypes.c_uint8),
        ("loaded", ctypes.c_int8),
        ("vfp_result", ctypes.c_int8),
        ("bases", ctypes.c_uint32),
        ("written", ctypes.c_uint32),
        ("vfp_operands", ctypes.c_uint32),
    )


class CAccess(ctypes.Structure):
    _fields_ = (("address", ctypes.c_uint32), ("bytes", ctypes.c_uint8), ("store", ctypes.c_bool))


class CCost(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("cycles", "data_stall", "data_misses"))


def load_core(folder: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(build_library([NATIVE / "cycles.c"], [], folder)))
    library.machine_start.argtypes = (ctypes.c_void_p, ctypes.POINTER(CMemory), ctypes.c_bool)
    library.machine_start.restype = None
    library.machine_step.argtypes = (
        ctypes.c_void_p, ctypes.POINTER(CInstruction), ctypes.c_uint32, ctypes.POINTER(CAccess),
        ctypes.c_uint32,
    )  # fmt: skip
    library.machine_step.restype = CCost
    return library


@dataclass(frozen=True)
class Flash:
    """STM32L4R5 at 120 MHz, unless changed."""

    wait_states: int = 5
    fetch_miss_extra: int = 0
    data_miss_extra: int = 1
    read_bytes: int = 8
    line_bytes: int = 32
    instruction_lines: int = 32
    data_lines: int = 8
    instruction_ways: int = 0
    data_ways: int = 0
    unified: bool = False
    prefetch: bool = False


@dataclass
class Machine:
    """One run of the core."""

    core: ctypes.CDLL
    flash: Flash = field(default_factory=Flash)
    flat: bool = False

    def __post_init__(self) -> None:
        self._state = ctypes.create_string_buffer(STATE_BYTES)
        self.data_misses = 0
        f = self.flash
        memory = CMemory(
            CRegion(FLASH, 1 << 20), f.wait_states, f.fetch_miss_extra, f.data_miss_extra, f.read_bytes,
            f.line_bytes, f.instruction_lines, f.data_lines, f.instruction_ways, f.data_ways, f.unified,
            f.prefetch, (CRegion * 8)(CRegion(FETCH_RAM, 1 << 16)), 1,
        )  # fmt: skip
        self.core.machine_start(self._state, ctypes.byref(memory), self.flat)

    def step(
        self, one: Instruction, following: int | None = None, *accesses: tuple[int, int, bool]
    ) -> tuple[int, int]:
        """Cycles and data stall of one instruction; `following` is where it branches to."""
        wanted = CInstruction(
            one.address, one.bytes, int(one.kind), one.words, one.loaded, one.vfp_result, one.bases,
            one.written, one.vfp_operands,
        )  # fmt: skip
        array = (CAccess * max(1, len(accesses)))(*(CAccess(*access) for access in accesses))
        goes_to = one.end if following is None else following
        cost = self.core.machine_step(self._state, ctypes.byref(wanted), goes_to, array, len(accesses))
        self.data_misses += cost.data_misses
        return cost.cycles, cost.data_stall


def assemble(text: str, address: int = FLASH) -> list[Instruction]:
    """Instructions of halfwords in hexadecimal, as a disassembler prints them: `6808 f8d1 0004`."""
    content = b"".join(int(word, 16).to_bytes(2, "little") for word in text.split())
    found = list(decode(content, address))
    assert sum(one.bytes for one in found) == len(content), f"capstone does not know all of {text}"
    return found
