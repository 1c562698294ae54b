"""Flash, its caches and its prefetch, on constructed streams of addresses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.timing.core import FETCH_RAM, FLASH, RAM, Flash, Machine, assemble

NOP, WIDE = "bf00 ", "fb21 3002 "  # smlad
BACK = "e7fe"  # where it goes is told to the core, not read from the offset


def straight(machine, code, address=FLASH):
    """(cycles, ...) of each instruction of code without branches."""
    return [machine.step(one)[0] for one in assemble(code, address)]


def rounds(machine, code, count, address=FLASH):
    """Cycles of each round of a loop whose last instruction branches to its first."""
    body = assemble(code, address)
    return [
        sum(machine.step(one, address if one is body[-1] else None)[0] for one in body) for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("what", "code", "block", "flash", "cycles"),
    [
        # The block comes at cycle 0, its first instruction starts at 2 and asks for the second word, the
        # next one at 3 for the next block, which comes at 3 + 5.
        ("16 bits", 200 * NOP, 4, Flash(), 8),
        # The second word, asked for at 2, starts its instruction at 4, which asks for the next block.
        ("32 bits", 100 * WIDE, 2, Flash(), 9),
        ("no wait states", 200 * NOP, 4, Flash(wait_states=0), 4),
        ("2 wait states", 200 * NOP, 4, Flash(wait_states=2), 5),
        # Words 1 to 3 are asked for at 2, 3 and 4, the next block at 5.
        ("128 bits", 400 * NOP, 8, Flash(read_bytes=16), 10),
        # Read ahead from the cycle after the block came: 6 cycles from block to block.
        ("prefetch", 200 * NOP, 4, Flash(prefetch=True), 6),
        ("prefetch, no instruction cache", 200 * NOP, 4, Flash(prefetch=True, instruction_lines=0), 6),
    ],
)
def test_code_that_was_never_read_before_waits_for_each_block(core, what, code, block, flash, cycles):
    took = straight(Machine(core, flash), code)
    assert sum(took[10 * block : 20 * block]) == 10 * cycles


def test_a_loop_in_the_cache_runs_as_with_zero_waits(core):
    code = 495 * NOP + BACK  # 31 lines: the queue runs into one more behind the branch
    first, second, *others = rounds(Machine(core), code, 4)
    flat = rounds(Machine(core, flat=True), code, 4)
    assert first > second > flat[1]  # the second waits for what the queue asked for behind the branch
    assert others == flat[2:]


def test_one_line_too_many_and_every_line_misses_again(core):
    code = 527 * NOP + BACK  # 33 lines, the least recently used always the next one needed
    took = rounds(Machine(core), code, 4)
    blocks = 528 * 2 // 8
    assert took[2] == took[3] >= blocks * 7
    half = rounds(Machine(core, Flash(instruction_lines=16)), 263 * NOP + BACK, 4)  # 528 bytes in 16 lines
    assert half[3] >= 263 * 2 // 8 * 7


def test_the_flat_machine_never_waits(core):
    assert straight(Machine(core, flat=True), 100 * NOP)[3:] == 97 * [1]


def test_ram_of_the_instruction_bus_does_not_wait_and_other_ram_does(core):
    code = 8 * NOP + 40 * WIDE  # the queue is full when the wide ones begin
    assert straight(Machine(core), code, FETCH_RAM)[-20:] == 20 * [1]
    # Asked for when the one before starts, there after two cycles instead of one, then decoded.
    assert straight(Machine(core), code, RAM)[-20:] == 20 * [3]


class Data:
    """Loads of words, one at a time, by code that the instruction bus has at once."""

    def __init__(self, core, flash=None):
        self.machine = Machine(core, flash or Flash())
        self.nop, self.load = assemble(NOP + "6808", FETCH_RAM)

    def stall(self, address, size=4):
        for _ in range(8):  # far enough from the last read
            self.machine.step(self.nop, self.nop.address)
        self.machine.step(self.nop)
        return self.machine.step(self.load, self.nop.address, (address, size, False))[1]


def test_constants_of_flash_come_in_blocks_of_eight_bytes(core):
    data = Data(core)
    stalls = [data.stall(FLASH + 0x8000 + 4 * i) for i in range(8)]
    assert stalls == [6, 0, 6, 0, 6, 0, 6, 0]
    assert [data.stall(FLASH + 0x8000 + 4 * i) for i in range(8)] == 8 * [0]


def test_without_a_fitted_extra_a_data_miss_waits_like_an_instruction_miss(core):
    assert Data(core, Flash(data_miss_extra=0)).stall(FLASH + 0x8000) == 5


def test_a_word_across_two_blocks_waits_for_both(core):
    data = Data(core)
    assert data.stall(FLASH + 0x8006) == 6 + 6
    assert data.stall(FLASH + 0x8006) == 0


@pytest.mark.parametrize(("lines", "missed"), [(8, 0), (9, 9)])
def test_the_data_cache_holds_eight_lines_least_recently_used_goes(core, lines, missed):
    data = Data(core)
    for i in range(lines):
        data.stall(FLASH + 0x8000 + 32 * i)
    assert sum(data.stall(FLASH + 0x8000 + 32 * i) > 0 for i in range(lines)) == missed


def test_without_a_data_cache_only_the_current_block_is_kept(core):
    data = Data(core, Flash(data_lines=0))
    assert [data.stall(FLASH + 0x8000 + offset) for offset in (0, 4, 8, 0)] == [6, 0, 6, 6]


def test_data_in_ram_never_waits(core):
    assert Data(core).stall(RAM + 64) == 0


def test_both_ports_share_the_array(core):
    """A data miss while code is being read waits for that read as well."""
    machine = Machine(core)
    loads = assemble(40 * "6808 ", FLASH)
    stalls = [machine.step(one, None, (FLASH + 0x8000 + 64 * i, 4, False))[1] for i, one in enumerate(loads)]
    assert max(stalls) > 6


def test_each_read_of_data_that_the_cache_has_not_is_a_miss_however_long_it_waits(core):
    """Three blocks one after the other, the middle one twice; then a word across two that are not there."""
    data = Data(core)
    for address in (0x8000, 0x8008, 0x800C, 0x8010):
        data.stall(FLASH + address)
    assert data.machine.data_misses == 3
    data.stall(FLASH + 0x9006)
    assert data.machine.data_misses == 5
    data.stall(RAM + 64)
    assert data.machine.data_misses == 5


def test_two_runs_of_one_stream_are_equal(core):
    code = 300 * (NOP + WIDE)
    assert straight(Machine(core), code) == straight(Machine(core), code)


def test_lines_of_one_set_push_each_other_out(core):
    """8 lines in sets of 2: addresses 4 lines apart share a set, neighbours do not."""
    cache = Flash(data_lines=8, data_ways=2)
    for apart, missed in ((4, 3), (1, 0)):
        data = Data(core, cache)
        addresses = [FLASH + 0x8000 + 32 * apart * i for i in range(3)]
        for address in addresses:
            data.stall(address)
        assert sum(data.stall(address) > 0 for address in addresses) == missed


def test_a_unified_cache_keeps_constants_where_it_keeps_code(core):
    """STM32U5: 512 lines of 16 bytes; there is no cache of data at all."""
    cache = Flash(read_bytes=16, line_bytes=16, instruction_lines=512, instruction_ways=2, data_lines=0)
    constants = [FLASH + 0x8000 + 16 * i for i in range(100)]
    for unified, expected in ((True, 0), (False, 100)):
        data = Data(core, replace(cache, unified=unified))
        for address in constants:
            data.stall(address)
        assert sum(data.stall(address) > 0 for address in constants) == expected


def test_an_instruction_miss_may_cost_more_than_the_wait_states(core):
    plain, slow = (Machine(core, Flash(fetch_miss_extra=extra)) for extra in (0, 4))
    once, later = (sum(straight(machine, 200 * NOP)[40:80]) for machine in (plain, slow))
    assert later - once == 4 * 10  # ten blocks
