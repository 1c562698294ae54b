"""Each chip is described twice, for board files (pipeline/chips.py) and as a virtual board, from the same
manuals and not from each other: what the first allows, the second has to take.
"""

from __future__ import annotations

import random
from itertools import product

import pytest

from pipeline.boards import Clock, _check_pll, list_boards, load_board
from pipeline.chips import CHIPS
from pipeline.runners.unicorn import family_of
from pipeline.virtual.chip import Chip

# One board of each chip.
BOARDS = {board.chip: board.name for board in list_boards() if board.is_stm32}
MOST_FACTORS = 1500
# The least that some of the PLLs put out.
SLOWEST_HZ = 24_000_000


class NoLine:
    """Nobody listens."""

    def send(self, byte):
        raise AssertionError

    def take(self):
        return None

    def has_input(self, *, wait):
        return False


def boot(name):
    """A chip out of reset, and what advances its time."""
    board, time = load_board(name), [0]
    chip = Chip(family_of(board), board, NoLine(), lambda: time[0], lambda regions: None)
    return chip, time


def put(chip, register, shift, width, value):
    """Into a register of the RCC, past all checks of order."""
    mask = (1 << width) - 1 << shift
    chip.rcc.values[register] = chip.rcc.values[register] & ~mask | value << shift


def set_pll(chip, family, m, n, out):
    """The PLL's factors, fed from the oscillator that the firmware feeds it from."""
    if family in {"stm32l4", "stm32g4"}:
        for field in ((0, 2, 2), (4, 4, m - 1), (8, 7, n), (25, 2, out // 2 - 1)):
            put(chip, "PLLCFGR", *field)
    elif family in {"stm32f4", "stm32f7"}:
        for field in ((0, 6, m), (6, 9, n), (16, 2, out // 2 - 1)):
            put(chip, "PLLCFGR", *field)
    elif family == "stm32h7":
        into = CHIPS["STM32H743"].source_hz / m
        put(chip, "PLLCKSELR", 4, 6, m)
        put(chip, "PLLCFGR", 2, 2, 3 if into >= 8e6 else 2 if into >= 4e6 else 1)
        put(chip, "PLL1DIVR", 0, 9, n - 1)
        put(chip, "PLL1DIVR", 9, 7, out - 1)
    else:
        for field in ((0, 2, 2), (2, 2, 3 if CHIPS["STM32U575"].source_hz / m >= 8e6 else 0), (8, 4, m - 1)):
            put(chip, "PLL1CFGR", *field)
        put(chip, "PLL1DIVR", 0, 9, n - 1)
        put(chip, "PLL1DIVR", 24, 7, out - 1)


def oscillator_runs(chip, time):
    name = chip.rcc.pll_source()
    place = chip.rcc.oscillators[name].on
    put(chip, place.register, place.shift, 1, 1)
    chip.rcc.raise_later(chip.rcc.oscillators[name].ready.register, chip.rcc.oscillators[name].ready.shift, 0)
    time[0] += 1


@pytest.mark.parametrize("name", BOARDS.values())
def test_a_pll_that_a_board_file_may_have_locks(name):
    """And makes the clock that the file says."""
    known, (chip, time) = CHIPS[load_board(name).chip], boot(name)
    letters = list(known.factors)
    every = list(product(*known.factors.values()))
    locked = 0
    for values in random.Random(0).sample(every, min(len(every), 40 * MOST_FACTORS)):
        pll = dict(zip(letters, values, strict=True))
        out = pll[known.output_factor]
        hz = known.source_hz / pll["m"] * pll["n"] / out
        if hz > known.core_hz or hz != int(hz):
            continue
        mistakes = []
        _check_pll(Clock(int(hz), known.source, pll), known, mistakes)
        if mistakes:
            continue
        set_pll(chip, known.family, pll["m"], pll["n"], out)
        if not locked:
            oscillator_runs(chip, time)
        if hz >= SLOWEST_HZ:
            assert chip.rcc.pll_hz() == hz, pll
        locked += 1
        if locked == MOST_FACTORS:
            break
    assert locked > 20, "factors that lock were tried"


@pytest.mark.parametrize("name", BOARDS.values())
def test_pins_and_functions_are_the_same(name):
    board = load_board(name)
    known, family = CHIPS[board.chip], family_of(board)
    for uart in known.uarts:
        for role in ("tx", "rx"):
            assert family.functions(uart, role.upper()) == known.functions(uart, role), (uart, role)


@pytest.mark.parametrize("name", BOARDS.values())
def test_each_pin_of_a_chip_is_one_that_a_virtual_board_has(name):
    board = load_board(name)
    chip, _ = boot(name)
    for uart, roles in CHIPS[board.chip].uarts.items():
        assert uart in chip.named, uart
        for words in roles.values():
            for pin in words.split():
                assert f"GPIO{pin[1]}" in chip.named, pin


def test_every_chip_is_on_a_board():
    assert set(BOARDS) == set(CHIPS)
