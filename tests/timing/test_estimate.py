"""A whole image in QEMU under the timing core, held against what QEMU itself counts."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pipeline.boards import load_board
from pipeline.build import build_firmware
from pipeline.errors import BuildFailed, TargetFailed
from pipeline.report import make_report, report_html, report_json, report_markdown, summarize
from pipeline.runners import Stimulus, find_runner
from pipeline.timing import Figures, estimate_cycles, one_layer_a_step, timing_model
from pipeline.timing.estimate import _plugin_option
from pipeline.timing.instructions import Kind, read_image
from pipeline.timing.profile import read_profile
from tests.firmware.small_model import INPUT_BYTES, LAYERS, small_tree
from tests.unit import report_samples as samples

pytestmark = [pytest.mark.simulator, pytest.mark.toolchain]
SAMPLE = np.arange(INPUT_BYTES, dtype=np.uint8)
STEPS = one_layer_a_step(LAYERS)


def quiet(stage, done, total):
    pass


@pytest.fixture(scope="module")
def board():
    return load_board("qemu_mps2_an386")


@pytest.fixture(scope="module")
def model():
    return timing_model(load_board("nucleo_l4r5zi"))


@pytest.fixture(scope="module")
def firmware(board, tmp_path_factory):
    return build_firmware(small_tree(board), board, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler for this computer")
    return tmp_path_factory.mktemp("timing")


@pytest.fixture(scope="module")
def estimate(firmware, board, model, folder):
    return estimate_cycles(firmware, board, model, SAMPLE, STEPS, folder, quiet)


def test_the_counts_are_those_of_the_simulator(estimate, firmware, board):
    """QEMU's own clock counts from one read of the timer to the next: the call of a layer is inside."""
    stimulus = Stimulus(inputs=SAMPLE[np.newaxis], timed_runs=2)
    transcript = find_runner("qemu").run(firmware, board, stimulus)
    laps = zip(transcript.layers[0], estimate.layers, strict=True)
    assert {counted - own.instructions for counted, own in laps} == {
        3
    }  # load the function's address, bring it to its register, blx
    assert transcript.totals[0] - estimate.total.instructions == 5  # bl run_layers with its argument


def test_the_parts_sum_to_the_whole(estimate):
    whole = estimate.total
    assert sum(estimate.layers, estimate.outside) == whole
    assert sum((part.figures for part in estimate.functions), Figures()) == whole
    assert whole.zero_wait_cycles + whole.fetch_stall_cycles + whole.data_stall_cycles == whole.cycles
    assert whole.instructions < whole.zero_wait_cycles <= whole.cycles
    blocks = sum((block.figures for block in estimate.blocks), Figures())
    assert 0.5 * whole.cycles < blocks.cycles <= whole.cycles


def test_layers_are_told_apart_by_what_the_harness_writes(estimate):
    """24 rounds of adding, 12 of pairing, 10 of negating, each round a few instructions."""
    adding, pairing, negating = (layer.instructions for layer in estimate.layers)
    assert adding > 24 * 4
    assert adding > pairing > negating > 10 * 3


def test_the_hottest_block_has_its_source_line(estimate):
    block = estimate.blocks[0]
    assert re.fullmatch(r"(kernels/portable|model)/small\.c:\d+(-\d+)?", block.source)
    assert block.executions in (10, 12, 24)
    assert block.function in {part.name for part in estimate.functions}


def test_the_same_estimate_at_every_run(estimate, firmware, board, model, folder):
    assert estimate_cycles(firmware, board, model, SAMPLE, STEPS, folder, quiet) == estimate


def test_a_board_without_wait_states_has_no_stalls(firmware, board, model, folder, estimate):
    fast = estimate_cycles(firmware, board, replace(model, wait_states=0), SAMPLE, STEPS, folder, quiet)
    assert fast.total.cycles == fast.total.zero_wait_cycles == estimate.total.zero_wait_cycles
    assert fast.total.instructions == estimate.total.instructions


def test_the_counted_inference_finds_its_caches_warm(firmware, board, model, folder):
    """In caches that hold all of the small image, only the first inference waits for flash."""
    large = replace(model, instruction_lines=64, data_lines=64)
    warm = estimate_cycles(firmware, board, large, SAMPLE, STEPS, folder, quiet)
    assert warm.total.cycles == warm.total.zero_wait_cycles


def test_smaller_caches_stall_more(firmware, board, model, folder, estimate):
    small = replace(model, instruction_lines=2, data_lines=0)
    slow = estimate_cycles(firmware, board, small, SAMPLE, STEPS, folder, quiet)
    assert slow.total.zero_wait_cycles == estimate.total.zero_wait_cycles
    assert slow.total.fetch_stall_cycles > estimate.total.fetch_stall_cycles
    assert slow.total.data_stall_cycles > estimate.total.data_stall_cycles


def test_callgrind_reads_the_same_sums(estimate):
    text = estimate.callgrind
    costs = [list(map(int, line.split()[2:])) for line in text.splitlines() if line.startswith("0x")]
    total = re.search(r"^totals: (.*)$", text, re.MULTILINE)
    sums = [sum(column) for column in zip(*costs, strict=True)]
    assert sums[:2] == [estimate.total.instructions, estimate.total.cycles]
    assert sums[2] + sums[3] + sums[4] == sums[1]
    assert [int(n) for n in total[1].split()] == sums
    assert "fn=small_add" in text


