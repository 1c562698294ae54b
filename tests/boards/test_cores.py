"""The cores that QEMU has a board of: start-up code guards the stack and reports faults on each."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.boards import list_boards, load_board
from pipeline.build import build_firmware
from pipeline.errors import TargetFailed
from pipeline.runners import Stimulus
from pipeline.runners.qemu import Qemu
from tests.firmware.small_model import small_layers, small_tree

pytestmark = [pytest.mark.toolchain, pytest.mark.simulator]
SAMPLES = np.random.default_rng(2).integers(0, 256, (4, 24), dtype=np.uint8)
BOARDS = [board.name for board in list_boards() if "qemu" in board.run]
# Two instructions a turn: the subtraction and the branch.
LOOP = '{{ uint32_t n = {}u; __asm volatile("1: subs %0, #1\\n bne 1b" : "+r"(n) :: "cc"); }}'


@pytest.fixture(params=BOARDS)
def run(request, tmp_path):
    """Build the small model with this C at the end of its last layer for a board, and run it there."""

    def build_and_run(last=""):
        board = load_board(request.param)
        firmware = build_firmware(small_tree(board, last=last), board, tmp_path)
        return Qemu().run(firmware, board, Stimulus(SAMPLES, timed_runs=2))

    build_and_run.board = load_board(request.param)
    return build_and_run


def test_there_is_a_board_of_each_core():
    assert {load_board(name).cpu for name in BOARDS} == {"cortex-m4", "cortex-m7", "cortex-m33"}


def test_outputs_are_those_of_the_model(run):
    for sample, output in zip(SAMPLES, run().outputs, strict=True):
        assert output.tobytes() == small_layers(sample.tobytes())[-1]


def test_the_state_of_interrupts_is_that_of_qemus_registers(run):
    quiet, lively = run().state, run("*(volatile uint32_t *)0xE000E100u = 1u << 29;").state
    assert (quiet.wait_states, dict(quiet.accelerators), quiet.interrupts) == (None, {}, ())
    assert lively.interrupts == ("line 29",)


def test_counts_are_exact_to_the_instruction(run):
    short, long = (run(LOOP.format(turns)) for turns in (1_000, 101_001))
    assert long.totals[0] - short.totals[0] == 2 * 100_001
    assert len(set(long.totals)) == 1


FAULTS = [
    ('__asm volatile("udf #0");', "UsageFault", "cfsr=00010000"),
    ('__asm volatile("mov r0, #0\\n mov r1, #1\\n udiv r0, r1, r0" ::: "r0", "r1");', "UsageFault",
     "cfsr=02000000"),
]  # fmt: skip
OVERFLOWS = [
    '__asm volatile("1: push {r0-r7}\\n b 1b");',
    '__asm volatile("sub sp, sp, #4096\\n str r0, [sp]");',
]


def fault(run, last):
    with pytest.raises(TargetFailed) as raised:
        run(last)
    assert raised.value.code == "E_TARGET_FAULT"
    assert "in layer 2: " in raised.value.problem
    return raised.value


@pytest.mark.parametrize(("last", "name", "register"), FAULTS, ids=["undefined", "division"])
def test_a_fault_is_reported(run, last, name, register):
    error = fault(run, last)
    assert name in error.problem
    assert register in error.details[0]


@pytest.mark.parametrize("last", OVERFLOWS, ids=["pushed", "moved"])
def test_the_guard_of_the_stack_is_what_stops_it(run, last):
    """ARMv7-M: the MPU, with the address; ARMv8-M: the stack limit, CFSR.STKOF."""
    error = fault(run, last)
    if run.board.cpu == "cortex-m33":
        assert "UsageFault (stack overflow)" in error.problem
        assert "cfsr=00100000" in error.details[0]
    else:
        assert "MemManage (stack overflow)" in error.problem
