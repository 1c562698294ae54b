"""STM32 images on QEMU's own models of STM32 boards: clock tree and UARTs that nobody of this project wrote.

A machine that this QEMU does not have is skipped, and says so; QEMU_NEWER names another one, beside the
default that the figures are of. `.ci/run` brings it where Debian's backports have it.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from pipeline.boards import load_board
from pipeline.build import build_firmware, tools_status
from pipeline.errors import BuildFailed
from pipeline.runners import Stimulus, qemu
from pipeline.runners.protocol import Limits
from pipeline.runners.qemu import Qemu, find_qemu
from tests.firmware.small_model import small_layers, small_tree

pytestmark = [pytest.mark.toolchain, pytest.mark.simulator]
SAMPLES = np.random.default_rng(3).integers(0, 256, (10, 24), dtype=np.uint8)
# Boards that QEMU has machines of their own chip family for, and what of the image these exercise.
F405 = ("netduinoplus2", "olimex-stm32-h405")
MACHINES = {
    "b_l475e_iot01a": ("clock and UART", ("b-l475e-iot01a",)),
    "nucleo_f401re": ("UART", F405),
    "nucleo_f446re": ("UART", F405),
}
# Two instructions a turn: the subtraction and the branch.
TURNS = 20_000
LOOP = '{{ uint32_t n = {}u; __asm volatile("1: subs %0, #1\\n bne 1b" : "+r"(n) :: "cc"); }}'
# The model of the L4 takes one byte at a time, and looks for the next when it comes round to it.
BYTE_S = 0.002
# What is sent before the UART is on is lost, as on a board.
START_S = 1.0


@pytest.fixture
def machine(request, monkeypatch):
    """A name of QEMU's machines, which the runner will then run; skipped where no QEMU has it."""
    for binary in filter(None, (os.environ.get("QEMU_NEWER"), find_qemu()[0])):
        known = subprocess.run([binary, "-machine", "help"], capture_output=True, text=True, check=False)
        if any(line.split()[0] == request.param for line in known.stdout.splitlines()[1:] if line):
            monkeypatch.setenv("QEMU_SYSTEM_ARM", binary)
            return request.param
    pytest.skip(
        f"QEMU {find_qemu()[1]} has no {request.param}: QEMU_NEWER may name one that has (9 or newer)"
    )


def outputs(transcript):
    return [row.tobytes() for row in transcript.outputs]


def expected(samples):
    return [small_layers(row.tobytes())[-1] for row in samples]


@pytest.fixture
def byte_by_byte(monkeypatch):
    """Whoever sends, sends slowly."""

    @contextmanager
    def slow_socket(*arguments):
        with opened(*arguments) as port:
            time.sleep(START_S)
            write = port.write

            def write_slowly(data):
                for byte in data:
                    write(bytes([byte]))
                    time.sleep(BYTE_S)
                return len(data)

            monkeypatch.setattr(port, "write", write_slowly)
            yield port

    opened = qemu.open_socket
    monkeypatch.setattr(qemu, "open_socket", slow_socket)


@pytest.mark.parametrize("machine", MACHINES["b_l475e_iot01a"][1], indirect=True)
def test_the_l4_reaches_its_full_clock_in_qemus_clock_tree(machine, byte_by_byte, tmp_path):
    """Of the image one line is changed: QEMU has no flash registers, so the wait states do not read back.

    SysTick is clocked by the model's clock tree, and an instruction takes 64 ns: ticks of a known loop
    tell the clock.
    """
    board, path = load_board("b_l475e_iot01a"), "board/soc/stm32l4_g4.c"
    wait = "stm32_wait(&FLASH_ACR, 15u, BOARD_FLASH_LATENCY"
    last = LOOP.format(TURNS)
    source = small_tree(board, last=last).files[path]
    assert wait in source
    extra = {path: source.replace(wait, "stm32_wait(&FLASH_ACR, 0u, 0u")}
    firmware = build_firmware(small_tree(board, last=last, extra=extra), board, tmp_path)
    in_qemu = replace(board, run={"qemu": {"machine": machine, "shift": 6, "unit": "cycles"}})
    stimulus = Stimulus(SAMPLES[:1], timed_runs=1, warmups=0)
    transcript = Qemu(limits=Limits(reply_s=30.0)).run(firmware, in_qemu, stimulus)
    assert outputs(transcript) == expected(SAMPLES[:1])
    assert transcript.counter == "SysTick at 80 MHz"
    assert not any("start-up reports" in note for note in transcript.notes)
    # The last layer is the loop and little else: in instructions only if the clock is 80 MHz.
    assert 2 * TURNS <= transcript.layers[0][2] < 1.01 * 2 * TURNS


@pytest.mark.parametrize("machine", F405, indirect=True)
@pytest.mark.parametrize("name", ["nucleo_f446re", "nucleo_f401re"])
def test_the_f4_answers_at_its_reset_clock_where_no_oscillator_starts(machine, name, tmp_path):
    """QEMU's F405 has USART2, and no RCC that says ready: the board says so, and computes all the same."""
    board = load_board(name)
    firmware = build_firmware(small_tree(board), board, tmp_path)
    settings = {"machine": machine, "shift": 3, "unit": "cycles", "uart": 1}
    transcript = Qemu(limits=Limits(reply_s=2.0)).run(
        firmware, replace(board, run={"qemu": settings}), Stimulus(SAMPLES, timed_runs=1)
    )
    assert outputs(transcript) == expected(SAMPLES)
    assert transcript.counter == "SysTick at 16 MHz"
    assert "the board's start-up reports: HSI did not start (HSIRDY)" in transcript.notes


def test_the_variable_names_the_program(monkeypatch, tmp_path):
    fake = tmp_path / "my-qemu"
    fake.write_text("#!/bin/sh\necho 'QEMU emulator version 99.1.2 (mine)'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("QEMU_SYSTEM_ARM", str(fake))
    assert find_qemu() == (str(fake), "99.1.2")
    found = next(tool for tool in tools_status() if tool.name == "qemu-system-arm")
    assert (found.path, found.version) == (str(fake), "99.1.2")
    monkeypatch.setenv("QEMU_SYSTEM_ARM", "no-such-qemu")
    with pytest.raises(BuildFailed) as raised:
        find_qemu()
    assert raised.value.code == "E_QEMU_MISSING"
    assert "no-such-qemu" in raised.value.problem
