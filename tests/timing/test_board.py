"""The table [timing] of a board file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.boards import list_boards, load_board
from pipeline.config import Settings
from pipeline.deploy import estimated_board
from pipeline.errors import UsageError
from pipeline.timing import can_estimate, timing_model


@pytest.fixture(scope="module")
def nucleo():
    return load_board("nucleo_l4r5zi")


def test_the_reference_board_is_what_its_manual_says(nucleo):
    model = timing_model(nucleo)
    assert (model.clock_hz, model.wait_states, model.read_bytes) == (120_000_000, 5, 8)
    assert model.instruction_lines * model.line_bytes == 1024
    assert model.data_lines * model.line_bytes == 256
    assert [(region.origin, region.length_bytes) for region in model.fetch_ram] == [(0x1000_0000, 65536)]


def test_every_table_can_be_read():
    boards = [board for board in list_boards() if can_estimate(board)]
    assert {"nucleo_l4r5zi", "nucleo_l476rg", "nucleo_g474re", "nucleo_f446re"} <= {b.name for b in boards}
    for board in boards:
        model = timing_model(board)
        if board.cpu == "cortex-m4":
            assert model.instruction_lines * model.line_bytes == 1024
        assert bool(model.evidence) is (board.name == "nucleo_l4r5zi")  # the others were never measured


def test_a_board_without_the_table_says_so(nucleo):
    for name in ("host", "qemu_mps2_an386"):
        assert not can_estimate(load_board(name))
        with pytest.raises(UsageError) as refused:
            timing_model(load_board(name))
        assert refused.value.code == "E_BOARD_TIMING"
    assert not can_estimate(replace(nucleo, cpu="cortex-m0plus"))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"prefetch": 1}, "timing.prefetch"),
        ({"flash_read_bits": 48}, "timing.flash_read_bits"),
        ({"flash_read_bits": None}, "timing.flash_read_bits"),
        ({"instruction_cache_lines": 513}, "timing.instruction_cache_lines"),
        ({"data_cache_lines": True}, "timing.data_cache_lines"),
        ({"data_cache_ways": 3}, "timing.data_cache_ways"),
        ({"cache_line_bytes": 4}, "timing.cache_line_bytes"),
        ({"prefetsh": True}, "did you mean prefetch"),
    ],
)
def test_every_mistake_is_named(nucleo, changes, named):
    with pytest.raises(UsageError) as refused:
        timing_model(replace(nucleo, timing={**nucleo.timing, **changes}))
    assert refused.value.code == "E_BOARD_TIMING"
    assert any(named in line for line in refused.value.details)


def test_flash_at_half_the_clock_costs_its_own_cycle_too():
    """Four wait states are five cycles of the bus, ten of the core: nine more than none."""
    board = load_board("nucleo_h743zi2")
    assert (board.clock.flash_latency, timing_model(board).wait_states) == (4, 9)


def test_a_core_that_is_not_described_says_what_is_assumed():
    for board in (board for board in list_boards() if can_estimate(board)):
        model = timing_model(board)
        assert bool(model.assumptions) is (board.cpu != "cortex-m4")
        assert model.is_bracket is (board.cpu == "cortex-m7")


def test_whose_cycles_are_estimated(nucleo):
    simulated = load_board("qemu_mps2_an386")
    assert estimated_board(Settings(), nucleo).board == "nucleo_l4r5zi"
    assert estimated_board(Settings(), simulated).board == "nucleo_l4r5zi"
    assert estimated_board(Settings(estimate_for="nucleo_l4r5zi"), simulated).board == "nucleo_l4r5zi"
    assert estimated_board(Settings(estimate_for="none"), nucleo) is None
    for name in ("nucleo_l4r5", "host"):
        with pytest.raises(UsageError):
            estimated_board(Settings(estimate_for=name), nucleo)
