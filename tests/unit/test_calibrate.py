"""A board's timing constant, fitted to cycles that the timing core itself counted with another one."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from pipeline import calibrate, cli
from pipeline.boards import load_board
from pipeline.build import build_firmware
from pipeline.calibrate import calibrate_timing, keep_calibration, with_timing
from pipeline.compare import BoardFacts
from pipeline.errors import UsageError
from pipeline.lower import lower_program
from pipeline.measure import CoreState, Cost, Source
from pipeline.plan import plan_schedule
from pipeline.read_tflite import read_tflite
from pipeline.registry import data_folder
from pipeline.render import render_sources
from pipeline.report import make_report, report_json
from pipeline.schedule import schedule_layers
from pipeline.timing import Estimate, timing_model
from pipeline.timing.bare import profile_bare
from tests.tflite_chains import clamped_convolution
from tests.unit import report_samples as samples

pytestmark = [pytest.mark.toolchain, pytest.mark.simulator]
BOARD = "nucleo_l4r5zi"
TRUTH = 4
"""The constant that the made-up silicon has; the board's file says 1."""
CHANNELS = (
    (3, 4),
    (4, 12),
    (8, 8),
    (8, 16),
    (12, 20),
    (16, 9),
    (16, 16),
    (20, 12),
    (2, 24),
    (24, 10),
    (5, 7),
    (6, 32),
)


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    """(as the board's file has it, as the made-up silicon is) of one convolution each."""
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("cc") is None:
        pytest.skip("no compiler")
    pytest.importorskip("unicorn")
    board, folder = load_board(BOARD), tmp_path_factory.mktemp("layers")
    model = timing_model(board)
    found = []
    for channels in CHANNELS:
        graph = read_tflite(clamped_convolution(np.random.default_rng(0), 6, channels, (), None), "one")
        schedule = schedule_layers(graph)
        program = lower_program(schedule, plan_schedule(schedule))
        firmware = build_firmware(render_sources(program, board), board, folder)
        models = (model, replace(model, data_miss_extra=TRUTH))
        found.append([p.layers[0] for p in profile_bare(firmware, board, models, ((0,),), folder)])
    return found


@pytest.fixture
def written(profiles, tmp_path):
    """report.json files of two models of six layers each, measured on the made-up silicon."""

    def write(noise=0.0, seed=1, **changes):
        rng = np.random.default_rng(seed)
        paths = []
        for number in range(2):
            own = profiles[6 * number : 6 * number + 6]
            estimated = [pair[0] for pair in own]
            counted = [round(pair[1].cycles * (1 + noise * rng.normal())) for pair in own]
            report = make_report(**inputs(estimated, counted, **changes))
            report = report.model_copy(
                update={"model": report.model.model_copy(update={"name": f"m{number}"})}
            )
            paths.append(tmp_path / f"{number}.json")
            paths[-1].write_text(report_json(report))
        return paths

    return write


def inputs(estimated, counted, state=None, **changes):
    """Of make_report: an estimate and a measurement of the very image on one board."""
    board = load_board(BOARD)
    facts = BoardFacts(BOARD, board.title, board.flash_bytes, board.ram_bytes, board.hclk_hz, board.cpu)
    total = sum(estimated, start=type(estimated[0])())
    estimate = Estimate(
        timing_model(board), "unicorn", BOARD, total, tuple(estimated), type(total)(), (), (), ""
    )
    measurement = samples.measurement(
        board=BOARD, source=Source.CYCLES, counter_hz=board.hclk_hz, total=Cost((sum(counted) + 400,)),
        layers=tuple(Cost((cycles,)) for cycles in counted), state=state,
    )  # fmt: skip
    sample = samples.FULL.but(
        board=facts, run_board=facts, run_firmware=samples.LINKED, measurement=measurement, estimate=estimate
    )
    return sample.but(**changes).inputs


def test_the_fit_finds_the_constant_of_the_silicon(written):
    found = calibrate_timing(written())
    assert (found.before, found.data_miss_extra) == (1, TRUTH)
    assert found.fitted == pytest.approx(TRUTH, abs=0.1)
    assert found.rms_before_percent > 3
    assert found.ratio == pytest.approx(1, abs=0.002)
    assert (found.reports, found.steps) == (("m0", "m1"), 12)


def test_no_step_that_was_left_out_is_far_off(written):
    assert calibrate_timing(written()).worst_percent < 0.5


def test_noise_is_in_the_cross_validated_error(written):
    found = calibrate_timing(written(noise=0.02))
    assert abs(found.data_miss_extra - TRUTH) <= 1
    assert 0.8 < found.rms_percent < 4 <= 2 * found.worst_percent


