"""Whose an instruction is: layers that have a step each, and layers that share one, in a hand-made image."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.boards import load_board
from pipeline.errors import TargetFailed
from pipeline.timing import Figures, timing_model
from pipeline.timing.hooks import UnicornHooks
from pipeline.timing.instructions import decode
from pipeline.timing.profile import Watch, profile_table, read_profile

unicorn = pytest.importorskip("unicorn")
pytestmark = pytest.mark.simulator

FLASH, STACK, LAYER_WORD = 0x0800_0000, 0x2000_1000, 0x2000_0000
ROUNDS = 3


def bl(at, to):
    """Both halfwords of a BL (Armv7-M ARM, encoding T1) over less than 2 KB."""
    halfwords = (to - at - 4) // 2
    return ["f000" if halfwords >= 0 else "f7ff", f"{0xF800 | halfwords & 0x7FF:04x}"]


def b(at, to):
    return [f"{0xE000 | (to - at - 4) // 2 & 0x7FF:04x}"]


# Offsets of the functions. r4 points to harness_layer.
LOOP, GROUP, FIRST, SECOND, THIRD, KERNEL, CALLER = 0x00, 0x40, 0x60, 0x70, 0x80, 0x90, 0xA0
CODE = {
    # run_layers: push {r4, lr}; mark; step 0; mark; step 1; mark; pop {r4, pc}
    LOOP: ["b510", "6020", *bl(0x04, GROUP), "6020", *bl(0x0A, THIRD), "6020", "bd10"],
    # group_0: push {r5, lr}; movs r5, #ROUNDS; 1: bl layer_0; nop; bl layer_1; subs r5, #1; bne 1b;
    # pop {r5, pc}
    GROUP: [
        "b520", f"{0x2500 | ROUNDS:04x}", *bl(0x44, FIRST), "bf00", *bl(0x4A, SECOND), "3d01", "d1f8", "bd20",
    ],
    # layer_0: nop; push {lr}; bl kernel; pop {pc}
    FIRST: ["bf00", "b500", *bl(0x64, KERNEL), "bd00"],
    # layer_1: two nops and a tail call of the same kernel
    SECOND: ["bf00", "bf00", *b(0x74, KERNEL)],
    # layer_2, a step of its own
    THIRD: ["bf00", "4770"],
    # kernel: two nops, bx lr
    KERNEL: ["bf00", "bf00", "4770"],
    # bl run_layers, twice: the second inference is the one that counts; nop
    CALLER: [*bl(0xA0, LOOP), *bl(0xA4, LOOP), "bf00"],
}  # fmt: skip
IN_KERNEL = 3


@pytest.fixture(scope="module")
def image():
    return image_of(CODE)


def image_of(code):
    content = bytearray(b"\x00\xbf" * 0x300)
    for offset, halfwords in code.items():
        for index, halfword in enumerate(halfwords):
            content[offset + 2 * index : offset + 2 * index + 2] = int(halfword, 16).to_bytes(2, "little")
    return bytes(content)


def profile(image, watch, folder, registers=None):
    """Of two inferences; `registers`, low ones by number, are read behind them."""
    board = load_board("nucleo_l4r5zi")
    table, out = folder / "table", folder / "profile"
    table.write_text(profile_table(timing_model(board), board, tuple(decode(image, FLASH)), watch))
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.mem_map(FLASH, 0x1000)
    machine.mem_map(0x2000_0000, 0x1000)
    machine.mem_write(FLASH, image)
    with UnicornHooks(table, folder) as hooks:
        hooks.attach(machine)
        machine.reg_write(unicorn.arm_const.UC_ARM_REG_SP, STACK)
        machine.reg_write(unicorn.arm_const.UC_ARM_REG_R4, LAYER_WORD)
        machine.emu_start(FLASH + CALLER | 1, FLASH + CALLER + 10)
        hooks.write(out)
    for number in registers or ():
        registers[number] = machine.reg_read(unicorn.arm_const.UC_ARM_REG_R0 + number)
    return read_profile(out)


@pytest.fixture(scope="module")
def grouped():
    return Watch(
        FLASH + LOOP, FLASH + GROUP, LAYER_WORD, ((0, 1), (2,)), {FLASH + FIRST: 0, FLASH + SECOND: 1}
    )


def test_layers_that_alternate_in_one_step_are_told_apart(image, grouped, tmp_path):
    found = profile(image, grouped, tmp_path)
    around_calls = 2 + ROUNDS * 5 + 1  # of the group: its two BL, a nop, count and branch each round
    assert [layer.instructions for layer in found.layers] == [
        ROUNDS * (4 + IN_KERNEL), ROUNDS * (3 + IN_KERNEL), 2,
    ]  # fmt: skip
    assert found.outside.instructions == 7 + around_calls
    assert found.total == sum(found.by_address.values(), Figures())


def test_without_entries_a_step_is_one_layer(image, grouped, tmp_path):
    alone = replace(grouped, steps=((0,), (1,)), entries={})
    found, apart = profile(image, alone, tmp_path), profile(image, grouped, tmp_path)
    assert [layer.instructions for layer in found.layers] == [
        ROUNDS * (5 + 7 + 2 * IN_KERNEL) + 3, 2,
    ]  # fmt: skip
    assert found.outside.instructions == 7
    assert found.total == apart.total


@pytest.mark.parametrize("end", [0x3FE, 0x400, 0x402])
def test_what_follows_an_it_block_is_executed(end, tmp_path):
    """Also where the emulator begins to translate anew behind it, as at the end of 1 KB."""
    # cmp r0, r0; ite eq; streq r0, [r4, #4]; strne r0, [r4]; movs r1, #1; movs r2, #2; movs r3, #3; bx lr
    kernel = ["4280", "bf0c", "6060", "6020", "2101", "2202", "2303", "4770"]
    layer = ["b500", *bl(THIRD + 2, end - 8), "bd00"]
    watch = Watch(FLASH + LOOP, FLASH + GROUP, LAYER_WORD, ((0,), (1,)))
    registers = dict.fromkeys((1, 2, 3), 0)
    found = profile(image_of({**CODE, THIRD: layer, end - 8: kernel}), watch, tmp_path, registers)
    assert registers == {1: 1, 2: 2, 3: 3}
    assert found.layers[1].instructions == len(kernel) + 3


def test_an_entry_that_is_no_instruction_is_refused(image, grouped, tmp_path):
    with pytest.raises(TargetFailed) as refused:
        profile(image, replace(grouped, entries={FLASH + 0x4000: 0}), tmp_path)
    assert refused.value.code == "E_ESTIMATE"
