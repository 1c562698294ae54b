"""The flame graph: widths are cycles, callers stand beneath what they call, and the file is whole."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from pipeline.report.flame import HEAD, ROW, WIDTH, flame_boxes, flame_svg, folded

STACKS = [
    (("loop",), 10),
    (("loop", "layer_0 <conv>"), 30),
    (("loop", "layer_0 <conv>", "kernel"), 40),
    (("loop", "layer_1", "kernel"), 20),
]


def test_a_box_is_as_wide_as_its_cycles_and_those_of_what_it_calls():
    boxes = {(box.title.split(":")[0], round(box.width)): box for box in flame_boxes(STACKS)}
    loop, first, second = boxes["loop", WIDTH], boxes["layer_0 <conv>", 840], boxes["layer_1", 240]
    assert loop.x == first.x == 0
    assert second.x == pytest.approx(first.x + first.width)
    assert (loop.y, first.y) == (HEAD + 2 * ROW, HEAD + ROW)
    assert boxes["kernel", 240].x == second.x
    assert "70 cycles, 70.00 %" in first.title


def test_boxes_of_one_row_never_overlap():
    rows: dict[int, list] = {}
    for box in flame_boxes(STACKS):
        rows.setdefault(box.y, []).append((box.x, box.x + box.width))
    for spans in rows.values():
        spans.sort()
        assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(spans))


def test_the_picture_is_whole_and_names_are_escaped():
    tree = ElementTree.fromstring(flame_svg(STACKS, "m: <estimated>", "100 cycles"))
    titles = [title.text for title in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0] == "m: <estimated>"
    assert len(titles) == 1 + len(flame_boxes(STACKS))


def test_what_is_too_narrow_to_see_is_not_drawn():
    assert len(flame_boxes([(("loop",), 1_000_000), (("loop", "thin"), 1)])) == 1


def test_folded_lines_sum_to_the_whole():
    lines = folded([*STACKS, (("loop", "odd;name"), 5)]).splitlines()
    assert lines[1] == "loop;layer_0 <conv> 30"
    assert lines[-1] == "loop;odd,name 5"
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == 105
