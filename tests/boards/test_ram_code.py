"""Code and constants that are copied into RAM at start-up: where they lie, what they cost, that they run."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline import cli, render
from pipeline.boards import list_boards, load_board
from pipeline.build import CODE_OVERFLOW, build_firmware
from pipeline.config import Settings
from pipeline.deploy import build_image, deploy, run_image
from pipeline.errors import DoesNotFit, UsageError
from pipeline.runners import Stimulus
from pipeline.runners.qemu import Qemu
from pipeline.runners.unicorn import Unicorn
from pipeline.targets import RamNeeded, plan_layout
from pipeline.timing import estimate_cycles, timing_model
from tests.firmware.small_model import KERNEL_C, MODEL_C, WEIGHTS_C, small_layers, small_tree
from tests.tflite_chains import clamped_convolution

pytestmark = pytest.mark.toolchain
KIB = 1024
TARGETS = [board.name for board in list_boards() if board.cpu != "native"]
SAMPLES = np.random.default_rng(7).integers(0, 256, (3, 24), dtype=np.uint8)
# Where code in RAM goes when the data leave room: the first address.
CODE_AT = {
    "b_l475e_iot01a": 0x1000_0000,
    "nucleo_f401re": None,
    "nucleo_f446re": None,
    "nucleo_f767zi": 0x0000_0000,
    "nucleo_g474re": 0x1000_0000,
    "nucleo_h743zi2": 0x0000_0000,
    "nucleo_l476rg": 0x1000_0000,
    "nucleo_l4r5zi": 0x1000_0000,
    "nucleo_u575zi_q": None,
    "qemu_mps2_an386": 0x0100_0000,
    "qemu_mps2_an500": None,
    "qemu_mps2_an505": 0x3000_0000,
}
# The kernel in RAM calls a function in flash, and through a pointer one in RAM; the weights are in RAM too.
KERNEL = KERNEL_C.replace(
    "void small_add(",
    """uint8_t small_plus(uint8_t a, uint8_t b);

__attribute__((section(".ramcode.twice"), noinline)) static uint8_t same(uint8_t value) { return value; }
static uint8_t (*volatile through)(uint8_t) = same;

