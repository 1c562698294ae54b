"""What the five programs are told, what their answers mean, and that nothing hangs or is half believed."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product

import pytest
from desk import OTHER, SERIAL, TOOLS

from pipeline.boards import list_boards, load_board
from pipeline.build import Firmware
from pipeline.errors import FlashFailed, UsageError
from pipeline.flash import (
    choose_probe,
    erase_board,
    find_programmer,
    flash_board,
    reset_board,
    verbs,
)

CONTENT = b"\x00\x00\x0a\x20" + bytes(range(100))


@pytest.fixture
def firmware(tmp_path, monkeypatch):
    """An image that no program looks into; its path has a blank, as users' have."""
    elf = tmp_path / "my models" / "firmware.elf"
    elf.parent.mkdir()
    elf.write_bytes(b"\x7fELF" + CONTENT)
    monkeypatch.setattr(verbs, "load_image", lambda firmware, board: CONTENT)
    return Firmware(elf, "nucleo_l4r5zi", "0" * 16, (), (), len(CONTENT), 0, {}, {}, "", ())


def flash(desk, board, firmware, tool, **more):
    desk.install(tool)
    if not list(desk.devices.iterdir()):
        desk.plug()
    return flash_board(board, firmware, find_programmer(board, tool), choose_probe(board), **more)


def refused(desk, board, firmware, tool, trouble="", **chip):
    desk.holds(trouble=trouble, **chip)
    with pytest.raises(FlashFailed) as raised:
        flash(desk, board, firmware, tool)
    assert raised.value.exit_code == 5
    assert raised.value.hint
    return raised.value


def held(desk):
    return [path.name for path in desk.chip.glob("flash.*")]


@pytest.mark.parametrize("tool", TOOLS)
def test_an_image_is_written(desk, nucleo, firmware, tool):
    shown = []
    flashed = flash(desk, nucleo, firmware, tool, show=shown.append)
    if tool == "st-flash":
        assert (desk.chip / "flash.bin").read_bytes() == CONTENT
    else:
        assert (desk.chip / "flash.elf").read_bytes() == firmware.elf.read_bytes()
    assert flashed.notes == ()
    assert flashed.programmer.startswith(tool + " ")
    assert flashed.programmer[-1].isdigit(), "its version is known"
    assert len(shown) == len(desk.commands) == len(flashed.commands) >= 2
    assert all(SERIAL in line or "st-info" in line for line in shown)


L4_OPENOCD = ["openocd", "-f", "board/st_nucleo_l4.cfg", "-c", f"adapter serial {SERIAL}",
              "-c", "gdb_port disabled", "-c", "tcl_port disabled", "-c", "telnet_port disabled"]  # fmt: skip
CUBE = ["STM32_Programmer_CLI", "-c", "port=SWD", f"sn={SERIAL}", "mode=UR"]
PROBE_RS = ["--chip", "STM32L4R5ZITx", "--protocol", "swd", "--probe", f"0483:374b:{SERIAL}"]
COMMANDS = {
    "STM32_Programmer_CLI": [[*CUBE, "-w", "ELF", "-v", "-rst"]],
    "openocd": [[*L4_OPENOCD, "-c", "program {ELF} verify reset exit"]],
    "st-flash": [["st-flash", "--serial", SERIAL, "--connect-under-reset", "--reset", "write", "BIN",
                  "0x08000000"]],
    "probe-rs": [["probe-rs", "download", *PROBE_RS, "--verify", "ELF"], ["probe-rs", "reset", *PROBE_RS]],
    "pyocd": [["pyocd", "load", "-W", "-t", "stm32l4r5zitx", "-u", SERIAL, "-M", "under-reset",
               "--format", "elf", "ELF"]],
}  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS)
def test_the_very_command_lines(desk, nucleo, firmware, tool):
    flash(desk, nucleo, firmware, tool)
    written = [
        [word.replace(str(firmware.elf), "ELF") if "/" in word else word for word in line]
        for line in desk.commands[1:]
    ]
    written = [["BIN" if word.endswith("/firmware.bin") else word for word in line] for line in written]
    assert written == COMMANDS[tool]


TROUBLES = {
    "no probe": "E_FLASH_NO_PROBE",
    "permission": "E_FLASH_PERMISSION",
    "busy": "E_FLASH_PROBE_BUSY",
    "no answer": "E_FLASH_CONNECT",
    "locked": "E_FLASH_LOCKED",
    "verify": "E_FLASH_VERIFY",
    "odd": "E_FLASH_FAILED",
}


