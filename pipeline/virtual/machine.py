"""The processor: Unicorn with a board's memory, the chip's registers, and an exact count of instructions."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.boards import Board, Memory
from pipeline.build import build_library, function_at
from pipeline.errors import BuildFailed, TargetFailed
from pipeline.virtual.chip import Chip, Family
from pipeline.virtual.line import LineLost, SocketLine
from pipeline.virtual.peripherals.base import Wrong

# What else wants to see the processor run: given it before it starts, it adds its own hooks.
Attach = Callable[[Any], None]
PAGE = 0x1000
FOREVER = 1 << 62
# Where registers live: peripherals, and the core's own (ARMv7-M, B3.1).
REGISTER_SPACES = ((0x4000_0000, 0x2000_0000), (0xE000_0000, 0x0010_0000))
JOIN_S = 5.0
POLL_S = 0.02
NULL_BYTES = PAGE
# What Unicorn says of an exception that it does not take: QEMU's numbers (target/arm/cpu.h).
EXCEPTIONS = {1: "UsageFault: undefined instruction", 2: "SVC, which has no handler here",
              3: "BusFault: fetch", 4: "BusFault: data", 7: "BKPT, which has no debugger here",
              8: "UsageFault: return from an exception that is not active",
              18: "UsageFault: not in Thumb state", 19: "UsageFault: stack overflow"}  # fmt: skip
NATIVE = Path(__file__).parent / "native" / "count.c"
ONLY_EXECUTED = "instructions that an IT skips are not counted: {}"
PROBE_COUNTS = (12_345, 23_457)
PROBE_WORDS = 512


@cache
def _counter_offset() -> int:
    """Where Unicorn keeps the number of instructions it has executed, in its own structure.

    It counts in C and at full speed for `emu_start(count=)`, but has no call that tells the number. So two
    known numbers are executed, and the one word that held both is it. This count leaves out what an IT
    skips, and is used where native/count.c cannot be compiled.
    """
    import unicorn

    places: set[int] = set(range(PROBE_WORDS))
    for count in PROBE_COUNTS:
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        uc.mem_map(0, 0x1_0000)
        uc.mem_write(0, b"\x00\xbf" * 0x8000)  # nop
        uc.emu_start(1, 2 * count, count=FOREVER)
        words = (ctypes.c_uint64 * PROBE_WORDS).from_address(_address(uc))
        places &= {place for place, word in enumerate(words) if word == count}
    if len(places) != 1:
        raise BuildFailed(
            f"this Unicorn ({unicorn.__version__}) does not show its instruction counter",
            code="E_UNICORN",
            hint="install the version that pyproject.toml names",
        )
    return 8 * places.pop()


def _address(uc: Any) -> int:
    return int(ctypes.cast(uc._uch, ctypes.c_void_p).value or 0)


class Machine:
    """One boot of one image. `start` it, talk to `port`, and `stop` it; `failure` tells why it ended."""

    def __init__(
        self,
        elf: Path,
        board: Board,
        family: Family,
        port: int | None = None,
        attach: Attach | None = None,
        *,
        patient: bool = False,
    ) -> None:
        self.failure: TargetFailed | None = None
        self._elf = elf
        self._board = board
        self._stopping = threading.Event()
        self.notes: tuple[str, ...] = ()
        self._memory: list[tuple[int, int, int, int]] = []
        """(origin, bytes, rights, address in this process) of all that is mapped."""
        self._guards: tuple[tuple[int, int], ...] = ()
        self._access: tuple[int, int] | None = None
        self._exception = 0
        self._line = SocketLine(port)
        self.port = self._line.port
        try:
            self._make(family, patient)
            if attach is not None:
                attach(self._uc)
        except BaseException:
            self._line.close()
            raise
        self._thread = threading.Thread(target=self._run, name="virtual board", daemon=True)

    def _make(self, family: Family, patient: bool) -> None:
        import unicorn
        from unicorn import arm_const

        self._uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        models = {
            "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
            "cortex-m7": arm_const.UC_CPU_ARM_CORTEX_M7,
            "cortex-m33": arm_const.UC_CPU_ARM_CORTEX_M33,
        }
        self._uc.ctl_set_cpu_model(models[self._board.cpu])
        self._map_memory()
        self._now = self._count_blocks() or self._count_executed()
        self._chip = Chip(family, self._board, self._line, self._now, self._guard, patient=patient)
        for base, length in REGISTER_SPACES:
            self._uc.mmio_map(base, length, self._read, base, self._write, base)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._invalid)
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)
        self._load()

    # ---- counting ----

    def _count_blocks(self) -> Callable[[], int] | None:
        """Count in C, or None, with a note, where nothing can be compiled."""
        import unicorn
        from unicorn import arm_const
        from unicorn.unicorn_py3.unicorn import uclib

        try:
            library = ctypes.CDLL(str(build_library([NATIVE], ["-fvisibility=default"], self._elf.parent)))
        except (BuildFailed, OSError) as error:
            self.notes = (ONLY_EXECUTED.format(error),)
            return None
        library.count_until.restype = ctypes.c_uint64
        library.count_reset()
        for origin, length, _, where in self._memory:
            library.count_region(ctypes.c_uint32(origin), ctypes.c_uint32(length), ctypes.c_void_p(where))
        self._library = library
        hook = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            self._uc._uch, ctypes.byref(hook), unicorn.UC_HOOK_BLOCK,
            ctypes.cast(library.count_block, ctypes.c_void_p), None, ctypes.c_uint64(1), ctypes.c_uint64(0),
        )  # fmt: skip
        assert status == unicorn.UC_ERR_OK

        def count() -> int:
            return int(library.count_until(self._uc.reg_read(arm_const.UC_ARM_REG_PC)))

        return count

    def _count_executed(self) -> Callable[[], int]:
        counter = ctypes.c_uint64.from_address(_address(self._uc) + _counter_offset())
        return lambda: int(counter.value)

    # ---- memory ----

    def _map_memory(self) -> None:
        """Each region as its access says; RAM holds noise, as after power-on."""
        noise = np.random.default_rng(0)
        self._buffers = []
        own = [region for region in self._board.memory if region.alias is None]
        for region in own:
            buffer = ctypes.create_string_buffer(region.length_bytes + PAGE)
            where = ctypes.addressof(buffer) + -ctypes.addressof(buffer) % PAGE
            content = (
                noise.bytes(region.length_bytes) if "w" in region.access else b"\xff" * region.length_bytes
            )
            ctypes.memmove(where, content, region.length_bytes)
            self._buffers.append(buffer)
            self._map(region, where)
            for other in self._board.memory:
                if other.alias is not None and region.origin <= other.alias < region.end:
                    self._map(other, where + other.alias - region.origin)

    def _map(self, region: Memory, where: int) -> None:
        """The first page of the address space stays empty, so that a null pointer is noticed there."""
        skip = NULL_BYTES if region.origin == 0 and not self._uses_first_page() else 0
        rights = sum({"r": 1, "w": 2, "x": 4}[letter] for letter in region.access)
        origin, length = region.origin + skip, region.length_bytes - skip
        self._uc.mem_map_ptr(origin, length, rights, ctypes.c_void_p(where + skip))
        self._memory.append((origin, length, rights, where + skip))

    def _uses_first_page(self) -> bool:
        from elftools.elf.elffile import ELFFile

        with self._elf.open("rb") as file:
            return any(
                segment["p_memsz"] and segment["p_vaddr"] < NULL_BYTES
                for segment in ELFFile(file).iter_segments()
                if segment["p_type"] == "PT_LOAD"
            )

    def _guard(self, regions: tuple[tuple[int, int], ...]) -> None:
        """Take every right from these regions, and give the others back what they had."""
        for wanted, rights in ((self._guards, None), (regions, 0)):
            for base, size in wanted:
                for origin, length, own, _ in self._memory:
                    low, high = max(base, origin) & -PAGE, min(base + size, origin + length) & -PAGE
                    if low < high:
                        self._uc.mem_protect(low, high - low, own if rights is None else rights)
        self._guards = regions

    def _load(self) -> None:
        from elftools.elf.elffile import ELFFile
        from unicorn import arm_const

        with self._elf.open("rb") as file:
            for segment in ELFFile(file).iter_segments():
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                    self._uc.mem_write(int(segment["p_paddr"]), segment.data())
        stack, reset = struct.unpack("<II", self._uc.mem_read(self._board.region("flash").origin, 8))
        self._uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
        self._reset = reset

    # ---- running ----

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Leave nothing running; from any thread."""
        self._stopping.set()
        self._line.close()
        for _ in range(int(JOIN_S / POLL_S)):
            if not self._thread.is_alive():
                break
            # Asked again, since a request before the first instruction is forgotten.
            self._uc.emu_stop()
            self._thread.join(POLL_S)

    def wait(self) -> None:
        """Until it has ended by itself, or for a few seconds."""
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        import unicorn

        try:
            self._line.accept()
            self._uc.emu_start(self._reset | 1, 0xFFFF_FFFE, count=FOREVER)
        except unicorn.UcError as error:
            self._fault(str(error))
        except LineLost:
            pass
        except Exception as error:  # whatever went wrong is the host's to tell, in its own thread
            self.failure = self.failure or TargetFailed(
                f"the virtual board broke: {error!r}", code="E_VIRTUAL"
            )
        else:
            if not self._stopping.is_set() and self.failure is None:
                self._ended()
        finally:
            with suppress(LineLost):
                self._line.flush()
            self._line.close()

    def _ended(self) -> None:
        if self._exception:
            name = EXCEPTIONS.get(self._exception, f"exception {self._exception}")
            self._fail("E_TARGET_FAULT", f"the firmware faulted{self._layer()}: {name}", None)
        elif not self._line_was_lost:
            self._fail("E_VIRTUAL_HALTED", "the core sleeps (WFI or WFE), and no interrupt can wake it", None)

    _line_was_lost = False

    # ---- what Unicorn calls ----

    def _guarded(self, action: Callable[[], int]) -> int:
        """Errors end the run, and stay those of the first instruction that made one."""
        if self.failure is not None or self._line_was_lost:
            return 0
        try:
            return action()
        except Wrong as wrong:
            self._fail(wrong.code, wrong.problem, wrong.hint)
        except LineLost:
            self._line_was_lost = True
        self._uc.emu_stop()
        return 0

    def _read(self, uc: Any, offset: int, size: int, base: int) -> int:
        return self._guarded(lambda: self._chip.read(base + offset, size))

    def _write(self, uc: Any, offset: int, size: int, value: int, base: int) -> None:
        def write() -> int:
            self._chip.write(base + offset, size, value)
            return 0

        self._guarded(write)

    def _invalid(self, uc: Any, access: int, address: int, size: int, value: int, context: Any) -> bool:
        self._access = (access, address)
        return False

    def _interrupt(self, uc: Any, number: int, context: Any) -> None:
        self._exception = number
        uc.emu_stop()

    # ---- what went wrong ----

    def _fail(self, code: str, problem: str, hint: str | None) -> None:
        from unicorn import arm_const

        pc = self._uc.reg_read(arm_const.UC_ARM_REG_PC)
        self.failure = TargetFailed(
            f"{problem}, at {self._place(pc)}", code=code, hint=hint, details=self._registers()
        )

    def _place(self, address: int) -> str:
        function = function_at(self._elf, address & ~1)
        return f"{address:#010x} ({function})" if function else f"{address:#010x}"

    def _registers(self) -> list[str]:
        from unicorn import arm_const

        names = ("pc", "lr", "sp", "r0", "r1", "r2", "r3", "r12")
        values = {name: self._uc.reg_read(getattr(arm_const, f"UC_ARM_REG_{name.upper()}")) for name in names}
        return [
            " ".join(f"{name}={value:08x}" for name, value in values.items()),
            f"lr lies in {self._place(values['lr'])}",
        ]

    def _fault(self, words: str) -> None:
        """A memory error or an undefined instruction, which hardware takes as an exception."""
        import unicorn
        from unicorn import arm_const

        kinds = {
            unicorn.UC_MEM_READ_UNMAPPED: "reads", unicorn.UC_MEM_READ_PROT: "reads",
            unicorn.UC_MEM_WRITE_UNMAPPED: "writes", unicorn.UC_MEM_WRITE_PROT: "writes",
            unicorn.UC_MEM_FETCH_UNMAPPED: "executes", unicorn.UC_MEM_FETCH_PROT: "executes",
        }  # fmt: skip
        hint = None
        if self._access is None:
            problem = "UsageFault: undefined instruction"
        else:
            access, address = self._access
            problem = f"BusFault: it {kinds.get(access, 'touches')} {address:#010x}"
            stack = self._uc.reg_read(arm_const.UC_ARM_REG_SP)
            low = self._symbol("stack_low")
            if (
                low is not None
                and (stack < low or low - 0x1_0000 <= address < low)
                and kinds.get(access) != "executes"
            ):
                problem = (
                    f"stack overflow: it {kinds.get(access, 'touches')} {address:#010x}, "
                    f"and the stack ends at {low:#010x}"
                )
                hint = "give the board more with the key stack"
            elif address < NULL_BYTES:
                problem += ", through a null pointer"
                hint = "hardware may alias flash or RAM there and go on with what it finds"
            elif any(origin <= address < origin + length for origin, length, _, _ in self._memory):
                problem += ", which is not allowed there"
        self._fail("E_TARGET_FAULT", f"the firmware faulted{self._layer()}: {problem}", hint)

    def _layer(self) -> str:
        address = self._symbol("harness_layer")
        if address is None:
            return ""
        layer = struct.unpack("<I", self._uc.mem_read(address, 4))[0]
        return "" if layer == 0xFFFF_FFFF else f" in layer {layer}"

    def _symbol(self, name: str) -> int | None:
        from elftools.elf.elffile import ELFFile
        from elftools.elf.sections import SymbolTableSection

        with self._elf.open("rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            found = table.get_symbol_by_name(name) if isinstance(table, SymbolTableSection) else None
            return int(found[0]["st_value"]) if found else None
