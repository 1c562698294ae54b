"""Kernels for Arm cores, called one by one in Unicorn, as ctypes would call them on an Arm host."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const as arm

from pipeline.boards import load_board
from pipeline.kernels.base import Candidate
from pipeline.timing.board import timing_model
from pipeline.timing.hooks import UnicornHooks
from pipeline.timing.instructions import read_image
from pipeline.timing.profile import Figures, Watch, profile_table, read_profile

TEMPLATES = Path(__file__).parents[2] / "firmware_templates"
HERE = Path(__file__).parent
FLAGS = (
    "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard -O2 -g -std=c11 -Wall -Wextra "
    "-Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes -Wdouble-promotion -Werror"
).split()
FLASH, SRAM2, RAM = (0x0800_0000, 2 << 20), (0x1000_0000, 64 << 10), (0x2000_0000, 640 << 10)
CONSTANTS = FLASH[0] + (256 << 10)
STACK = RAM[0] + RAM[1]
STACK_BYTES = 4096
PAINT = b"\x5a"
BUFFERS = RAM[0] + 4096
RETURN = FLASH[0] + FLASH[1] - 16
GUARD = 64
"""Bytes around each buffer that no kernel may touch."""


@dataclass(frozen=True, slots=True)
class Portion:
    """One call of a kernel: from which output row on, how many, and the rows [low, high) that it reads.

    Of a kernel that accumulates, first row and count are those of its input.
    """

    first: int
    count: int
    reads: tuple[tuple[int, int], ...]

    @property
    def rows(self) -> tuple[int, int]:
        return self.first, self.count


@dataclass(frozen=True, slots=True)
class Called:
    """What came of a kernel's calls."""

    output: np.ndarray
    instructions: int
    figures: Figures | None
    """With the timing core's cycles (NUCLEO-L4R5ZI), where they were asked for."""
    stack_bytes: int