def test_one_report_is_held_against_its_own_other_steps(written, monkeypatch):
    monkeypatch.setattr(calibrate, "FEWEST_STEPS", 6)
    assert calibrate_timing(written()[:1]).data_miss_extra == TRUTH


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"measurement": samples.measurement()}, "no cycles that a core counted, but instructions"),
        ({"measurement": None}, "but nothing"),
        ({"estimate": None}, "no estimate"),
    ],
    ids=["simulated", "not run", "not estimated"],
)
def test_reports_that_say_nothing_of_silicon_are_refused(written, changes, words):
    with pytest.raises(UsageError) as refused:
        calibrate_timing(written(**changes))
    assert refused.value.code == "E_CALIBRATE_UNMEASURED"
    assert len(refused.value.details) == 2
    assert words in refused.value.details[0]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (CoreState(5, {"prefetch": False}, False, ()), "prefetch off"),
        (CoreState(4, {"prefetch": True}, False, ()), "4 flash wait states"),
        (CoreState(5, {"prefetch": True}, False, ("line 28",)), "interrupts were enabled: line 28"),
        (CoreState(5, {"prefetch": True}, True, ("line 28",)), None),
        (CoreState(5, {"prefetch": True}, False, ()), None),
    ],
)
def test_cycles_of_a_chip_in_another_state_are_refused(written, state, words):
    paths = written(state=state)
    if words is None:
        assert calibrate_timing(paths).data_miss_extra == TRUTH
        return
    with pytest.raises(UsageError) as refused:
        calibrate_timing(paths)
    assert refused.value.code == "E_CALIBRATE_STATE"
    assert words in refused.value.details[0]


def test_an_estimate_that_did_not_count_misses_is_refused(written):
    """As of a version before they were counted."""
    first, second = written()
    held = json.loads(second.read_text())
    del held["estimated"]["data_misses"]
    second.write_text(json.dumps(held))
    with pytest.raises(UsageError) as refused:
        calibrate_timing([first, second])
    assert refused.value.code == "E_CALIBRATE_UNMEASURED"
    assert len(refused.value.details) == 1
    assert "how often data were read" in refused.value.details[0]


def test_too_few_steps_are_refused(written):
    with pytest.raises(UsageError) as refused:
        calibrate_timing(written()[:1])
    assert refused.value.code == "E_CALIBRATE_TOO_FEW"
    assert "6 measured steps" in refused.value.problem


def test_steps_that_never_wait_say_nothing_of_waiting(written, profiles, monkeypatch):
    monkeypatch.setattr(calibrate, "WAITING", 0.99)
    with pytest.raises(UsageError) as refused:
        calibrate_timing(written())
    assert refused.value.code == "E_CALIBRATE_TOO_FEW"


def test_reports_of_two_boards_are_refused(written):
    first, second = written()
    held = json.loads(second.read_text())
    for section in (held["measured"], held["estimated"]):
        section["board"] = "nucleo_l476rg"
    held["estimated"]["image_board"] = "nucleo_l476rg"
    second.write_text(json.dumps(held))
    with pytest.raises(UsageError) as refused:
        calibrate_timing([first, second])
    assert refused.value.code == "E_CALIBRATE_BOARDS"


def test_what_was_found_is_kept_in_the_boards_file_and_believed(written, tmp_path, monkeypatch):
    folder = tmp_path / "board"
    shutil.copytree(data_folder("board") / BOARD, folder / BOARD)
    monkeypatch.setattr(calibrate, "data_folder", lambda name: folder)
    before = (folder / BOARD / "board.toml").read_text()
    found = calibrate_timing(written(noise=0.01))
    after = keep_calibration(found).read_text()
    held, changed = tomllib.loads(before), tomllib.loads(after)
    assert changed["timing"].pop("data_miss_extra") == found.data_miss_extra
    assert changed["timing"].pop("error_percent") == pytest.approx(found.worst_percent, abs=0.1)
    assert "12 steps of m0, m1" in changed["timing"].pop("evidence")
    for key in ("data_miss_extra", "evidence"):
        held["timing"].pop(key)
    assert changed == held  # nothing else
    assert after.count("#") >= before.count("#") - 1  # comments of other keys stay
    board = replace(load_board(BOARD), timing=tomllib.loads(after)["timing"])
    model = timing_model(board)
    assert (model.data_miss_extra, model.evidence) == (found.data_miss_extra, found.evidence)
    estimate = Estimate(model, "unicorn", BOARD, samples_total(), (), samples_total(), (), (), "")
    assert estimate.error_percent == model.calibrated_error_percent
    assert "calibrated with 12 steps" in estimate.error_words


def samples_total():
    from pipeline.timing import Figures

    return Figures(instructions=90, zero_wait_cycles=100, cycles=110, data_stall_cycles=10)


def test_a_key_that_the_file_has_not_is_added_within_its_table():
    text = '[clock]\nhclk = 1\n\n[timing]   # what\nprefetch = true  # as set\n\n[console]\nuart = "U"\n'
    after = with_timing(text, {"data_miss_extra": "3", "prefetch": "false"})
    assert tomllib.loads(after) == {
        "clock": {"hclk": 1}, "timing": {"prefetch": False, "data_miss_extra": 3}, "console": {"uart": "U"},
    }  # fmt: skip


def test_the_command_says_what_it_found_and_keeps_nothing_in_a_dry_run(written, monkeypatch, capsys):
    paths = [str(path) for path in written()]
    before = (data_folder("board") / BOARD / "board.toml").read_text()
    monkeypatch.setattr("sys.argv", ["stm32-deploy", "calibrate-timing", *paths, "--dry-run"])
    assert cli.main() == 0
    assert f"data_miss_extra 1 -> {TRUTH}" in capsys.readouterr().out
    assert (data_folder("board") / BOARD / "board.toml").read_text() == before