__attribute__((section(".ramcode"))) void small_add(""",
).replace("(uint8_t)(to[i] + small_one[i])", "through(small_plus(to[i], small_one[i]))")
assert "through(small_plus" in KERNEL
PLUS = """#include <stdint.h>
uint8_t small_plus(uint8_t a, uint8_t b);
uint8_t small_plus(uint8_t a, uint8_t b) { return (uint8_t)(a + b); }
"""
WEIGHTS = WEIGHTS_C.replace("const uint8_t", '__attribute__((section(".ramweights"))) const uint8_t')
FILES = {
    "kernels/portable/small.c": KERNEL,
    "kernels/portable/plus.c": PLUS,
    "model/small_weights.c": WEIGHTS,
}


def tree(board, **options):
    return small_tree(board, extra=FILES, **options)


def address(firmware, section):
    return next((start for name, start, _ in firmware.sections if name == section), None)


def size(firmware, section):
    return next(count for name, _, count in firmware.sections if name == section)


@pytest.fixture(scope="module", params=TARGETS)
def built(request, tmp_path_factory):
    board = load_board(request.param)
    return board, build_firmware(tree(board), board, tmp_path_factory.mktemp(board.name))


def test_code_lies_where_it_is_fetched_without_waiting(built):
    board, firmware = built
    assert address(firmware, ".ramcode") == CODE_AT[board.name]
    if CODE_AT[board.name] is not None:
        region = next(region for region in board.memory if region.zero_wait_fetch)
        assert CODE_AT[board.name] in range(region.origin, region.end)


def test_weights_lie_where_the_arena_does(built):
    board, firmware = built
    assert address(firmware, ".ramweights") in range(board.data_region.origin, board.data_region.end)
    assert address(firmware, ".arena") < address(firmware, ".ramweights"), "the fastest RAM comes first"


def test_the_copies_are_counted_in_flash_and_in_ram_by_name(built):
    board, firmware = built
    for parts, total in (
        (firmware.flash_parts, firmware.flash_bytes),
        (firmware.ram_parts, firmware.ram_bytes),
    ):
        assert sum(parts.values()) == total
        assert parts["weights in RAM"] == size(firmware, ".ramweights") == 24
        if CODE_AT[board.name] is None:
            assert "code in RAM" not in parts
        else:
            assert size(firmware, ".ramcode") - 8 < parts["code in RAM"] <= size(firmware, ".ramcode")
    assert "weights" not in firmware.flash_parts
    assert firmware.weights_bytes == 24
    by_name = {symbol.name: symbol for symbol in firmware.symbols}
    where = "flash" if CODE_AT[board.name] is None else "flash+" + code_region(board).name
    assert (by_name["small_add"].region, by_name["small_add"].source) == (where, "kernels/portable/small.c")
    assert by_name["small_one"].part == "weights in RAM"


def code_region(board):
    return next(region for region in board.memory if region.zero_wait_fetch)


@pytest.mark.simulator
def test_it_runs(built):
    board, firmware = built
    runner = Unicorn() if board.is_stm32 else Qemu()
    outputs = runner.run(firmware, board, Stimulus(SAMPLES, timed_runs=2)).outputs
    assert [row.tobytes() for row in outputs] == [small_layers(row.tobytes())[-1] for row in SAMPLES]


@pytest.mark.parametrize("name", ["nucleo_l4r5zi", "nucleo_h743zi2", "qemu_mps2_an505"])
def test_never_leaves_code_in_flash(name, tmp_path):
    board = load_board(name)
    firmware = build_firmware(tree(board, code_in_ram=False), board, tmp_path)
    assert address(firmware, ".ramcode") is None
    by_name = {symbol.name: symbol for symbol in firmware.symbols}
    assert (by_name["small_add"].region, by_name["small_add"].part) == ("flash", "kernels")


@pytest.mark.parametrize("name", ["nucleo_l4r5zi", "nucleo_h743zi2"])
def test_what_nobody_asks_for_costs_nothing(name):
    board = load_board(name)
    files, never = small_tree(board).files, small_tree(board, code_in_ram=False).files
    assert files == never
    assert "ramcode_load" not in files["target/link.ld"] + files["target/startup.c"]


# ---- memory that is seen at two addresses ----


def overlap(board, firmware, section):
    """Whether code in RAM and a section are the same bytes of the chip."""
    region = code_region(board)
    low = address(firmware, ".ramcode") - region.origin + region.alias
    start = address(firmware, section)
    return low < start + size(firmware, section) and start < low + size(firmware, ".ramcode")


BIG_ARENA = "uint8_t small_arena[{}] __attribute__"
# Bytes of arena, and where code and arena are put then; code None: it stays in flash.
L4R5 = [
    (150 * KIB, 0x1000_0000, 0x2000_0000),
    (200 * KIB, 0x1000_0000, 0x2004_0000),
    (383 * KIB, 0x1000_0000, 0x2004_0000),
    (420 * KIB, 0x1000_0000, 0x2003_6C00),
    (438 * KIB, 0x1000_0000, 0x2003_2400),
    (450 * KIB, None, 0x2000_0000),
    (600 * KIB, None, 0x2000_0000),
]
G4 = [
    (60 * KIB, 0x1000_0000, 0x2000_0000),
    (110 * KIB, 0x1000_4C00, 0x2000_0000),
    (120 * KIB, None, 0x2000_0000),
]


@pytest.mark.parametrize(
    ("name", "arena", "code_at", "arena_from"),
    [("nucleo_l4r5zi", *case) for case in L4R5] + [("nucleo_g474re", *case) for case in G4],
)
def test_no_byte_is_code_and_data(name, arena, code_at, arena_from, tmp_path):
    board = load_board(name)
    model = MODEL_C.replace("uint8_t small_arena[64] __attribute__", BIG_ARENA.format(arena))
    padding = ".space 6144"
    kernel = KERNEL + f'__asm(".section .ramcode,\\"ax\\",%progbits\\n{padding}\\n.text");\n'
    files = {**FILES, "model/small.c": model.replace("@LAST@", ""), "kernels/portable/small.c": kernel}
    needed = RamNeeded(data=board.stack_bytes + 2048 + 24, arena=arena + 24)
    firmware = build_firmware(small_tree(board, extra=files, needed=needed), board, tmp_path)
    assert address(firmware, ".ramcode") == code_at
    assert arena_from <= address(firmware, ".arena") < arena_from + 4 * KIB
    assert size(firmware, ".arena") == arena
    claimed = sum(
        count for section, start, count in firmware.sections if start >= 0x2000_0000 or start == code_at
    )
    assert claimed <= firmware.ram_bytes < claimed + 64
    if code_at is not None:
        assert not any(overlap(board, firmware, section) for section in (".stack", ".data", ".bss", ".arena"))


def test_code_that_is_too_large_for_its_memory_is_told_with_the_way_out(tmp_path):
    board = load_board("nucleo_f767zi")
    kernel = KERNEL + '__asm(".section .ramcode,\\"ax\\",%progbits\\n.space 16384\\n.text");\n'
    with pytest.raises(DoesNotFit) as raised:
        build_firmware(
            small_tree(board, extra={**FILES, "kernels/portable/small.c": kernel}), board, tmp_path
        )
    assert raised.value.code == CODE_OVERFLOW
    assert "itcm of nucleo_f767zi is" in raised.value.problem
    assert "(it has 16384)" in raised.value.problem
    assert "--code-in-ram never" in raised.value.hint


def test_the_layout_of_the_fast_memory_of_an_m7():
    board = load_board("nucleo_h743zi2")
    small, large = RamNeeded(data=4 * KIB, arena=100 * KIB), RamNeeded(data=4 * KIB, arena=500 * KIB)
    assert [plan_layout(board, needed).arena for needed in (small, large)] == ["dtcm", "ram"]
    assert {plan_layout(board, needed).data for needed in (small, large)} == {"dtcm"}
    assert plan_layout(board, large).code == "itcm"
    assert plan_layout(board, large, code_in_ram=False).code is None


def test_fast_memory_takes_the_arena_before_constants():
    """What is read and written most lies in DTCM, whatever is copied into RAM besides."""
    board = load_board("nucleo_h743zi2")
    few, many = (RamNeeded(data=4 * KIB, arena=22 * KIB, weights=kib * KIB) for kib in (100, 136))
    large = RamNeeded(data=4 * KIB, arena=130 * KIB, weights=1 * KIB)
    for needed, named, places in (
        (few, None, ("dtcm", "dtcm")),
        (many, None, ("dtcm", "ram")),
        (large, None, ("ram", "ram")),
        (few, "ram", ("dtcm", "ram")),
        (many, "dtcm", ("ram", "dtcm")),
    ):
        layout = plan_layout(board, needed, weights_region=named)
        assert (layout.arena, layout.weights) == places, (needed, named)


@pytest.mark.parametrize("weights_kib", range(280, 384, 8))
def test_code_in_the_middle_of_ram_has_room_where_there_is_a_way(weights_kib):
    """Between an arena and constants, too, where both behind it would leave it a few kilobytes."""
    board = load_board("nucleo_l4r5zi")
    needed = RamNeeded(data=6 * KIB, arena=75 * KIB, weights=weights_kib * KIB)
    layout = plan_layout(board, needed)
    lengths = {region.name: region.length_bytes for region in layout.regions}
    assert layout.code is not None
    assert lengths[layout.code] >= 20 * KIB
    claimed = dict.fromkeys(lengths, 0)
    for name, count in (
        (layout.data, needed.data), (layout.arena, needed.arena), (layout.weights, needed.weights),
    ):  # fmt: skip
        claimed[name] += count
    assert all(count <= lengths[name] for name, count in claimed.items())


@pytest.mark.simulator
@pytest.mark.parametrize("name", ["nucleo_l4r5zi", "qemu_mps2_an386"])
def test_the_timing_model_fetches_code_in_ram_without_waiting(name, tmp_path):
    """The same image twice, its kernel in flash and in RAM: what the kernel waits for differs."""
    board = load_board(name)
    model = replace(timing_model(load_board("nucleo_l4r5zi")), instruction_lines=0)
    stalls = {}
    for code_in_ram in (False, True):
        folder = tmp_path / str(code_in_ram)
        firmware = build_firmware(tree(board, code_in_ram=code_in_ram), board, folder)
        estimate = estimate_cycles(
            firmware,
            board,
            model,
            SAMPLES[0],
            ((0,), (1,), (2,)),
            folder,
            lambda *_: None,
            board.simulators[0],
        )
        parts = {part.name: part.figures.fetch_stall_cycles for part in estimate.functions}
        stalls[code_in_ram] = parts["same"]
    assert stalls[True] == 0 < stalls[False]


# ---- from a model on ----


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A model whose convolution runs from RAM; and more code there, if a test asks for it."""
    path = tmp_path / "network.tflite"
    path.write_bytes(clamped_convolution(np.random.default_rng(0), 6, (2, 3), ("RELU",), (2, 2)))
    copied, name = render._copied, "kernels/portable/conv_2d.c"

    def with_code_in_ram(*arguments):
        files = copied(*arguments)
        assert "void conv_2d_portable(" in files[name]
        files[name] = files[name].replace(
            "void conv_2d_portable(", '__attribute__((section(".ramcode"))) void conv_2d_portable('
        )
        return {**files, name: files[name] + network.more}

    network = type("Network", (), {"path": path, "more": ""})()
    monkeypatch.setattr(render, "_copied", with_code_in_ram)
    return network


def build(network, **settings):
    options = {"model": network.path, "board": "nucleo_l476rg", "output": network.path.parent / "out"}
    return build_image(Settings(**{**options, **settings}), lambda *_: None)


def test_the_setting_decides(network):
    _, firmware = build(network)
    assert firmware.ram_parts["code in RAM"] > 100
    generated, firmware = build(network, code_in_ram="never")
    assert "code in RAM" not in firmware.ram_parts
    assert generated.tree.digest == firmware.digest


def test_code_that_its_ram_does_not_hold_stays_in_flash(network):
    network.more = '__asm(".section .ramcode,\\"ax\\",%progbits\\n.space 32768\\n.text");\n'
    generated, firmware = build(network)
    assert "code in RAM" not in firmware.ram_parts
    assert firmware.flash_parts["kernels"] > 32768
    assert generated.tree.digest == firmware.digest


@pytest.mark.simulator
def test_the_report_tells_of_it(network):
    settings = Settings(model=network.path, board="nucleo_l476rg", output=network.path.parent / "out")
    report, _ = deploy(settings, lambda *_: None)
    assert report.verdict.level == "green"
    assert report.linked.flash_parts["code in RAM"] == report.linked.ram_parts["code in RAM"] > 100
    assert report.board.ram_bytes == 128 * KIB
    page = (network.path.parent / "out" / "report.md").read_text(encoding="utf-8")
    assert "code in RAM" in page


def test_the_option_is_one_of_the_command(network, capsys, monkeypatch):
    words = ["build", str(network.path), "--board", "nucleo_l476rg", "-o", str(network.path.parent / "out")]
    monkeypatch.setattr("sys.argv", ["stm32-deploy", *words, "--code-in-ram", "never", "--format", "json"])
    assert cli.main() == 0
    assert "code in RAM" not in json.loads(capsys.readouterr().out)["ram_parts"]


# ---- weights in a region that is named ----


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("nucleo_l4r5zi", "ram"), ("nucleo_l476rg", "sram2"), ("nucleo_h743zi2", "dtcm"),
        ("nucleo_h743zi2", "ram"), ("nucleo_f767zi", "itcm"),
    ],
)  # fmt: skip
def test_all_weights_lie_in_the_region_that_was_named(network, name, region):
    settings = Settings(
        model=network.path, board=name, output=network.path.parent / "out", weights_region=region
    )
    report, _ = deploy(settings, lambda *_: None)
    assert report.verdict.level == "green"
    assert "weights" not in report.linked.flash_parts
    assert report.linked.flash_parts["weights in RAM"] == report.linked.ram_parts["weights in RAM"] > 80
    place = next(section.address for section in report.linked.sections if section.name == ".ramweights")
    memory = load_board(name).region(region)
    assert place in range(memory.origin, memory.end)
    ram = next(row for row in report.figures if row.key == "ram")
    assert abs(ram.predicted.value - ram.linked.value) < KIB
    assert f"--weights-region {region}" in report.provenance["command"]


