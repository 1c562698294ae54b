"""What decides an instruction's cost, read from its encoding by capstone."""

from __future__ import annotations

import pytest

from pipeline.timing.instructions import Kind
from tests.timing.core import FLASH, assemble

R0, R1, R2, R3 = (1 << n for n in range(4))
PC = 1 << 15

CASES = [
    ("1840", Kind.ALU, {"written": R0}),  # adds r0, r0, r1
    ("4288", Kind.ALU, {"written": 0}),  # cmp r0, r1
    ("fbc2 0103", Kind.ALU, {"written": R0 | R1}),  # smlal r0, r1, r2, r3
    ("6808", Kind.LOAD, {"bases": R1, "loaded": 0}),  # ldr r0, [r1]
    ("4801", Kind.LOAD, {"bases": PC, "loaded": 0}),  # ldr r0, [pc, #4]
    ("f851 0b04", Kind.LOAD, {"bases": R1, "loaded": 0}),  # ldr r0, [r1], #4
    ("f991 2001", Kind.LOAD, {"bases": R1, "loaded": 2}),  # ldrsb.w r2, [r1, #1]
    ("f85d fb04", Kind.LOAD_PC, {"loaded": -1}),  # ldr pc, [sp], #4
    ("6008", Kind.STORE_IMMEDIATE, {"bases": R1}),  # str r0, [r1]
    ("5488", Kind.STORE_REGISTER, {"bases": R1 | R2}),  # strb r0, [r1, r2]
    ("e9d1 0200", Kind.LOAD_MULTIPLE, {"words": 2, "bases": R1}),  # ldrd r0, r2, [r1]
    ("c90d", Kind.LOAD_MULTIPLE, {"words": 3, "bases": 0}),  # ldmia r1!, {r0, r2, r3}
    ("bdf0", Kind.LOAD_MULTIPLE_PC, {"words": 5}),  # pop {r4-r7, pc}
    ("bcf0", Kind.LOAD_MULTIPLE, {"words": 4}),  # pop {r4-r7}
    ("b5f0", Kind.STORE_MULTIPLE, {"words": 5}),  # push {r4-r7, lr}
    ("ed2d 8b10", Kind.STORE_MULTIPLE, {"words": 16}),  # vpush {d8-d15}
    ("4770", Kind.BRANCH_INDIRECT, {}),  # bx lr
    ("46f7", Kind.BRANCH_INDIRECT, {"written": 0}),  # mov pc, lr
    ("e7fe", Kind.BRANCH, {"target": FLASH}),  # b .
    ("f000 f802", Kind.BRANCH, {"target": FLASH + 8}),  # bl
    ("b118", Kind.BRANCH, {"target": FLASH + 10}),  # cbz r0
    ("e8df f000", Kind.TABLE_BRANCH, {"bases": PC | R0}),  # tbb [pc, r0]
    ("fb91 f0f2", Kind.DIVIDE, {}),
    ("bf08", Kind.IF_THEN, {}),
    ("ee30 1a01", Kind.VFP, {"vfp_result": 2, "vfp_operands": 0b101}),  # vadd.f32 s2, s0, s2
    ("ee00 1a02", Kind.VFP_MULTIPLY_ADD, {"vfp_result": 2, "vfp_operands": 0b10001}),  # vmla.f32 s2, s0, s4
    ("eeb7 7a00", Kind.VFP, {"vfp_result": -1, "vfp_operands": 0}),  # vmov.f32 s14, #1.0
    ("eef1 fa10", Kind.VFP, {"vfp_result": -1}),  # vmrs APSR_nzcv, fpscr
    ("ee10 0a10", Kind.VFP, {"vfp_result": -1, "vfp_operands": 1}),  # vmov r0, s0
    ("ec41 0b10", Kind.VFP_MOVE_TWO, {}),  # vmov d0, r0, r1
    ("ed91 0b00", Kind.VFP_LOAD, {"words": 2, "bases": R1}),  # vldr d0, [r1]
    ("ed81 1a00", Kind.VFP_STORE, {"words": 1, "bases": R1, "vfp_operands": 0b100}),  # vstr s2, [r1]
]


@pytest.mark.parametrize(("code", "kind", "fields"), CASES, ids=[c[0] for c in CASES])
def test_an_instruction_is_what_it_is(code, kind, fields):
    (one,) = assemble(code)
    assert one.kind is kind
    assert {name: getattr(one, name) for name in fields} == fields


def test_only_branches_branch():
    assert [one.branches for one in assemble("1840 6808 4770 bd00 e7fe f85d fb04 b5f0")] == [
        False, False, True, True, True, True, False,
    ]  # fmt: skip
