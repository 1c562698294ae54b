"""Two reports held against each other: each kind of change, by numbers worked out by hand."""

from __future__ import annotations

import json
import sys
from xml.etree import ElementTree

import pytest
import report_samples as samples

from pipeline import cli
from pipeline.measure import Cost, Source
from pipeline.report import make_report, write_report
from pipeline.report.changes import Outcome, Tolerance, change_words, compare_reports, junit_xml

OLD = make_report(**samples.FULL.inputs)


def changed(**inputs):
    return make_report(**samples.FULL.but(**inputs).inputs)


def outcome(new, figure, tolerance=Tolerance()):  # noqa: B008
    (change,) = [c for c in compare_reports(OLD, new, tolerance).figures if c.figure == figure]
    return change


def test_a_report_against_itself_is_the_same():
    changes = compare_reports(OLD, OLD)
    assert {change.outcome for change in changes.figures} == {Outcome.SAME}
    assert changes.layers == ()
    assert changes.worse == ()


@pytest.mark.parametrize(
    ("extra", "tolerance", "expected"),
    [
        (240, 0.0, Outcome.WORSE),
        (240, 1.0, Outcome.WITHIN),
        (241, 1.0, Outcome.WORSE),
        (-1, 0.0, Outcome.BETTER),
    ],
)
def test_flash_of_24000_bytes_and_one_percent(extra, tolerance, expected):
    new = changed(firmware=samples.firmware("nucleo_l4r5zi", samples.LINKED.digest, flash_extra=extra))
    change = outcome(new, "flash", Tolerance(percent=tolerance))
    assert (change.old, change.new) == (24_000, 24_000 + extra)
    assert change.outcome is expected
    assert change.percent == pytest.approx(extra / 240)


def test_counts_of_another_unit_are_not_compared():
    new = changed(measurement=samples.measurement(source=Source.CYCLES, counter_hz=120_000_000))
    change = outcome(new, "one inference")
    assert change.outcome is Outcome.NOT_COMPARABLE
    assert "instructions on qemu_mps2_an386 and cycles on" in change.remark


def test_more_instructions_are_worse_and_the_layer_is_shown():
    runs = tuple(
        Cost((cost.median + (1000 if i == 2 else 0),)) for i, cost in enumerate(samples.measurement().layers)
    )
    new = changed(measurement=samples.measurement(total=Cost((OLD.measured.count + 1000,)), layers=runs))
    changes = compare_reports(OLD, new)
    assert [change.figure for change in changes.worse] == ["one inference"]
    (layer,) = changes.layers
    assert layer.figure == OLD.layers[2].name
    assert (layer.new - layer.old, layer.outcome) == (1000, Outcome.WORSE)


def test_differing_outputs_are_never_tolerated():
    new = make_report(**samples.differing().inputs)
    change = outcome(new, "outputs that differ from the reference", Tolerance(percent=1000))
    assert (change.old, change.new, change.outcome) == (0, 1, Outcome.WORSE)


@pytest.mark.parametrize(
    ("db", "expected"), [(0.0, Outcome.WORSE), (2.9, Outcome.WORSE), (3.1, Outcome.WITHIN)]
)
@pytest.mark.parametrize("figure", ["SQNR from float", "likeness to float"])
def test_int8_may_go_farther_from_float_by_db(figure, db, expected):
    """Three dB of noise more, and twice the square of what stands at right angles to float."""

    def report(db=0.0, samples=0):
        held = OLD.quantization.inspection
        last = held.layers[-1]
        deviation = {"sqnr_db": 30.0 - db, "cosine": 1 - 10 ** (db / 10) * 1e-3}
        total = held.layers[1].total.model_copy(update=deviation)
        changed = held.model_copy(
            update={
                "layers": (*held.layers[:-1], last.model_copy(update={"total": total})),
                "judged": (last.tensor,),
                "samples": held.samples + samples,
            }
        )
        quantization = OLD.quantization.model_copy(update={"inspection": changed})
        return OLD.model_copy(update={"quantization": quantization}), last.name

    (old, layer), (new, _), (other, _) = report(), report(3.0), report(samples=1)

    def change(new):
        changes = compare_reports(old, new, Tolerance(db=db)).figures
        return next(each for each in changes if each.figure == f"{figure}, {layer}")

    assert change(new).outcome is expected
    assert change_words(change(new))[3] == {"dB": "-3.00 dB", "cosine": "-0.10 %"}[change(new).unit]
    assert change(old).outcome is Outcome.SAME
    assert change(other).remark == "other samples"


@pytest.mark.parametrize(("points", "expected"), [(0.0, Outcome.WORSE), (30.0, Outcome.WITHIN)])
def test_accuracy_may_fall_by_points(points, expected):
    worse = [
        samples.classification(c.subject, [[1, 0, 1], [0, 1, 0], [0, 0, 1]]) for c in samples.CLASSIFICATIONS
    ]
    new = changed(classifications=worse)
    for change in compare_reports(OLD, new, Tolerance(accuracy_points=points)).figures:
        if change.unit == "accuracy" and change.outcome is not Outcome.NOT_COMPARABLE:
            assert change.new == 0.75
            if change.old > 0.75:
                assert change.outcome is expected
                assert change.percent == pytest.approx(100 * (0.75 - change.old))


def test_junit_counts_and_escapes():
    text = junit_xml("suite", [("good", None), ("a < b", 'it is "worse"')])
    root = ElementTree.fromstring(text)
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert [case.get("name") for case in root] == ["good", "a < b"]
    assert root[1][0].get("message") == 'it is "worse"'


def test_the_command_says_what_is_worse(tmp_path, monkeypatch, capsys):
    new = changed(firmware=samples.firmware("nucleo_l4r5zi", samples.LINKED.digest, flash_extra=240))
    for name, report in (("old", OLD), ("new", new)):
        (tmp_path / name).mkdir()
        write_report(report, tmp_path / name)

    def run(*options):
        monkeypatch.setattr(
            sys, "argv", ["x", "compare", str(tmp_path / "old"), str(tmp_path / "new"), *options]
        )
        return cli.main(), capsys.readouterr().out

    code, text = run("--junit", str(tmp_path / "junit.xml"))
    assert (code, "worse: flash" in text) == (1, True)
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().get("failures") != "0"
    assert run("--tolerance", "5")[0] == 0
    code, text = run("--format", "json")
    assert "flash" in json.loads(text)["worse"]
