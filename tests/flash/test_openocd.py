"""The real OpenOCD, offline: it reads its own files for each board, and understands our orders."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from desk import SERIAL

from pipeline.boards import list_boards
from pipeline.flash.probes import Probe
from pipeline.flash.programmers import Chip, OpenOcd

PROBE = Probe(SERIAL, 0x374B, "1-4", (), "", accessible=True)
# Of a labgrid place only this much is known.
IN_A_RACK = Probe("", 0x374B, "1-4.2", (), "", accessible=True, host="rack1")
BOARDS = [board for board in list_boards() if board.flash and board.flash.openocd]
pytestmark = pytest.mark.skipif(shutil.which("openocd") is None, reason="openocd is not installed")


def chip(board):
    return Chip(board.flash, board.region("flash").origin, board.flash_bytes)


def say(board, command, *first):
    """Run a command with some orders put before the last ones; what it says."""
    last = command.index("init") - 1 if "init" in command else len(command) - 2
    orders = [word for order in first for word in ("-c", order)]
    done = subprocess.run(
        [*command[:last], *orders, *command[last:]], capture_output=True, text=True, timeout=20
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_boards_own_file_has_its_flash(board):
    """`flash list` names a bank at the start of the flash region (0 where the chip has to be asked)."""
    files = [word for file in board.flash.openocd for word in ("-f", file)]
    done = subprocess.run(
        ["openocd", *files, "-c", "flash list", "-c", "shutdown"],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    words = done.stdout + done.stderr
    assert done.returncode == 0, words
    assert f"base {board.region('flash').origin} " in words or "driver stm32f2x base 0 " in words


# In place of what needs a chip: say what would be done.
PRETEND = (
    "proc init {} {echo pretended-init}",
    'proc mdw {address} {echo "$address: 10076470 "}',
    "proc program {file args} {echo file=<$file>:<$args>; shutdown}",
    "proc reset {how} {echo reset-$how}",
    "set banks [flash list]; set probed 0; proc flash {verb args} { global probed banks; switch $verb { "
    "probe { set probed 1 } "
    'list { return [string map [expr {$probed ? {"base 0 " "base 134217728 "} : {}}] $banks] } '
    'default { echo "flash-$verb-<$args>" } } }',
)


@pytest.mark.parametrize("under_reset", [False, True])
@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_our_orders_are_understood(board, under_reset):
    openocd = OpenOcd(shutil.which("openocd"))
    image = Path("/a folder/firmware.elf")
    told = {
        verb: say(board, command, *PRETEND)
        for verb, command in {
            "identify": openocd.identify(chip(board), PROBE, under_reset),
            "erase": openocd.erase(chip(board), PROBE, under_reset),
            "reset": openocd.reset(chip(board), PROBE, under_reset),
        }.items()
    }
    assert all(status == 0 for status, _ in told.values()), told
    assert openocd.device_id(told["identify"][1], chip(board), PROBE) == 0x470
    assert "reset-run" in told["reset"][1]
    erased = [line for line in told["erase"][1].splitlines() if line.startswith("flash-erase_sector")]
    banks = 2 if "h7" in board.soc else 1
    assert erased == [f"flash-erase_sector-<{bank} 0 last>" for bank in range(banks)]
    _, words = say(board, openocd.write(chip(board), PROBE, image, under_reset), *PRETEND)
    assert "file=</a folder/firmware.elf>:<verify reset exit>" in words, words


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_probe_may_be_told_by_its_place(board):
    openocd = OpenOcd(shutil.which("openocd"))
    orders = (*PRETEND, "echo [adapter usb location]")
    status, words = say(board, openocd.reset(chip(board), IN_A_RACK, False), *orders)
    assert status == 0, words
    assert "adapter usb location: 1-4.2" in words
    assert "reset-run" in words


def test_what_it_says_without_a_board(nucleo):
    """The real program's words have our meaning. Skipped where an ST-LINK answers."""
    from pipeline.errors import FlashFailed
    from pipeline.flash.verbs import _Session

    programmer = OpenOcd(shutil.which("openocd"))
    session = _Session(nucleo, programmer, PROBE, None)
    with pytest.raises(FlashFailed) as raised:
        session.check_chip()
    assert raised.value.code == "E_FLASH_NO_PROBE"
    assert "open failed" in " ".join(raised.value.details)