class ArmKernels:
    """All kernels of the given libraries in one image."""

    def __init__(self, folder: Path, libraries: Sequence[str] = ("cortex_m4",)) -> None:
        self.folder = folder
        sources = [HERE / "driver.S"]
        for library in libraries:
            root = TEMPLATES / "kernels" / library
            sources += sorted([*root.glob("*.c"), *root.glob("*.S")])
        objects = []
        for source in sources:
            made = folder / f"{source.parent.name}_{source.name}.o"
            subprocess.run(
                ["arm-none-eabi-gcc", *FLAGS, f"-I{TEMPLATES}", "-c", str(source), "-o", str(made)],
                check=True,
            )
            objects.append(str(made))
        self.blocks: dict[tuple[int, int], int] = {}
        self.elf = folder / "kernels.elf"
        subprocess.run(
            ["arm-none-eabi-gcc", *FLAGS[:4], "-nostartfiles", f"-Wl,-T,{HERE / 'link.ld'},-e,run_layers",
             "-o", str(self.elf), *objects, "-lgcc", "-lc", "-lnosys"],
            check=True,
        )  # fmt: skip
        with self.elf.open("rb") as file:
            image = ELFFile(file)
            symbols = image.get_section_by_name(".symtab").iter_symbols()
            self.symbols = {symbol.name: symbol["st_value"] for symbol in symbols}
            self.segments = [
                (segment["p_paddr"], segment.data())
                for segment in image.iter_segments()
                if segment["p_type"] == "PT_LOAD"
            ]

    def run(
        self,
        candidate: Candidate,
        inputs: Sequence[np.ndarray],
        output: tuple[int, ...],
        *,
        portions: Sequence[Portion] = (),
        ring_rows: int | None = None,
        over: int | None = None,
        cycles: bool = False,
    ) -> Called:
        """The output of one layer; maps are (1, height, width, channels) or (rows, features).

        `portions` are the calls, one for all rows by default. With `ring_rows`, all maps lie in rings of so
        many rows: before a call just the input rows that it reads are there (rows that are not are noise),
        after it the output rows are taken out. `over` is the input whose memory the output is written to.
        `cycles` asks for the timing core's (NUCLEO-L4R5ZI).
        """
        height = _rows(np.empty(output, np.int8))
        seen = _rows(inputs[0]) if candidate.accumulates else height
        portions = portions or [Portion(0, seen, tuple((0, _rows(x)) for x in inputs))]
        uc = self._processor()
        memory = _Memory(uc, self.symbols)
        struct = memory.constants(candidate.parameters(), candidate.in_ram, candidate.prepared)
        if candidate.prepared:
            prepare = self.symbols[f"{candidate.kernel}_prepare_{candidate.library}"] | 1
            self._call(uc, memory.words([prepare, struct, *[0] * 9]))
        state = memory.buffer(memory.noise.bytes(candidate.scratch_bytes + candidate.state_bytes))
        maps = [_Map(memory, x, ring_rows) for x in inputs]
        made = _Map(memory, np.zeros(output, np.int8), ring_rows) if over is None else maps[over]
        function = self.symbols[f"{candidate.kernel}{candidate.entry}_{candidate.library}"] | 1
        result, counted = np.zeros((height, int(np.prod(output)) // height), np.int8), 0
        figures = Figures()
        for portion in portions:
            for each, (low, high) in zip(maps, portion.reads, strict=True):
                each.show(low, high)
            arguments = [struct, *(each.address for each in maps), made.address, state, *portion.rows]
            listed = memory.words([function, *arguments, *[0] * (10 - len(arguments))])
            if cycles:
                figures += self._profile(uc, listed)
            else:
                counted += self._count(uc, listed)
            first, count = portion.rows
            made_rows = range(height) if candidate.accumulates else range(first, min(first + count, height))
            for row in made_rows:
                result[row] = made.row(row)
        memory.check()
        return Called(result.reshape(output), counted, figures if cycles else None, self._stack(uc))

    def _count(self, uc: Any, listed: int) -> int:
        """One call; the instructions it executed, those that an IT skips among them."""
        counted = 0

        def count(uc: Any, address: int, size: int, user: Any) -> None:
            nonlocal counted
            if (address, size) not in self.blocks:
                halves = np.frombuffer(bytes(uc.mem_read(address, size)), np.uint16)
                # The first half of a 32-bit instruction begins with 0b11101, 0b11110 or 0b11111.
                at = count = 0
                while at < len(halves):
                    at += 2 if halves[at] >> 11 in (0x1D, 0x1E, 0x1F) else 1
                    count += 1
                self.blocks[address, size] = count
            counted += self.blocks[address, size]

        hook = uc.hook_add(unicorn.UC_HOOK_BLOCK, count)
        self._call(uc, listed)
        uc.hook_del(hook)
        return counted

    @staticmethod
    def _stack(uc: Any) -> int:
        """Bytes of stack that were written, the driver's own among them."""
        return len(bytes(uc.mem_read(STACK - STACK_BYTES, STACK_BYTES)).lstrip(PAINT))

    def _processor(self) -> Any:
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
        for (start, size), rights in ((FLASH, 5), (SRAM2, 7), (RAM, 7)):
            uc.mem_map(start, size, rights)
        for address, content in self.segments:
            uc.mem_write(address, content)
        uc.mem_write(STACK - STACK_BYTES, PAINT * STACK_BYTES)
        return uc

    def _call(self, uc: Any, listed: int, entry: str = "run_layers") -> None:
        for register, value in (
            (arm.UC_ARM_REG_SP, STACK), (arm.UC_ARM_REG_LR, RETURN | 1),
            (arm.UC_ARM_REG_R0, listed), (arm.UC_ARM_REG_R1, 1), (arm.UC_ARM_REG_R2, 0),
        ):  # fmt: skip
            uc.reg_write(register, value)
        uc.emu_start(self.symbols[entry] | 1, RETURN)

    def _profile(self, uc: Any, listed: int) -> Figures:
        """One call under the timing core, which counts the second of two."""
        board = load_board("nucleo_l4r5zi")
        instructions, functions = read_image(self.elf)
        loop = next(function for function in functions if function.name == "run_layers")
        watch = Watch(loop.address, loop.end, self.symbols["harness_layer"], ((0,),))
        table, path = self.folder / "table", self.folder / "profile"
        path.unlink(missing_ok=True)  # of an earlier call: a run that writes none must not pass for it
        table.write_text(profile_table(timing_model(board), board, instructions, watch))
        with UnicornHooks(table, self.folder) as hooks:
            hooks.attach(uc)
            self._call(uc, listed, "run_twice")
            hooks.write(path)
        return read_profile(path).layers[0]


def _rows(array: np.ndarray) -> int:
    return array.shape[1] if array.ndim == 4 else array.shape[0] if array.ndim > 1 else 1


class _Memory:
    """Places things in a processor's memory, with noise around them."""

    def __init__(self, uc: Any, symbols: Mapping[str, int]) -> None:
        self.symbols = symbols
        self.uc, self.flash, self.ram = uc, CONSTANTS, BUFFERS
        self.noise = np.random.default_rng(1)
        self.guards: dict[int, bytes] = {}

    def constants(
        self,
        parameters: Mapping[str, int | float | str | np.ndarray | None],
        in_ram: frozenset[str],
        prepared: Mapping[str, int],
    ) -> int:
        """A struct in flash; its arrays in flash or in RAM, where those that are yet to be made are noise."""
        fields = []
        for name, value in parameters.items():
            if name in prepared:
                fields.append(self.buffer(self.noise.bytes(prepared[name])))
            elif isinstance(value, np.ndarray):
                content = np.ascontiguousarray(value).tobytes()
                fields.append(self.buffer(content) if name in in_ram else self._place_flash(content))
            elif isinstance(value, str):
                fields.append(self.symbols[value] | 1)
            else:
                fields.append(0 if value is None else int(value) & 0xFFFF_FFFF)
        return self._place_flash(np.array(fields, np.uint32).tobytes())

    def _place_flash(self, content: bytes) -> int:
        address, self.flash = self.flash, (self.flash + len(content) + 15) // 8 * 8
        assert self.flash < FLASH[0] + FLASH[1], "more constants than flash"
        self.uc.mem_write(address, content)
        return address

    def _place(self, content: bytes) -> int:
        address, self.ram = self.ram, self.ram + len(content)
        assert self.ram < STACK - STACK_BYTES, "more buffers than RAM"
        self.uc.mem_write(address, content)
        return address

    def words(self, values: Sequence[int]) -> int:
        self.ram = (self.ram + 3) // 4 * 4
        return self._place(np.array(values, np.uint32).tobytes())

    def buffer(self, content: bytes) -> int:
        """Bytes between guards, aligned to 8 and no more."""
        self.ram = (self.ram + 15) // 16 * 16 + 8
        self._guard()
        address = self._place(content)
        self._guard()
        return address

    def _guard(self) -> None:
        content = self.noise.bytes(GUARD)
        self.guards[self._place(content)] = content

    def check(self) -> None:
        for address, content in self.guards.items():
            assert bytes(self.uc.mem_read(address, len(content))) == content, "written outside a buffer"


class _Map:
    """A struct feature_map in the processor's memory, whole or a ring."""

    def __init__(self, memory: _Memory, array: np.ndarray, ring_rows: int | None) -> None:
        self.memory = memory
        self.array = np.ascontiguousarray(array, np.int8).reshape(_rows(array), -1)
        self.rows = min(ring_rows or len(self.array), len(self.array))
        self.data = memory.buffer(memory.noise.bytes(self.rows * self.array.shape[1]))
        self.address = memory.words([self.data, self.rows, self.array.shape[1]])

    def show(self, low: int, high: int) -> None:
        """Have rows [low, high) in memory, and noise elsewhere."""
        assert high - low <= self.rows, f"a ring of {self.rows} rows cannot hold rows {low} to {high}"
        width = self.array.shape[1]
        content = np.frombuffer(self.memory.noise.bytes(self.rows * width), np.int8).reshape(-1, width).copy()
        for row in range(low, high):
            content[row % self.rows] = self.array[row]
        self.memory.uc.mem_write(self.data, content.tobytes())

    def row(self, row: int) -> np.ndarray:
        width = self.array.shape[1]
        start = self.data + row % self.rows * width
        return np.frombuffer(bytes(self.memory.uc.mem_read(start, width)), np.int8)
