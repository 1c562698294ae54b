"""The boards that come with the pipeline: their figures, the image of each, and which of them fit a model."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pipeline.boards import boards_that_fit, list_boards, load_board, simulator_for
from pipeline.build import build_firmware
from pipeline.chips import CHIPS, uart_bus
from pipeline.registry import data_folder
from pipeline.targets import RamNeeded, hal_sources, target_files
from tests.firmware.small_model import small_tree

STM32 = [board.name for board in list_boards() if board.is_stm32]
TARGETS = [board.name for board in list_boards() if board.cpu != "native"]
# Core and MHz; flash and RAM in KiB; wait states; UART and its clock in MHz: ST's data sheets and manuals.
FIGURES = {
    "b_l475e_iot01a": ("cortex-m4", 80, 1024, 96, 4, "USART1", 80),
    "nucleo_f401re": ("cortex-m4", 84, 512, 96, 2, "USART2", 42),
    "nucleo_f446re": ("cortex-m4", 180, 512, 128, 5, "USART2", 45),
    "nucleo_f767zi": ("cortex-m7", 216, 2048, 512, 7, "USART3", 54),
    "nucleo_g474re": ("cortex-m4", 170, 512, 128, 4, "LPUART1", 170),
    "nucleo_h743zi2": ("cortex-m7", 480, 2048, 512, 4, "USART3", 120),
    "nucleo_l476rg": ("cortex-m4", 80, 1024, 96, 4, "USART2", 80),
    "nucleo_l4r5zi": ("cortex-m4", 120, 2048, 640, 5, "LPUART1", 120),
    "nucleo_u575zi_q": ("cortex-m33", 160, 2048, 768, 4, "USART1", 160),
}  # fmt: skip


def test_the_figures_are_those_of_the_data_sheets():
    found = {}
    for name in STM32:
        board = load_board(name)
        clock = board.clock
        uart_mhz = clock.hclk_hz / clock.ahb_divider / getattr(clock, uart_bus(board.console.uart)) / 1e6
        found[name] = (
            board.cpu, board.hclk_hz / 1e6, board.flash_bytes // 1024, board.ram_bytes // 1024,
            clock.flash_latency, board.console.uart, uart_mhz,
        )  # fmt: skip
    assert found == FIGURES


@pytest.mark.parametrize("name", STM32)
def test_a_board_runs_at_the_most_its_chip_allows(name):
    board = load_board(name)
    assert board.hclk_hz == CHIPS[board.chip].core_hz
    assert board.flash is not None
    assert board.flash.device_id


def test_memory_that_fetches_without_waiting():
    marked = {
        (board.name, region.origin, region.length_bytes // 1024, region.alias)
        for board in list_boards()
        for region in board.memory
        if region.zero_wait_fetch
    }
    assert marked == {
        ("b_l475e_iot01a", 0x1000_0000, 32, None),
        ("nucleo_f767zi", 0, 16, None),
        ("nucleo_g474re", 0x1000_0000, 32, 0x2001_8000),
        ("nucleo_h743zi2", 0, 64, None),
        ("nucleo_l476rg", 0x1000_0000, 32, None),
        ("nucleo_l4r5zi", 0x1000_0000, 64, 0x2003_0000),
        ("qemu_mps2_an386", 0x0100_0000, 16, None),
        ("qemu_mps2_an505", 0x3000_0000, 32, None),
    }


@pytest.mark.parametrize("name", STM32)
def test_every_stm32_has_a_simulator_of_its_core(name):
    board = load_board(name)
    other = simulator_for(replace(board, run={}))
    assert "qemu" in other.run
    assert other.cpu == board.cpu


@pytest.mark.parametrize("name", TARGETS)
def test_the_hal_holds_what_it_includes_and_no_other_family(name):
    board = load_board(name)
    files = hal_sources(board)
    assert f"board/soc/{board.soc}.c" in files
    assert files["board/soc/hal.h"] == (data_folder("board") / "soc" / "hal.h").read_text(encoding="utf-8")
    for text in files.values():
        for header in re.findall(r'#include "(board/[^"]+)"', text):
            assert header in files
    families = {path.stem for path in (data_folder("board") / "soc").glob("stm32??.c")}
    assert {path.removeprefix("board/soc/").removesuffix(".c") for path in files} & families <= {board.soc}


@pytest.mark.toolchain
@pytest.mark.parametrize("name", TARGETS)
def test_an_image_of_every_board_is_built_without_a_warning(name, tmp_path):
    """-Werror: a warning would be an error."""
    board = load_board(name)
    firmware = build_firmware(small_tree(board), board, tmp_path)
    places = {section: address for section, address, _ in firmware.sections}
    assert places[".vectors"] == board.region("flash").origin
    assert places[".stack"] == board.data_region.origin
    assert f"-mcpu={board.cpu}" in firmware.flags


def region_of_arena(board, arena):
    layout = target_files(board, RamNeeded(arena=arena))["target/link.ld"][1]["layout"]
    return layout.data, layout.arena


def test_the_arena_goes_to_the_fast_memory_while_it_fits():
    board = load_board("nucleo_h743zi2")
    assert region_of_arena(board, 128 * 1024) == ("dtcm", "dtcm")
    assert region_of_arena(board, 128 * 1024 + 1) == ("dtcm", "ram")
    assert region_of_arena(load_board("nucleo_f767zi"), 128 * 1024 + 1) == ("ram", "ram")


@pytest.mark.toolchain
def test_an_arena_beyond_the_fast_memory_lies_in_the_large_one(tmp_path):
    board = load_board("nucleo_h743zi2")
    tree = small_tree(board, needed=RamNeeded(arena=board.data_region.length_bytes + 1))
    places = {name: address for name, address, _ in build_firmware(tree, board, tmp_path).sections}
    assert places[".arena"] == 0x2400_0000
    assert places[".stack"] == 0x2000_0000


def test_boards_that_fit_are_boards_to_buy():
    asked = load_board("nucleo_f446re")
    fitting = boards_that_fit(600_000, 10_000, asked)
    assert fitting == (
        "b_l475e_iot01a", "nucleo_f767zi", "nucleo_h743zi2",
        "nucleo_l476rg", "nucleo_l4r5zi", "nucleo_u575zi_q",
    )  # fmt: skip
    assert boards_that_fit(600_000, 600_000, asked) == ("nucleo_l4r5zi", "nucleo_u575zi_q")
    assert boards_that_fit(1, 1, load_board("host"))[0] == "b_l475e_iot01a"
    assert "host" in boards_that_fit(1, 1, load_board("host"))
    assert not set(boards_that_fit(1, 1, asked)) & {"host", "qemu_mps2_an386"}
