"""Random graphs with the kernels for Cortex-M4, in Unicorn: the outputs, and that nothing else is written."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const as arm

from pipeline.boards import load_board
from tests.fuzz.batch import Case, compile_all, described, differences, prepare_all

FLAGS = "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard -ffreestanding".split()
COMPILER = "arm-none-eabi-gcc"
LINKER_SCRIPT = Path(__file__).with_name("link.ld")
FLASH, RAMCODE, RAM = (0x0800_0000, 64 << 20), (0x1000_0000, 1 << 20), (0x2000_0000, 8 << 20)
STACK, STACK_BYTES = RAM[0] + RAM[1], 64 << 10
RETURN = FLASH[0] + FLASH[1] - 16

pytestmark = [pytest.mark.toolchain, pytest.mark.simulator]


class Processor:
    """A Cortex-M4 with an image of several models."""

    def __init__(self, elf: Path) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
        for (start, size), rights in ((FLASH, 5), (RAMCODE, 5), (RAM, 7)):
            self.uc.mem_map(start, size, rights)
        self.uc.mem_write(RAM[0], np.random.default_rng(1).bytes(RAM[1]))
        with elf.open("rb") as file:
            image = ELFFile(file)
            symbols = image.get_section_by_name(".symtab").iter_symbols()
            self.symbols = {symbol.name: symbol["st_value"] for symbol in symbols}
            for section in image.iter_sections():
                if section["sh_type"] == "SHT_PROGBITS" and section["sh_addr"]:
                    self.uc.mem_write(section["sh_addr"], section.data())

    def words(self, address: int, count: int) -> list[int]:
        return np.frombuffer(bytes(self.uc.mem_read(address, 4 * count)), np.uint32).tolist()

    def call(self, function: int) -> None:
        self.uc.reg_write(arm.UC_ARM_REG_SP, STACK)
        self.uc.reg_write(arm.UC_ARM_REG_LR, RETURN | 1)
        self.uc.emu_start(function | 1, RETURN)

    def where(self) -> str:
        """The function that runs."""
        counter = self.uc.reg_read(arm.UC_ARM_REG_PC)
        code = [(address, name) for name, address in self.symbols.items() if address <= counter]
        return max(code, default=(0, "?"))[1]

    def ram(self) -> np.ndarray:
        return np.frombuffer(bytes(self.uc.mem_read(RAM[0], RAM[1] - STACK_BYTES)), np.uint8).copy()

    def run(self, case: Case) -> list[bytes]:
        """The outputs of each inference; nothing but the arena and the model's buffers may change."""
        _, inputs, input_count, outputs, output_count, _, _, arena, arena_bytes, _ = self.words(
            self.symbols[f"{case.name}_model"], 10
        )
        given, made = (
            np.array(self.words(first, 3 * count)).reshape(count, 3)[:, :2].tolist()  # of struct model_tensor
            for first, count in ((inputs, input_count), (outputs, output_count))
        )
        self.call(self.symbols[f"{case.name}_init"])
        before, found = self.ram(), []
        for arrays in case.feeds:
            content = b"".join(array.tobytes() for array in arrays)
            for address, size in given:
                self.uc.mem_write(address, content[:size])
                content = content[size:]
            self.call(self.symbols[f"{case.name}_run"])
            found.append(b"".join(bytes(self.uc.mem_read(address, size)) for address, size in made))
        changed = self.ram() != before
        for address, size in [(arena, arena_bytes), *given, *made]:
            changed[address - RAM[0] : address - RAM[0] + size] = False
        assert not changed.any(), (
            f"{case.name} writes to {RAM[0] + int(np.flatnonzero(changed)[0]):#x}, outside of its arena "
            f"({arena:#x}, {arena_bytes} bytes)"
        )
        return found


def link(cases: Sequence[Case], folder: Path) -> Path:
    objects = compile_all(cases, folder, [COMPILER, *FLAGS])
    elf = folder / "models.elf"
    options = ["-nostartfiles", f"-Wl,-T,{LINKER_SCRIPT},-e,{cases[0].name}_run"]
    subprocess.run(
        [COMPILER, *FLAGS[:4], *options, *objects, "-lc", "-lgcc", "-lnosys", "-o", str(elf)], check=True
    )
    return elf


def test_kernels_for_cortex_m4_give_the_reference_bytes(arm_seeds: range, tmp_path: Path) -> None:
    if shutil.which(COMPILER) is None:
        pytest.skip(f"{COMPILER} is not installed")
    cases, failures = prepare_all(arm_seeds, load_board("qemu_mps2_an386"), ("cortex_m4", "portable"))
    processor = Processor(link(cases, tmp_path))
    found = []
    for case in cases:
        try:
            found.append(processor.run(case))
        except (unicorn.UcError, AssertionError) as error:
            failures.append(f"{error} at {processor.where()}: {described(case.drawn)}")
            found.append(case.wanted)
    assert not [*failures, *differences(cases, found)]
    if len(arm_seeds) >= 30:
        used = Counter(path for case in cases for path in case.files if path.startswith("kernels/cortex_m4/"))
        assert used, "no graph used a kernel for Cortex-M4"