def test_without_a_compiler_it_is_refused_with_a_way_out(firmware, board, model, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BuildFailed) as refused:
        estimate_cycles(firmware, board, model, SAMPLE, STEPS, tmp_path, quiet)
    assert refused.value.code == "E_HOST_COMPILER"
    assert refused.value.hint


def test_a_folder_with_a_comma_in_its_name_is_no_second_argument(tmp_path):
    option = _plugin_option(tmp_path / "a,b.so", out=tmp_path / "c,d")
    assert option == f"{tmp_path}/a,,b.so,out={tmp_path}/c,,d"


def test_an_image_of_another_shape_gives_no_figures(firmware, board, model, folder):
    """Told of more layers than there are, the core never sees the end of an inference."""
    with pytest.raises(TargetFailed) as refused:
        estimate_cycles(firmware, board, model, SAMPLE, one_layer_a_step(LAYERS + 40), folder, quiet)
    assert refused.value.code == "E_ESTIMATE"


def test_a_step_whose_layers_were_inlined_is_refused(firmware, board, model, folder):
    with pytest.raises(TargetFailed, match="layer_1") as refused:
        estimate_cycles(firmware, board, model, SAMPLE, ((0, 1), (2,)), folder, quiet)
    assert refused.value.code == "E_ESTIMATE"


def test_a_profile_cut_short_is_refused(tmp_path):
    (tmp_path / "cut").write_text("layer 0 1 2 3 4 5\nlayer 1 1 2 3 4 5\n")
    for name in ("cut", "missing"):
        with pytest.raises(TargetFailed):
            read_profile(tmp_path / name)


# ---- in the report --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reported(estimate):
    """The small image's figures under the names of the report tests' network, which has six layers."""
    layers = (*estimate.layers, *estimate.layers)
    return replace(estimate, layers=layers)


def test_the_report_shows_estimated_cycles_beside_the_convention(reported):
    report = make_report(**samples.FULL.but(estimate=reported).inputs)
    held = json.loads(report_json(report))["estimated"]
    assert held["cycles"] == reported.total.cycles
    assert held["zero_wait_cycles"] + held["fetch_stall_cycles"] + held["data_stall_cycles"] == held["cycles"]
    assert held["seconds"] == reported.total.cycles / 120e6
    assert held["board"] == "nucleo_l4r5zi"
    assert [layer["name"] for layer in held["layers"]] == [call.name for call in samples.PROGRAM.calls]
    assert held["low_cycles"] < held["cycles"] < held["high_cycles"]
    for page in (report_html(report), report_markdown(report)):
        assert "Estimated cycles on ST NUCLEO-L4R5ZI" in page
        assert "one MACC a cycle" in page
        assert "linked for qemu_mps2_an386" in page
        assert "very image" not in page
        assert f"{reported.total.cycles:,}" in page
    summary = summarize(report)
    assert "estimated" in summary.header
    assert any(f"{reported.total.cycles:,}" in row for row in summary.rows)


def test_a_report_on_the_very_image_says_so(reported):
    same = replace(reported, image_board="nucleo_l4r5zi")
    assert "the very image that would be flashed" in report_html(
        make_report(**samples.FULL.but(estimate=same).inputs)
    )


def test_a_report_without_an_estimate_has_no_column_for_it_and_says_why():
    report = make_report(**samples.FULL.but(no_estimate="the C compiler cc was not found").inputs)
    assert report.estimated is None
    assert "estimated" not in summarize(report).header
    assert any("the C compiler cc was not found" in note for note in report.verdict.notes)


@pytest.mark.parametrize(
    ("fetch", "evidence", "percent"), [(10, "x", 5.0), (40, "x", 25.0), (10, "", None)], ids=str
)
def test_the_stated_error_follows_the_fetch_stalls(estimate, fetch, evidence, percent):
    total = Figures(instructions=80, zero_wait_cycles=100 - fetch, cycles=100)
    other = replace(estimate, total=total, model=replace(estimate.model, evidence=evidence))
    assert other.error_percent == percent
    assert f"{fetch}.0 %" in other.error_words


# ---- on the virtual board --------------------------------------------------------------------------

# Compiled to an IT, whose instruction is skipped for most of the bytes.
CONDITIONAL = """
    volatile uint8_t *bytes = small_arena;
    for (uint32_t i = 0; i < 10u; i++) {
        uint8_t value = bytes[48u + i];
        if (value % 4u == 1u)
            value = (uint8_t)(value ^ 0x55u);
        bytes[48u + i] = value;
    }
"""


def test_the_virtual_board_runs_the_same_instructions(board, model, folder, tmp_path):
    pytest.importorskip("unicorn")
    counts = []
    nucleo = replace(load_board("nucleo_l4r5zi"), run={"unicorn": {}})
    for runner, where in (("qemu", board), ("unicorn", nucleo)):
        image = build_firmware(small_tree(where, last=CONDITIONAL), where, tmp_path / runner)
        found = estimate_cycles(
            image, where, model, SAMPLE, STEPS, tmp_path / runner / "timing", quiet, runner
        )
        counts.append([(layer.instructions, layer.taken) for layer in found.layers])
        its = [one.address for one in read_image(image.elf)[0] if one.kind is Kind.IF_THEN]
        assert any(f"{address:#x} " in found.callgrind for address in its), "no IT was executed"
        assert found.simulator.startswith(runner)
    assert counts[0] == counts[1]
