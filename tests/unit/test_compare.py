"""Comparisons checked against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import report_samples as samples

from pipeline.boards import load_board
from pipeline.compare import (
    Level,
    OutputComparison,
    Verdict,
    compare_figures,
    compare_outputs,
    verdict,
)
from pipeline.lower import Place
from pipeline.measure import Cost, Source
from pipeline.metrics import Agreement
from pipeline.timing import Estimate, Figures, timing_model

EXPECTED = samples.EXPECTED


def outputs_of(measured: np.ndarray, expected: np.ndarray = EXPECTED, **more: object) -> OutputComparison:
    return compare_outputs(measured.view(np.uint8), expected, reference="it", program=samples.PROGRAM, **more)


def test_equal_outputs_are_exact():
    found = outputs_of(EXPECTED)
    assert (found.samples, found.elements, found.differing_elements, found.differing_samples) == (4, 12, 0, 0)
    assert found.exact
    assert found.each == ()  # a single output needs no table of outputs
    assert found.first is None
    assert found.largest_difference == 0


def test_bytes_are_read_as_int8_and_the_first_difference_is_named():
    wrong = EXPECTED.copy()
    wrong[1, 0] = 127  # expected -128: 255 apart, which wraps to -1 in int8
    wrong[3, 2] = -127  # expected -128
    found = outputs_of(wrong)
    assert (found.differing_elements, found.differing_samples, found.largest_difference) == (2, 2, 255)
    assert found.first is not None
    assert (found.first.sample, found.first.layer, found.first.layer_name) == (1, 5, "softmax")
    assert (found.first.element, found.first.position) == (0, (0, 0))
    assert (found.first.measured, found.first.expected) == (127, -128)
    assert found.first.found_in == "target"
    assert not found.exact


def test_the_expected_side_may_be_raw_bytes_or_shaped():
    assert outputs_of(EXPECTED, EXPECTED.view(np.uint8)).exact
    assert outputs_of(EXPECTED, EXPECTED.reshape(4, 1, 3)).exact


def test_nothing_compared_is_not_exact():
    empty = np.zeros((0, 3), np.int8)
    assert not outputs_of(empty, empty).exact


@pytest.mark.parametrize(
    "expected",
    [EXPECTED[:3], EXPECTED[:, :2], EXPECTED.astype(np.int16)],
    ids=["fewer samples", "fewer elements", "wider type"],
)
def test_what_cannot_be_the_same_thing_is_refused(expected):
    with pytest.raises(ValueError, match="outputs"):
        outputs_of(EXPECTED, expected)


def test_several_outputs_and_wider_types_are_split_by_their_places():
    one, two = Place("a", (1, 2), "int8", 0), Place("b", (1, 2), "int32", 4)
    program = replace(samples.PROGRAM, outputs=(one, two), output_symbols=("output_a", "output_b"))
    left = np.array([[1, 2]], np.int8)
    right = np.array([[70_000, -70_000]], np.int32)
    expected = np.concatenate([left.view(np.uint8), right.view(np.uint8)], axis=1)
    right[0, 1] += 5
    measured = np.concatenate([left.view(np.uint8), right.view(np.uint8)], axis=1)
    found = compare_outputs(measured, expected, reference="it", program=program)
    assert (found.elements, found.differing_elements, found.largest_difference) == (4, 1, 5)
    each = [(one.name, one.tensor, one.elements, one.differing_elements) for one in found.each]
    assert each == [("output_a", "a", 2, 0), ("output_b", "b", 2, 1)]
    assert found.first is not None
    assert (found.first.tensor, found.first.element, found.first.layer) == ("b", 1, None)
    assert (found.first.measured, found.first.expected) == (-69_995, -70_000)


def test_the_first_difference_of_several_outputs_is_the_earliest_sample():
    one, two = Place("a", (1, 2), "int8", 0), Place("b", (1, 1), "int8", 4)
    program = replace(samples.PROGRAM, outputs=(one, two), output_symbols=("output_a", "output_b"))
    wrong = EXPECTED.copy()
    wrong[1, 2] += 1
    wrong[2, 0] += 1
    for early, tensor in ((wrong, "b"), (wrong[::-1], "a")):
        expected = EXPECTED if early is wrong else EXPECTED[::-1]
        found = compare_outputs(
            np.ascontiguousarray(early).view(np.uint8), expected, reference="it", program=program
        )
        assert found.first is not None
        assert (found.first.sample, found.first.tensor) == (1, tensor)


def test_layers_move_the_first_difference_to_its_cause():
    found = samples.differing().inputs["outputs"]
    assert (found.differing_elements, found.largest_difference) == (1, 2)
    assert found.first is not None
    assert (found.first.sample, found.first.layer, found.first.layer_name) == (2, 1, "conv2d_1")
    assert (found.first.element, found.first.position) == (17, (0, 0, 1, 1))
    assert (found.first.measured, found.first.expected) == (-7, 0)
    assert found.first.found_in == "the host build of the same source"
    assert [(x.layer, x.elements, x.differing_elements, x.largest_difference) for x in found.layers] == [
        (0, 2048, 0, 0),
        (1, 1024, 1, 7),
        (2, 1024, 3, 7),
        (3, 12, 0, 0),
        (4, 3, 0, 0),
        (5, 3, 0, 0),
    ]


def test_equal_layers_put_the_blame_on_the_target():
    wrong = EXPECTED.copy()
    wrong[0, 0] += 1
    layer = {(0, 5): EXPECTED[0]}
    found = outputs_of(wrong, layer_dumps=layer, expected_layers=layer)
    assert found.first is not None
    assert found.first.found_in == "target"
    assert "though the outputs did not" in found.remark


def test_a_layer_that_differs_behind_equal_outputs_fails_too():
    found = outputs_of(
        EXPECTED, layer_dumps={(0, 3): np.ones(12, np.int8)}, expected_layers={(0, 3): np.zeros(12, np.int8)}
    )
    assert found.first is not None
    assert found.first.layer == 3
    assert judge(outputs=found).level is Level.RED


def test_figures_side_by_side():
    rows = {
        row.key: row for row in compare_figures(samples.PREDICTION, samples.LINKED, samples.measurement())
    }
    assert list(rows) == ["flash", "weights", "code", "ram", "arena", "stack", "instructions", "time"]

    def values(key):
        row = rows[key]
        return tuple(f.value if f else None for f in (row.predicted, row.linked, row.measured))

    def differences(key):
        return [(d.of, d.against, d.absolute, d.percent) for d in rows[key].differences]

    assert values("flash") == (25_000, 24_000, None)
    assert differences("flash") == [("linked", "predicted", -1_000, -4.0)]
    assert values("weights") == (14_872, 14_872, None)
    assert values("code") == (10_128, 9_128, None)
    assert values("ram") == (6_400, 6_496, None)
    assert differences("ram") == [("linked", "predicted", 96, 1.5)]
    assert values("arena") == (4_096, 4_096, 4_096)
    assert differences("arena") == [("linked", "predicted", 0, 0.0), ("measured", "predicted", 0, 0.0)]
    assert values("stack") == (None, 2_048, 712)
    assert differences("stack") == []
    assert values("instructions") == (521_000, None, 525_400)
    ((of, against, absolute, percent),) = differences("instructions")
    assert (of, against, absolute) == ("measured", "predicted", 4_400)
    assert percent == pytest.approx(0.8445297, abs=1e-6)  # 4400 / 5210
    assert values("time") == (pytest.approx(0.0011779), None, None)
    assert differences("time") == []
    assert "nucleo_l4r5zi" in rows["flash"].linked.source
    assert "qemu_mps2_an386" in rows["arena"].measured.source
    assert "convention" in rows["time"].predicted.source


@pytest.mark.parametrize(
    ("source", "hz", "unit", "seconds"),
    [
        (Source.CYCLES, 120_000_000, "cycles", 0.5),
        (Source.ESTIMATED_CYCLES, 120_000_000, "estimated cycles", 0.5),
        (Source.HOST, 0, "host nanoseconds", 0.06),
        (Source.CYCLES, 0, "cycles", None),
    ],
)
def test_other_units_are_never_held_against_instructions(source, hz, unit, seconds):
    measured = samples.measurement(source=source, counter_hz=hz, total=Cost((60_000_000,)))
    rows = {row.key: row for row in compare_figures(samples.PREDICTION, samples.LINKED, measured)}
    assert rows["instructions"].measured is None
    assert rows["instructions"].differences == ()
    assert (rows["count"].unit, rows["count"].measured.value) == (unit, 60_000_000)
    assert rows["count"].differences == ()
    assert (rows["time"].measured.value if rows["time"].measured else None) == seconds
    assert rows["time"].differences == ()
    if seconds and source is not Source.CYCLES:
        assert any(word in rows["time"].measured.source for word in ("estimated", "nothing of a board"))


@pytest.mark.parametrize("board", ["nucleo_l4r5zi", "nucleo_l476rg"])
def test_counted_cycles_stand_beside_the_estimate_of_their_own_board(board):
    """Of another board they are not compared: then each has a row of its own."""
    model = timing_model(load_board("nucleo_l4r5zi"))
    figures = Figures(instructions=700, zero_wait_cycles=900, data_stall_cycles=100, cycles=1000)
    estimate = Estimate(model, "unicorn", "nucleo_l4r5zi", figures, (), Figures(), (), (), "")
    measured = samples.measurement(board=board, source=Source.CYCLES, total=Cost((1050,)))
    rows = {row.key: row for row in compare_figures(samples.PREDICTION, samples.LINKED, measured, estimate)}
    if board != model.board:
        assert (rows["count"].estimated, rows["count"].differences) == (None, ())
        assert rows["estimated_cycles"].estimated.value == 1000
        return
    assert "estimated_cycles" not in rows
    assert (rows["count"].measured.value, rows["count"].estimated.value) == (1050, 1000)
    (found,) = rows["count"].differences
    assert (found.of, found.against, found.absolute, found.percent) == ("measured", "estimated", 50, 5.0)
    assert rows["count"].unit == "cycles"
    assert rows["count"].remark == ""


def test_a_simulator_with_a_clock_still_measures_no_time():
    measured = samples.measurement(counter_hz=1_000_000_000)
    rows = {row.key: row for row in compare_figures(samples.PREDICTION, samples.LINKED, measured)}
    assert rows["time"].measured is None
    assert "no time is claimed" in rows["time"].remark


def test_figures_of_a_build_without_prediction_or_run():
    rows = compare_figures(None, samples.LINKED, None)
    assert [row.key for row in rows] == ["flash", "weights", "code", "ram", "arena", "stack"]
    assert not any(row.differences for row in rows)
    assert compare_figures(None, None, None) == ()


def judge(**changes) -> Verdict:
    inputs = {
        "board": samples.L4R5,
        "program": samples.PROGRAM,
        "firmware": samples.LINKED,
        "run_firmware": samples.RAN,
        "measurement": samples.measurement(),
        "outputs": samples.OUTPUTS,
        "agreement": samples.QUANTIZED.agreement,
        "classifications": samples.CLASSIFICATIONS,
    }
    return verdict(**{**inputs, **changes})


def test_a_sound_deployment_passes():
    found = judge()
    assert (found.level, found.word, found.failures, found.cautions) == (Level.GREEN, "Pass", (), ())
    assert found.ok
    assert "all 12 output values of 4 samples are equal" in found.headline
    assert "99 % of its flash" in found.headline  # 24,000 of 2,097,152


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"outputs": samples.differing().inputs["outputs"]}, "values differ. The first is in layer 1"),
        ({"board": replace(samples.L4R5, flash_bytes=23_999)}, "needs 24,000 bytes of flash, 1 more"),
        ({"board": replace(samples.L4R5, ram_bytes=6_000)}, "needs 6,496 bytes of RAM, 496 more"),
        ({"measurement": samples.measurement(digest="0" * 16)}, "another image"),
        ({"measurement": samples.measurement(stack_bytes=2_049)}, "stack overflowed"),
        ({"measurement": samples.measurement(arena_bytes=4_100)}, "4,096 were planned"),
    ],
    ids=["differs", "flash", "ram", "digest", "stack", "arena"],
)  # fmt: skip
def test_what_fails(changes, says):
    found = judge(**changes)
    assert (found.level, found.ok, found.word) == (Level.RED, False, "Fail")
    assert says in found.headline
    assert found.failures == (found.headline,)


LOSS = (
    samples.classification("float model", [[90, 10, 0], [0, 100, 0], [0, 0, 100]]),
    samples.classification("quantized model", [[86, 14, 0], [0, 100, 0], [0, 0, 100]]),
)


@pytest.mark.parametrize(
    ("changes", "word", "says"),
    [
        ({"measurement": None, "outputs": None}, "Not verified", "Nothing was run"),
        ({"outputs": None}, "Not verified", "not compared"),
        ({"firmware": None}, "Pass, with cautions", "No image was linked"),
        ({"board": replace(samples.L4R5, flash_bytes=25_000)}, "Pass, with cautions", "96.0 % of the flash"),
        ({"measurement": samples.measurement(stack_bytes=1_900)}, "Pass, with cautions", "1,900 of 2,048"),
        ({"agreement": Agreement(100, 0.96, 0.1, 0.4)}, "Pass, with cautions", "only 96.0 % of 100"),
        ({"classifications": LOSS}, "Pass, with cautions", "costs 1.33 points"),  # 290/300 - 286/300
    ],
    ids=["not run", "not compared", "not linked", "nearly full", "stack", "agreement", "accuracy"],
)
def test_what_wants_a_look(changes, word, says):
    found = judge(**changes)
    assert (found.level, found.ok, found.word) == (Level.AMBER, True, word)
    assert len(found.cautions) == 1
    assert says in found.cautions[0]


def test_accuracies_of_different_samples_are_not_held_against_each_other():
    few = samples.classification("quantized model", [[1, 9, 0], [0, 1, 0], [0, 0, 1]])
    assert judge(classifications=(LOSS[0], few)).level is Level.GREEN
