"""The report: what it says, that it says it safely, and that the JSON alone is enough to say it again."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import report_samples as samples

from pipeline.errors import UsageError
from pipeline.lower import Place
from pipeline.measure import Cost, Source
from pipeline.report import (
    Report,
    make_report,
    read_report,
    report_html,
    report_json,
    report_markdown,
    summarize,
    write_report,
    write_schema,
)

DOCS = Path(__file__).parents[2] / "docs"

ALL = {
    "full": samples.FULL,
    "same board": samples.SAME_BOARD,
    "unlabelled": samples.UNLABELLED,
    "differing": samples.differing(),
    "found": samples.FOUND,
    "hostile": samples.hostile(),
    "cycles": samples.SAME_BOARD.but(
        measurement=samples.measurement(source=Source.CYCLES, counter_hz=120_000_000)
    ),
    "planned only": samples.Sample({"program": samples.PROGRAM, "board": samples.L4R5}),
}


@pytest.fixture(params=ALL, ids=str)
def report(request) -> Report:
    return make_report(**ALL[request.param].inputs)


def test_keys_that_programs_rely_on():
    data = json.loads(report_json(make_report(**samples.FULL.inputs)))
    assert data["schema_version"] == 2
    assert (data["outputs"]["samples"], data["outputs"]["differing_elements"]) == (4, 0)
    assert (data["measured"]["count"], data["measured"]["unit"]) == (525_400, "instructions")
    assert (data["linked"]["flash_bytes"], data["linked"]["ram_bytes"]) == (24_000, 6_496)
    assert data["arena_bytes"] == 4_096
    predicted = data["predicted"]
    assert (predicted["flash_bytes"], predicted["ram_bytes"], predicted["arena_bytes"]) == (
        25_000,
        6_400,
        4_096,
    )
    assert predicted["instructions"] == 521_000
    assert [layer["name"] for layer in data["layers"]] == [call.name for call in samples.PROGRAM.calls]
    assert data["run_image"]["board"] == data["measured"]["board"] == "qemu_mps2_an386"
    assert data["measured"]["same_image"] is False


def test_layers_by_hand():
    made = make_report(**samples.FULL.inputs)
    layers = made.layers
    first, second, add = layers[:3]
    assert first.macs_share == pytest.approx(55_296 / 141_348)
    assert first.predicted_share == pytest.approx(200_000 / 521_000)
    assert first.share == pytest.approx(0.4)  # 210,000 of 525,000
    assert first.count_per_mac == pytest.approx(3.7977431)  # 210,000 / 55,296
    assert first.difference_percent == pytest.approx(5.0)
    assert second.difference_percent == pytest.approx(-4.0)
    assert add.count_per_mac is None
    assert sum(layer.share or 0 for layer in layers) == pytest.approx(1)
    # Input 768 + output 2,048; then 2,048 + 1,024; then one buffer in place; then 1,024 + 12; 12 + 3; 3.
    assert [step.live_bytes for step in made.steps] == [2_816, 3_072, 1_024, 1_036, 15, 3]


def test_the_arena_over_time():
    arena = make_report(**samples.FULL.inputs).arena
    found = {
        t.tensor: (t.offset, t.bytes, t.first, t.last, t.role, t.written_by, t.aliases) for t in arena.tensors
    }
    assert found == {
        "serving_default_input:0": (0, 768, 0, 0, "input", None, ()),
        "conv2d": (2_048, 2_048, 0, 1, "activation", 0, ()),
        "conv2d_1": (1_024, 1_024, 1, 2, "activation", 1, ()),
        "add": (1_024, 1_024, 2, 3, "activation", 2, ("flatten",)),
        "dense": (0, 12, 3, 4, "activation", 3, ()),
        "dense_1": (16, 3, 4, 5, "activation", 4, ()),
        "softmax": (16, 3, 5, 5, "output", 5, ()),
    }
    assert (arena.peak_step, arena.peak_live_bytes) == (1, 3_072)


def test_scratch_is_told_from_activations():
    scratch = Place("scratch of conv2d", (64,), "int8", 0)
    first = samples.PROGRAM.calls[0]
    calls = (samples.replace(first, live=(*first.live, scratch)), *samples.PROGRAM.calls[1:])
    program = samples.replace(samples.PROGRAM, calls=calls)
    arena = make_report(program=program, board=samples.L4R5).arena
    assert [t.role for t in arena.tensors if t.tensor == "scratch of conv2d"] == ["scratch"]


def test_cycles_give_time_and_instructions_do_not():
    cycles = make_report(**ALL["cycles"].inputs).measured
    assert cycles is not None
    assert cycles.seconds == pytest.approx(525_400 / 120e6)
    assert cycles.same_image
    simulated = samples.measurement(counter_hz=1_000_000_000)
    instructions = make_report(**samples.FULL.but(measurement=simulated).inputs).measured
    assert instructions is not None
    assert instructions.seconds is None
    assert instructions.outside_layers == 400
    assert make_report(**ALL["cycles"].inputs).layers[0].difference_percent is None


def test_wrong_number_of_layers_is_refused():
    short = samples.measurement(layers=(Cost((1,)),))
    with pytest.raises(ValueError, match="1 measured steps of a program of 6"):
        make_report(**samples.FULL.but(measurement=short).inputs)


# The published schema


def test_documents_of_the_schema_are_up_to_date(tmp_path):
    for made in write_schema(tmp_path):
        published = DOCS / made.name
        assert published.read_text() == made.read_text(), f"run write_schema for {published.name}"


def test_report_keeps_the_published_schema(report):
    schema = json.loads((DOCS / "report_schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(report_json(report)), schema)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.pop("arena_bytes"),
        lambda data: data["measured"].update(unit="seconds"),
        lambda data: data["layers"][0].update(macs="many"),
        lambda data: data["verdict"].update(level="blue"),
    ],
    ids=["missing", "unit", "type", "level"],
)
def test_the_published_schema_and_the_reader_refuse_the_same(spoil, tmp_path):
    data = json.loads(report_json(make_report(**samples.FULL.inputs)))
    spoil(data)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, json.loads((DOCS / "report_schema.json").read_text()))
    path = tmp_path / "report.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError) as refused:
        read_report(path)
    assert refused.value.code == "E_REPORT_SCHEMA"
    assert refused.value.details


# Reading and writing


def test_the_json_alone_makes_the_other_two_again(report, tmp_path):
    paths = write_report(report, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["report.html", "report.md", "report.json"]
    again = read_report(tmp_path / "new" / "folder")
    assert again == report
    assert report_html(again) == paths[0].read_text(encoding="utf-8")
    assert report_markdown(again) == paths[1].read_text(encoding="utf-8")
    assert report_json(again) == paths[2].read_text(encoding="utf-8")
    assert {path.name for path in paths[0].parent.iterdir()} == {path.name for path in paths}


def test_the_same_input_gives_the_same_bytes():
    first, second = (make_report(**samples.FULL.inputs) for _ in range(2))
    assert report_html(first) == report_html(second)
    assert report_json(first) == report_json(second)
    assert "/tmp" not in report_json(first)
    assert not re.search(r"\b20[2-9]\d-\d\d", report_html(first))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "E_REPORT_MISSING"),
        (b"<html>", "E_REPORT_UNREADABLE"),
        (b"\xff\xfe\x00", "E_REPORT_UNREADABLE"),
        (b"[" * 100_000, "E_REPORT_UNREADABLE"),
        (b"[]", "E_REPORT_SCHEMA"),
        (b"{}", "E_REPORT_SCHEMA"),
        (b'{"schema_version": true}', "E_REPORT_SCHEMA"),
        (b'{"schema_version": 0}', "E_REPORT_SCHEMA"),
        (b'{"schema_version": 1}', "E_REPORT_OLDER"),
        (b'{"schema_version": 2}', "E_REPORT_SCHEMA"),
        (b'{"schema_version": 3}', "E_REPORT_NEWER"),
    ],
)
def test_wrong_files_are_refused(content, code, tmp_path):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        read_report(path)
    assert refused.value.code == code
    assert refused.value.hint


def test_a_later_release_of_the_same_version_may_add_keys(tmp_path):
    report = make_report(**samples.FULL.inputs)
    data = json.loads(report_json(report))
    data["energy"] = {"joules": 1}
    (tmp_path / "report.json").write_text(json.dumps(data))
    assert read_report(tmp_path) == report


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as refused:
        write_report(make_report(**samples.FULL.inputs), tmp_path / "file" / "out")
    assert refused.value.code == "E_OUTPUT"


def test_a_failed_write_leaves_the_old_report_whole(tmp_path, monkeypatch):
    write_report(make_report(**samples.FULL.inputs), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(UsageError, match="No space left"):
        write_report(make_report(**samples.differing().inputs), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# The page

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what could reach outside."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "action", "data", "srcset"):
                self.links.append(value or "")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def test_the_page_is_sound_and_needs_nothing_from_outside(report):
    text = report_html(report)
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "base", "b", "img", "form"}
    assert not [name for name in page.attributes if name.startswith("on")]
    style = text.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    assert "None" not in re.sub(r"None differ", "", "".join(page.text))


def test_hostile_names_stay_text():
    page = Page(report_html(make_report(**samples.hostile().inputs)))
    text = "".join(page.text)
    assert text.count("</style></script>") > 20
    assert "{{ 7*7 }}" in text
    assert "49" not in page.ids


def visible(report: Report) -> str:
    """The words of the page in one line."""
    return " ".join(" ".join(Page(report_html(report)).text).split())


def test_the_page_says_what_was_run_where():
    text = visible(make_report(**samples.FULL.inputs))
    assert "Nothing in this report was measured on ST NUCLEO-L4R5ZI" in text
    assert "the same core, cortex-m4" in text
    assert "they are not clock cycles" in text
    same_image = visible(make_report(**samples.SAME_BOARD.inputs))
    assert "The linked image itself ran, simulated by" in same_image
    assert "Nothing in this report was measured on hardware" in same_image
    on_hardware = visible(make_report(**ALL["cycles"].inputs))
    assert "Nothing in this report was measured" not in on_hardware
    assert "simulated" not in on_hardware


def test_the_page_claims_no_accuracy_without_labels():
    text = visible(make_report(**samples.UNLABELLED.inputs))
    assert "no accuracy is claimed" in text
    assert "99.7 % of 300 samples" in text
    assert "macro F1" not in text


def test_the_page_shows_three_confusion_matrices():
    text = report_html(make_report(**samples.FULL.inputs))
    assert text.count('<table class="matrix">') == 3
    matrices = re.findall(r'<table class="matrix">.*?</table>', text, re.DOTALL)
    cells = [[int(n) for n in re.findall(r"--share:[\d.]+\">(\d+)</td>", matrix)] for matrix in matrices]
    assert cells[1] == [89, 9, 2, 6, 93, 1, 0, 3, 97]


def test_many_classes_become_a_list_of_mistakes():
    confusion = np.diag([10] * 30)
    confusion[3, 7] = 5
    names = tuple(f"class {i}" for i in range(30))
    many = samples.classification("quantized model", confusion.tolist(), names)
    report = make_report(**samples.FULL.but(classifications=(many,)).inputs)
    text = report_html(report)
    assert '<table class="matrix">' not in text
    assert "<td>class 3</td><td>class 7</td>" in text
    assert "Confusion matrix" not in report_markdown(report)


def test_the_page_names_the_first_difference():
    text = visible(make_report(**samples.differing().inputs))
    assert "1 differs, in 1 sample." in text
    assert re.search(r"element 17, at \(0, 0, 1, 1\) the host build of the same source −7 reference 0", text)


def test_the_arena_chart_draws_in_place_hand_overs_without_overlap():
    from pipeline.report.charts import arena_chart

    report = make_report(**samples.FULL.inputs)
    boxes = arena_chart(report.arena, report.steps, report.layers).boxes
    thin = {box.tensor.tensor for box in boxes if box.tensor.bytes < 64}
    tall = [box for box in boxes if box.tensor.tensor not in thin]
    assert len(tall) == 4
    for i, a in enumerate(tall):
        for b in tall[i + 1 :]:
            apart_x = a.x + a.width <= b.x + 1e-9 or b.x + b.width <= a.x + 1e-9
            apart_y = a.y + a.height <= b.y + 1e-9 or b.y + b.height <= a.y + 1e-9
            assert apart_x or apart_y, (a.title, b.title)
    for box in boxes:
        assert 0 <= box.x < box.x + box.width <= 100 + 1e-9
        assert box.y >= -1e-9
        assert box.y + box.height <= 300 + 1e-9


def test_bars_are_to_scale():
    from pipeline.report.charts import draw

    charts = draw(make_report(**samples.FULL.inputs))
    assert charts.flash is not None
    assert charts.flash.fill == pytest.approx(24_000 / (2 << 20))
    assert charts.parts is not None
    assert sum(s.width for s in charts.parts.segments) == pytest.approx(100)
    assert charts.parts.segments[0].width == pytest.approx(100 * 14_872 / 24_000)
    ends = [0.0, *(s.x + s.width for s in charts.parts.segments)]
    assert [s.x for s in charts.parts.segments] == pytest.approx(ends[:-1])
    assert charts.code is not None
    assert charts.code.used_bytes == 9_128
    widths = [bar.width for row in charts.layers for bar in row.bars if bar.kind == "macs"]
    assert widths[1] == max(widths)
    assert widths[0] / widths[1] == pytest.approx(55_296 / 73_728)


# Markdown


def cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line.strip())[1:-1]


def test_markdown_tables_are_well_formed(report):
    lines = report_markdown(report).split("\n")
    tables = rows = 0
    for i, line in enumerate(lines):
        if re.fullmatch(r"\|(-{2,}:?\||-{2,}\|)+", line):
            tables += 1
            assert lines[i - 1].startswith("|"), "a table needs a header"
            assert i < 2 or lines[i - 2] == "", f"no blank line before: {lines[i - 2]}"
            width = len(cells(line))
            assert len(cells(lines[i - 1])) == width
            for row in lines[i + 1 :]:
                if not row.startswith("|"):
                    assert row == ""
                    break
                rows += 1
                assert len(cells(row)) == width, row
    assert tables >= 2
    assert sum(line.startswith("|") for line in lines) == rows + 2 * tables
    assert "<b>" not in "\n".join(lines)


def test_markdown_says_the_verdict_first():
    text = report_markdown(make_report(**samples.differing().inputs))
    assert text.split("\n")[2].startswith("**Fail.** The target does not compute")
    assert "element 17 at (0, 0, 1, 1): the host build of the same source has −7, the reference 0." in text


# The terminal


def test_summary_for_the_terminal():
    summary = summarize(make_report(**samples.FULL.inputs))
    assert summary.level == "green"
    assert summary.verdict[0].startswith("Pass: The deployed model computes exactly")
    said = "quantized against float: 27.6 dB, most of the noise from conv2d 75.0 %, dense 25.0 %"
    assert said in summary.verdict
    rows = {row[0]: row[1:] for row in summary.rows}
    assert rows["Flash"] == ("25,000 B", "24,000 B", "–", "linked −4.0 %")
    assert rows["Instructions per inference"] == ("521,000", "–", "525,400", "measured +0.8 %")
    assert all(len(row) == len(summary.header) for row in summary.rows)
    failed = summarize(make_report(**samples.differing().inputs))
    assert (failed.level, failed.verdict[0][:5]) == ("red", "Fail:")


def test_other_schedules_stand_beside_the_one_chosen():
    report = make_report(**samples.FULL.inputs)
    assert report.choices is not None
    assert report.choices.chosen in report.choices.others
    page = report_html(report)
    section = page[page.index('<section id="choices">') :]
    section = section[: section.index("</section>")]
    assert section.count("<circle") == len(report.choices.others) + 1
    assert section.count(" best") == 2  # as one of them, and as the chosen one
    assert "2,400,000" in section
    assert "| this image | 1,250,000 | 4,096 | 9,000 | 20,000 |" in report_markdown(report)
    without = make_report(**samples.FULL.but(choices=None).inputs)
    assert '<section id="choices">' not in report_html(without)


def test_layers_in_plain_c_are_named_beside_faster_ones():
    calls = list(samples.PROGRAM.calls)
    fast = replace(calls[0].layers[0], library="cortex_m4")
    calls[0] = replace(calls[0], layers=(fast,))
    program = replace(samples.PROGRAM, calls=tuple(calls))
    (note,) = [
        n for n in make_report(**samples.FULL.but(program=program).inputs).verdict.notes if "plain C" in n
    ]
    assert "conv2d_1 (CONV_2D)" in note
    assert "conv2d (CONV_2D)" not in note
    assert not any("plain C" in note for note in make_report(**samples.FULL.inputs).verdict.notes)


@pytest.mark.parametrize("form", [visible, report_markdown], ids=["page", "text"])
def test_int8_layer_by_layer(form):
    text = " ".join(form(make_report(**samples.FULL.inputs)).split())
    assert "signal to noise at the output 27.6 dB" in text
    assert "account for 96.5 % of the noise there (32 samples)" in text
    assert "same class for 3 of 4 samples" in text
    assert "what costs most: conv2d 75.0 %, dense 25.0 %" in text
    row = (
        "conv2d",
        "CONV_2D MAXIMUM",
        "75.0 %",
        "31.2",
        "28.5",
        "42.0",
        "0.9993",
        "+0.50",
        "−1.3 … 6.4",
        "25.0 %",
        "< 0.1 %",
    )
    separated = " ".join(text.replace("|", " ").replace("&lt;", "<").split())
    assert " ".join(row) in separated
    assert "exact exact – 1.0000" in separated
    assert (
        "its scale is 4.50 times as coarse as 15 of its 16 channels need, for channel 7 (−1.3 … 6.4)" in text
    )


def test_costs_that_do_not_add_up_are_called_rough():
    text = visible(make_report(**samples.FULL.inputs))
    assert "take the costs as rough" not in text
    odd = replace(samples.INSPECTION, explained=0.2)
    text = visible(make_report(**samples.FULL.but(inspection=odd).inputs))
    assert "account for 20.0 % of the noise there (32 samples): they add up badly" in text


def test_an_int8_file_alone_says_why_nothing_is_held_against_float():
    alone = replace(samples.INSPECTION, without_float="No float model was given.")
    text = visible(make_report(**samples.FULL.but(inspection=alone).inputs))
    assert "No float model was given." in text
    assert "what costs most" not in text


def test_what_is_found_is_a_caution_and_stands_beside_the_layers():
    made = make_report(**samples.FOUND.inputs)
    words = "3.2 % of the values of layer conv2d lie beyond. Calibrate again."
    assert made.verdict.level == "amber"
    assert words in made.verdict.cautions
    assert visible(made).count(words) == 2
    assert report_markdown(made).count(words) == 2
    assert any(words in line for line in summarize(made).verdict)
    assert made.quantization.findings[0].code == "W_SATURATED"
    assert not make_report(**samples.FULL.inputs).quantization.findings


def test_costs_are_drawn_on_one_scale():
    from pipeline.report.charts import draw

    rows = draw(make_report(**samples.FULL.inputs)).costs
    assert [row.name for row in rows] == ["picture", "conv2d", "dense"]
    widths = [row.bars[0].width for row in rows]
    assert widths[0] == 0
    assert widths[2] == pytest.approx(widths[1] / 3)
    assert rows[1].bars[0].text == "75.0 %; own 31.2, total 28.5"