def test_a_simulated_board_in_place_of_another_takes_them_beside_the_arena(network):
    settings = {"model": network.path, "board": "nucleo_l476rg", "output": network.path.parent / "out"}
    executed = run_image(Settings(**settings, weights_region="sram2", runner="qemu"), lambda *_: None)
    assert executed.firmware.board == "qemu_mps2_an386"
    assert "weights" not in executed.firmware.flash_parts


@pytest.mark.parametrize(
    ("name", "region", "words"),
    [
        ("nucleo_l4r5zi", "ran", "has no memory region 'ran'"),
        ("nucleo_l4r5zi", "sram2", "a part of its other memory"),
        ("nucleo_l4r5zi", "flash", "cannot be written"),
        ("nucleo_f446re", "dtcm", "has no memory region 'dtcm'"),
    ],
)
def test_a_region_that_cannot_take_weights_is_refused_with_those_that_can(network, name, region, words):
    with pytest.raises(UsageError) as raised:
        build(network, board=name, weights_region=region)
    assert raised.value.code == "E_WEIGHTS_REGION"
    assert words in raised.value.problem
    assert "ram" in raised.value.hint


def test_weights_that_the_region_does_not_hold(network, monkeypatch):
    small = load_board("nucleo_l476rg")
    memory = tuple(replace(r, length_bytes=64 if r.name == "sram2" else r.length_bytes) for r in small.memory)
    monkeypatch.setattr("pipeline.deploy.load_board", lambda name: replace(small, memory=memory))
    with pytest.raises(DoesNotFit) as raised:
        build(network, weights_region="sram2")
    assert "bytes of sram2, nucleo_l476rg has 64" in raised.value.problem
