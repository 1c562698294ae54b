"""Cycles of short sequences, worked out by hand from the rules of docs/timing.md."""

from __future__ import annotations

import pytest

from tests.timing.core import FLASH, RAM, Machine, assemble

NOP, WIDE = "bf00 ", "fb21 3002 "  # smlad
WORD, HALF = 4, 2


def load(address=RAM, size=WORD):
    return [(address, size, False)]


def store(address=RAM, size=WORD):
    return [(address, size, True)]


def words(count, stored=False):
    return [(RAM + 4 * i, WORD, stored) for i in range(count)]


# what, code behind eight NOPs, its accesses (one list an instruction), cycles of each
SEQUENCES = [
    ("add", "1840 1840 1840", [[], [], []], [1, 1, 1]),
    ("multiply", "4348", [[]], [1]),
    ("smlad, smlal, mla", "fb21 3002 fbc2 0103 fb01 3002", [[], [], []], [1, 1, 1]),
    ("divide", "fb91 f0f2", [[]], [6]),
    ("load", "6808", [load()], [2]),
    ("loads in a row", "6808 681a 6825", [load(), load(), load()], [2, 1, 1]),
    ("a load whose base was just loaded", "6808 6801", [load(), load()], [2, 2]),
    ("a base written just before", "3104 6808", [[], load()], [1, 3]),
    ("a base written two before", "3104 bf00 6808", [[], [], load()], [1, 1, 2]),
    ("a compare writes no base", "2904 6808", [[], load()], [1, 2]),
    ("store", "6008", [store()], [1]),
    ("store with an index", "5088", [store()], [2]),
    ("store with an index behind a load", "6808 509c", [load(), store()], [2, 1]),
    ("ldrd and strd", "e9d1 0200 e9c1 0200", [words(2), words(2, True)], [3, 3]),
    ("ldm of four", "c91d", [words(4)], [5]),
    ("push of five", "b5f0", [words(5, True)], [6]),
    ("a load skipped by its condition", "2800 bf08 6808", [[], [], []], [1, 0, 1]),
    ("IT behind 16 bits, behind 32 bits", "bf00 bf08 1840 fb01 3002 bf08 1840", [[]] * 6, [1, 0, 1, 1, 1, 1]),
    ("unaligned halfword", "8808", [load(RAM + 1, HALF)], [3]),
    ("aligned halfword at 2", "8808", [load(RAM + 2, HALF)], [2]),
    ("unaligned word at 2, at 1", "6808 bf00 6808", [load(RAM + 2), [], load(RAM + 1)], [3, 1, 4]),
    ("unaligned store", "6008", [store(RAM + 3)], [3]),
    ("VFP add, then another", "ee30 0a01 ee31 1a82", [[], []], [1, 1]),
    ("VFP result used at once", "ee30 0a01 ee30 1a00", [[], []], [1, 2]),
    ("VFP multiply-add", "ee00 0a81", [[]], [3]),
    ("VFP divide, square root", "ee80 0a81 eeb1 1ae1", [[], []], [14, 14]),
    ("two core registers to the VFP", "ec41 0b10", [[]], [2]),
    ("vldr behind vldr", "ed91 0a00 edd2 0a00", [load(), load()], [2, 1]),
    ("vstr of a result", "ee30 0a01 ed81 0a00", [[], store()], [1, 3]),
    ("cbz not taken", "b100", [[]], [1]),
    ("the third 32-bit instruction at 2 mod 4", "bf00" + " fb21 3002" * 4, [[]] * 5, [1, 1, 1, 2, 1]),
    ("32-bit instructions at 0 mod 4", "fb21 3002 " * 4, [[]] * 4, [1, 1, 1, 1]),
]


@pytest.mark.parametrize(("what", "code", "accesses", "cycles"), SEQUENCES, ids=[s[0] for s in SEQUENCES])
def test_a_sequence_takes_its_cycles(core, what, code, accesses, cycles):
    machine = Machine(core, flat=True)
    found = assemble(8 * NOP + code)
    took = [
        machine.step(one, None, *touched) for one, touched in zip(found, [[]] * 8 + accesses, strict=True)
    ]
    assert [cost for cost, _ in took[8:]] == cycles
    assert all(stall == 0 for _, stall in took)


def loop_cycles(core, code, target, rounds=10, accesses=()):
    """Cycles of one round of a loop whose last instruction branches to `target`, once it is in step."""
    machine = Machine(core, flat=True)
    body = [one for one in assemble(code) if one.address >= target]
    taken = []
    for _ in range(rounds):
        total = 0
        for one in body:
            last = one is body[-1]
            total += machine.step(one, target if last else None, *(accesses if last else ()))[0]
        taken.append(total)
    assert taken[2] == taken[-1]
    return taken[-1]


@pytest.mark.parametrize(
    ("what", "code", "start", "cycles", "accesses"),
    [
        ("direct: 2", 4 * NOP + "e7fa", 0, 4 + 2, ()),
        ("to a register: 3", 4 * NOP + "4770", 0, 4 + 3, ()),
        # The queue asks for the word behind the target when the target starts: it comes one cycle late
        # where the target is alone in its word, or is spread over two.
        ("target alone, 16 bits: 1 more", 5 * NOP + "e7fa", 2, 4 + 2 + 1, ()),
        ("target alone, 32 bits: 1 more", WIDE + 3 * NOP + "e7fa", 0, 4 + 2 + 1, ()),
        ("target over two words: 1 more", NOP + WIDE + 3 * NOP + "e7fa", 2, 4 + 2 + 1, ()),
        ("pop of two and pc: 1 + 3, and 2 to refill", 4 * NOP + "bd03", 0, 4 + 4 + 2, words(3)),
    ],
    ids=lambda value: value if isinstance(value, str) and ":" in value else None,
)
def test_a_taken_branch_takes_its_cycles(core, what, code, start, cycles, accesses):
    assert loop_cycles(core, code, FLASH + start, accesses=accesses) == cycles