@pytest.mark.parametrize(("tool", "trouble"), list(product(TOOLS, TROUBLES)))
def test_every_trouble_has_its_message(desk, nucleo, firmware, tool, trouble):
    error = refused(desk, nucleo, firmware, tool, trouble)
    assert error.code == TROUBLES[trouble]
    assert error.details[-1].startswith("command: ")
    assert held(desk) == []
    if trouble == "odd":
        assert "the cat sat on the keyboard" in " ".join(error.details)


@pytest.mark.parametrize("tool", ["STM32_Programmer_CLI", "openocd", "st-flash"])
def test_status_0_alone_proves_nothing(desk, nucleo, firmware, tool):
    error = refused(desk, nucleo, firmware, tool, "silent failure")
    assert error.code == "E_FLASH_FAILED"
    assert held(desk) == []


@pytest.mark.parametrize("tool", ["probe-rs", "pyocd"])
def test_a_chip_that_the_program_does_not_know(desk, nucleo, firmware, tool):
    error = refused(desk, nucleo, firmware, tool, "chip unknown")
    assert error.code == "E_FLASH_CHIP_UNKNOWN"
    assert "pyocd pack install stm32l4r5zitx" in error.hint


@pytest.mark.parametrize("tool", TOOLS)
def test_another_chip_is_not_written(desk, nucleo, firmware, tool):
    error = refused(desk, nucleo, firmware, tool, device_id="0x10076461")
    assert error.code == "E_FLASH_WRONG_CHIP"
    assert "0x461" in error.problem
    assert "0x470" in error.problem
    assert len(desk.commands) == 1, "nothing after the question for the id"
    assert held(desk) == []


def test_the_board_of_the_chip_that_is_there_is_named(desk, nucleo, firmware):
    stranger = replace(nucleo, name="stranger", flash=replace(nucleo.flash, device_id=0x123))
    error = refused(desk, stranger, firmware, "openocd")
    assert "nucleo_l4r5zi" in error.hint + error.details[0]


def test_an_id_that_is_not_told_is_noted(desk, nucleo, firmware):
    """st-info lists two probes, neither of them this one: the chip behind it is not known."""
    desk.install("st-flash")
    info = (desk.bin / "st-info").read_text()
    (desk.bin / "st-info").write_text(info.replace("(SERIAL, WORD & 0xFFF)", f'("{OTHER}", 0x461)'))
    flashed = flash_twice_installed(desk, nucleo, firmware)
    assert "was not checked" in flashed.notes[0]


def flash_twice_installed(desk, board, firmware):
    desk.plug()
    return flash_board(board, firmware, find_programmer(board, "st-flash"), choose_probe(board))


@pytest.mark.parametrize("tool", ["openocd", "probe-rs"])
def test_a_chip_that_closed_its_debug_port_is_reached_under_reset(desk, nucleo, firmware, tool):
    desk.holds(trouble="deaf")
    flashed = flash(desk, nucleo, firmware, tool)
    assert held(desk) == ["flash.elf"]
    assert "under reset" in flashed.notes[0]


def test_newer_and_older_versions(desk, nucleo, firmware):
    desk.holds(table=True)
    flash(desk, nucleo, firmware, "probe-rs")
    desk.holds(openocd="0.11.0")
    flash(desk, nucleo, firmware, "openocd")
    assert f"hla_serial {SERIAL}" in desk.commands[-1]


@pytest.mark.parametrize("tool", TOOLS)
def test_erase_and_reset(desk, nucleo, firmware, tool):
    flash(desk, nucleo, firmware, tool)
    programmer, probe = find_programmer(nucleo, tool), choose_probe(nucleo)
    erased = erase_board(nucleo, programmer, probe)
    assert "erase" in " ".join(erased.commands[-1]) or erased.commands[-1][-2:] == ("-e", "all")
    if tool == "openocd":
        assert held(desk) == []
    started = reset_board(nucleo, programmer, probe)
    assert len(started.commands) == 1
    desk.holds(device_id="0x10076461")
    with pytest.raises(FlashFailed) as raised:
        erase_board(nucleo, programmer, probe)
    assert raised.value.code == "E_FLASH_WRONG_CHIP", "somebody else's board is not erased"


