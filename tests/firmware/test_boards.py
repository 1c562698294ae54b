"""Boards: the shipped files, and every mistake that a new one can hold."""

from __future__ import annotations

import pytest

from pipeline.boards import list_boards, load_board, read_board, simulator_for
from pipeline.errors import UsageError
from pipeline.registry import data_folder
from pipeline.targets import target_files

GOOD = (data_folder("board") / "nucleo_l4r5zi" / "board.toml").read_text(encoding="utf-8")


def test_every_shipped_board_is_read():
    names = [board.name for board in list_boards()]
    assert names == sorted(names)
    assert {"nucleo_l4r5zi", "qemu_mps2_an386", "host"} <= set(names)


def test_the_figures_of_a_board():
    board = load_board("nucleo_l4r5zi")
    assert (board.flash_bytes, board.ram_bytes, board.hclk_hz) == (2097152, 655360, 120_000_000)
    assert (board.core, board.has_dsp, board.is_simulated) == ("cortex-m4", True, True)
    assert (board.clock.pll, board.clock.flash_latency) == ({"m": 2, "n": 30, "r": 2}, 5)
    assert board.console.tx == "PG7"


def test_the_clock_that_the_pll_makes():
    """HSI16 / m * n / r, within what RM0432 allows for VCO input and output."""
    clock = load_board("nucleo_l4r5zi").clock
    vco_in = 16_000_000 / clock.pll["m"]
    assert 2.66e6 <= vco_in <= 16e6
    assert 64e6 <= vco_in * clock.pll["n"] <= 344e6
    assert vco_in * clock.pll["n"] / clock.pll["r"] == clock.hclk_hz


def test_the_simulator_of_a_board():
    assert simulator_for(load_board("nucleo_l4r5zi")).name == "nucleo_l4r5zi"
    assert simulator_for(load_board("nucleo_l4r5zi"), "qemu").name == "qemu_mps2_an386"
    assert simulator_for(load_board("qemu_mps2_an386"), "qemu").name == "qemu_mps2_an386"
    assert simulator_for(load_board("host")).name == "host"


def test_an_unknown_board_names_the_nearest():
    with pytest.raises(UsageError) as raised:
        load_board("nucleo_l4r5z")
    assert raised.value.code == "E_BOARD_UNKNOWN"
    assert "did you mean nucleo_l4r5zi?" in raised.value.hint
    assert "qemu_mps2_an386" in raised.value.hint


def test_target_files_name_templates_that_exist():
    for board in list_boards():
        for template, _ in target_files(board).values():
            assert (data_folder("firmware_templates") / template).is_file()
    assert set(target_files(load_board("host"))) == {"target/board.h"}


def read(tmp_path, text, folder="nucleo_l4r5zi"):
    path = tmp_path / folder / "board.toml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return read_board(path)


def test_a_copy_is_read(tmp_path):
    assert read(tmp_path, GOOD) == load_board("nucleo_l4r5zi")


MISTAKES = [
    ('cpu    = "cortex-m4"', 'cpu    = "cortex-m5"', "cpu: 'cortex-m5' is not known; did you mean cortex-m"),
    ('cpu    = "cortex-m4"', "", "cpu: is missing"),
    ('cpu    = "cortex-m4"', "cpu = 4", "cpu: is 4; expected a text"),
    ('fpu    = "fpv4-sp-d16"', 'fpu = "fpv4"', "fpu: 'fpv4' is not known; did you mean fpv4-sp-d16?"),
    ('soc    = "stm32l4"', 'soc = "stm32l44"', "soc: there is no board/soc/stm32l44.c; did you mean"),
    ('name   = "nucleo_l4r5zi"', 'name = "nucleo"', "name: is 'nucleo', and its folder is called"),
    ('length = "2M"', 'length = "2 MB"', "memory[0].length: is '2 MB'; expected bytes, such as 512K or 2M"),
    ('length = "2M"', 'length = "0K"', "memory[0].length: is '0K'"),
    ("origin = 0x0800_0000", "orign = 0x0800_0000", "memory[0].orign: is not known; did you mean origin?"),
    ("origin = 0x0800_0000", 'origin = "0x08"', "memory[0].origin: is '0x08'; expected an integer"),
    ('access = "rwx"', 'access = "rx"', "memory: ram must be writable"),
    ('access = "rwx"', 'access = "xwr"', "memory[1].access: is 'xwr'"),
    ("origin = 0x2000_0000", "origin = 0x0810_0000", "memory: flash (to 0x8200000) overlaps ram"),
    ("origin = 0x2000_0000", "origin = 0xFFFF_0000", "memory[1].length: reaches beyond"),
    ('name   = "ram"', 'name = "sram"', "memory: a region called 'ram' is missing"),
    ('name   = "ram"', 'name = "flash"', "memory: two regions are called 'flash'"),
    ("hclk_hz       = 120_000_000", "hclk_mhz = 120", "clock.hclk_mhz: is not known; did you mean hclk_hz?"),
    ("hclk_hz       = 120_000_000", "hclk_hz = true", "clock.hclk_hz: is True"),
    ("flash_latency = 5", "flash_latency = 99", "clock.flash_latency: is 99; expected 0 to 15"),
    ("m = 2, n = 30", "m = 2, x = 30", "clock.pll.x: is not known"),
    ('tx   = "PG7"', 'tx = "G7"', "console.tx: is 'G7'; expected a pin such as PA2"),
    ("baud = 115_200", "baud = 9", "console.baud: is 9; expected 1200 to"),
    ("[console]", "[run.qmeu]\n[console]", "run.qmeu: there is no such runner; did you mean qemu?"),
    ("[console]", "[consol]", "consol: is not known; did you mean console?"),
    ('title  = "ST NUCLEO-L4R5ZI"', 'title = "x"\nstack = 300', "stack: 300 bytes"),
    ("device_id = 0x470", "", "flash.device_id: is missing"),
    ("device_id = 0x470", "device_id = 0x1000", "flash.device_id: is 4096; expected 1 to 4095"),
    ("probe_rs  =", "probers =", "flash.probers: is not known; did you mean probe_rs?"),
]


@pytest.mark.parametrize(("old", "new", "complaint"), MISTAKES, ids=[new or "none" for _, new, _ in MISTAKES])
def test_a_mistake_is_named_with_file_and_key(tmp_path, old, new, complaint):
    assert old in GOOD
    with pytest.raises(UsageError) as raised:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert raised.value.code == "E_BOARD_INVALID"
    assert raised.value.where.endswith("board.toml")
    assert any(line.startswith(complaint) for line in raised.value.details), raised.value.details


def test_all_mistakes_are_told_at_once(tmp_path):
    text = GOOD.replace('length = "2M"', 'length = "x"').replace("baud = 115_200", "")
    with pytest.raises(UsageError) as raised:
        read(tmp_path, text)
    assert len(raised.value.details) == 2


@pytest.mark.parametrize("text", ["name = ", "\x00", "name = 'x'\nname = 'x'"])
def test_a_file_that_is_no_toml(tmp_path, text):
    with pytest.raises(UsageError, match="no board file"):
        read(tmp_path, text)
