"""Inferences of an image in an empty machine: a core and memory, without boot, clock and serial line.

For profiles of many small images, each for several boards at once. Input and arrays that are made when a
target starts are noise; besides that, what is counted is the same as on the virtual board.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile

from pipeline.boards import Board
from pipeline.build import Firmware
from pipeline.errors import TargetFailed
from pipeline.timing.board import TimingModel
from pipeline.timing.estimate import LOOP, find_watch
from pipeline.timing.hooks import UnicornHooks
from pipeline.timing.instructions import read_image
from pipeline.timing.profile import Profile, profile_table, read_profile

INFERENCES = 2
"""The second is counted (native/profile.c)."""


def profile_bare(
    firmware: Firmware,
    board: Board,
    models: Sequence[TimingModel],
    steps: Sequence[Sequence[int]],
    folder: Path,
) -> tuple[Profile, ...]:
    """The second of two inferences, as each of `models` would run it, at the addresses of `board`.

    `steps` as for estimate_cycles. Raises BuildFailed E_HOST_COMPILER, TargetFailed E_ESTIMATE.
    """
    import unicorn

    instructions, functions = read_image(firmware.elf)
    watch = find_watch(firmware, functions, steps)
    folder.mkdir(parents=True, exist_ok=True)
    results = [folder / f"profile-{number}.txt" for number in range(len(models))]
    processor = _processor(firmware.elf, board)
    with ExitStack() as stack:
        opened = []
        for model, result in zip(models, results, strict=True):
            result.unlink(missing_ok=True)
            table = result.with_name(f"table-{result.stem}.txt")
            table.write_text(profile_table(model, board, instructions, watch))
            opened.append(stack.enter_context(UnicornHooks(table, folder)))
            opened[-1].attach(processor)
        try:
            _infer(processor, watch.loop_start, len(steps), board)
        except unicorn.UcError as error:
            raise TargetFailed(
                f"{LOOP} does not return in an empty machine: {error}",
                code="E_ESTIMATE",
                where=firmware.elf,
            ) from error
        for hooks, result in zip(opened, results, strict=True):
            hooks.write(result)
    return tuple(read_profile(result) for result in results)


def _processor(elf: Path, board: Board) -> Any:
    """A core with the board's memory, the image in it, data where startup would have put them."""
    import unicorn
    from unicorn import arm_const

    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
    noise = np.random.default_rng(0)
    for region in board.memory:
        # A second address of the same memory is memory of its own: no byte of an image is at both.
        uc.mem_map(region.origin, region.length_bytes)
        if "w" in region.access:
            uc.mem_write(region.origin, noise.bytes(region.length_bytes))
    with elf.open("rb") as file:
        image = ELFFile(file)
        for segment in image.iter_segments():
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                uc.mem_write(int(segment["p_vaddr"]), segment.data())
    uc.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)
    return uc


def _infer(uc: Any, loop: int, steps: int, board: Board) -> None:
    """Call run_layers(steps) from a place in RAM, as often as the profile wants, each time on one memory."""
    from unicorn import arm_const

    ram = board.region("ram")
    caller = ram.end - 16
    # r4 holds the address of run_layers, r5 the number of steps: mov r0, r5; blx r4; nop.
    code = b"\x28\x46\xa0\x47\x00\xbf"
    uc.mem_write(caller, code)
    memory = bytes(uc.mem_read(ram.origin, ram.length_bytes))
    for _ in range(INFERENCES):
        # A layer may have written over the input, as in place of it.
        uc.mem_write(ram.origin, memory)
        for register, value in (
            (arm_const.UC_ARM_REG_SP, ram.end - 64),
            (arm_const.UC_ARM_REG_R4, loop | 1),
            (arm_const.UC_ARM_REG_R5, steps),
        ):
            uc.reg_write(register, value)
        uc.emu_start(caller | 1, caller + len(code))