@pytest.mark.parametrize("tool", TOOLS)
def test_a_program_that_hangs_is_ended_with_all_it_started(desk, nucleo, firmware, tool, monkeypatch):
    monkeypatch.setattr(verbs, "IDENTIFY_TIMEOUT_S", 0.4)
    monkeypatch.setattr(verbs, "WRITE_TIMEOUT_S", 0.4)
    begin = time.monotonic()
    error = refused(desk, nucleo, firmware, tool, "hang")
    assert error.code == "E_FLASH_TIMEOUT"
    assert time.monotonic() - begin < 10


def test_what_a_program_started_ends_with_it(tmp_path):
    note = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {note}; sleep 60"
    begin = time.monotonic()
    status, _ = verbs.run_bounded(["/bin/sh", "-c", script], 0.5)
    assert status is None
    assert time.monotonic() - begin < 5
    time.sleep(0.1)
    state = _state(int(note.read_text()))
    assert state in {None, "Z"}


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2]
    except OSError:
        return None


def test_a_keyboard_interrupt_ends_the_program(monkeypatch, tmp_path):
    ended = []
    monkeypatch.setattr(verbs, "_end", lambda process, group: (ended.append(process.pid), process.kill()))

    def interrupted(self, timeout=None):
        raise KeyboardInterrupt

    monkeypatch.setattr("subprocess.Popen.communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verbs.run_bounded(["/bin/sleep", "60"], 5)
    assert len(ended) == 1


# ---- which program ----


def test_the_first_that_is_installed(desk, nucleo):
    for tool in reversed(TOOLS):
        desk.install(tool)
        assert find_programmer(nucleo).name == tool
    assert find_programmer(nucleo, "pyocd").name == "pyocd"


def test_sts_programmer_is_found_in_its_own_folder(desk, nucleo):
    desk.install("openocd")
    desk.install("STM32_Programmer_CLI", folder=desk.folder / "cube")
    found = find_programmer(nucleo)
    assert (found.name, found.version) == ("STM32_Programmer_CLI", "2.17.0")


def test_no_program(desk, nucleo):
    with pytest.raises(FlashFailed) as raised:
        find_programmer(nucleo)
    assert raised.value.code == "E_FLASH_NO_TOOL"
    assert len(raised.value.details) == 5
    assert "openocd" in raised.value.hint
    with pytest.raises(FlashFailed) as raised:
        find_programmer(nucleo, "st-flash")
    assert "stlink" in raised.value.hint


def test_a_program_that_is_no_program(desk, nucleo, firmware):
    desk.install("openocd")
    programmer = find_programmer(nucleo)
    (desk.bin / "openocd").unlink()
    desk.plug()
    with pytest.raises(FlashFailed) as raised:
        flash_board(nucleo, firmware, programmer, choose_probe(nucleo))
    assert raised.value.code == "E_FLASH_NO_TOOL"


def test_wrong_names(desk, nucleo):
    with pytest.raises(UsageError) as raised:
        find_programmer(nucleo, "opencd")
    assert raised.value.code == "E_FLASH_TOOL_UNKNOWN"
    assert "did you mean openocd?" in raised.value.hint
    nameless = replace(nucleo, flash=replace(nucleo.flash, probe_rs=""))
    with pytest.raises(UsageError) as raised:
        find_programmer(nameless, "probe-rs")
    assert "STM32_Programmer_CLI, openocd, st-flash, pyocd" in raised.value.hint
    with pytest.raises(UsageError) as raised:
        find_programmer(load_board("qemu_mps2_an386"))
    assert raised.value.code == "E_FLASH_BOARD"


HARDWARE = [board for board in list_boards() if board.flash]


@pytest.mark.parametrize("board", HARDWARE, ids=lambda board: board.name)
@pytest.mark.parametrize("tool", ["openocd", "probe-rs", "pyocd"])
def test_every_board_by_its_own_names(desk, firmware, board, tool):
    """Each program asks at the board's own register, and takes the board's own names."""
    word = 0x10070000 | board.flash.device_id
    desk.holds(device_id=hex(word), register=f"{board.flash.device_id_register:#010x}")
    flash(desk, board, firmware, tool)
    assert held(desk)


def test_boards_do_not_share_a_chip_by_mistake():
    """One device id may stand for several boards only where one chip line does: L475 and L476."""
    ids = {}
    for board in HARDWARE:
        ids.setdefault(board.flash.device_id, []).append(board.name)
    assert {i: names for i, names in ids.items() if len(names) > 1 and i != 0x415} == {}
