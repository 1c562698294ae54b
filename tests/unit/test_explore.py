"""Boards times aims: what fits, what is best, and what is said of figures that nobody knows."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from ai_edge_litert import schema_py_generated as schema

from pipeline.boards import list_boards, load_board
from pipeline.config import Settings
from pipeline.errors import ModelNotSupported
from pipeline.explore import (
    AIMS,
    HEADER,
    Choice,
    choice_words,
    exploration_html,
    explore_model,
    mark_best,
)
from pipeline.load import FloatModel
from pipeline.report.pareto import Point, pareto_chart
from tests.tflite_chains import Chain, pool_options
from tests.unit.test_analyze import layer, model_of


def choice(seconds, ram, flash, board="a", fits=True, **changes):
    made = Choice(
        board, "Board A", 1_000_000, "time", round(1e6 * seconds), None, None, flash,
        10_000 if fits else 0, ram, 10_000, ram, None, "",
    )  # fmt: skip
    return replace(made, **changes)


def small_model():
    """input 12x12x8 -> MAX_POOL_2D 2x2 -> ADD to itself."""
    chain = Chain()
    x = chain.tensor("x", (1, 12, 12, 8), scale=0.05, zero_point=3)
    pooled = chain.tensor("pooled", (1, 6, 6, 8), scale=0.05, zero_point=3)
    chain.operator("MAX_POOL_2D", [x], pooled, pool_options(2, 2))
    total = chain.tensor("total", (1, 6, 6, 8), scale=0.1, zero_point=3)
    chain.operator("ADD", [pooled, pooled], total, schema.AddOptionsT())
    return chain.finish([x], [total])


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(small_model())
    return explore_model(Settings(model=path), lambda *_: None)


def test_every_board_is_tried_for_every_aim(explored):
    boards = [board.name for board in list_boards() if board.is_stm32]
    assert [(c.board, c.aim) for c in explored.choices] == [(b, aim) for b in boards for aim in AIMS]
    assert all(c.fits for c in explored.choices)
    assert all(c.flash_available_bytes == load_board(c.board).flash_bytes for c in explored.choices)


def test_a_cortex_m7_has_bounds_and_no_figure(explored):
    for found in explored.choices:
        single = load_board(found.board).cpu != "cortex-m7"
        assert (found.seconds is not None) is single
        if not single:
            assert 0 < found.low_seconds < found.high_seconds
            assert choice_words(found)[HEADER.index("time")] == "–"


def test_energy_is_reckoned_where_a_data_sheet_gives_a_current(explored):
    for found in explored.choices:
        power = load_board(found.board).power
        assert (found.joules is None) is (power is None or found.seconds is None)
        if found.joules is not None:
            watts = power.microamperes_per_mhz * 1e-6 * found.clock_hz / 1e6 * power.millivolts / 1000
            assert math.isclose(found.joules, watts * found.seconds)
            assert found.energy_source.startswith("DS")


def test_what_is_beaten_nowhere_is_best():
    fast, small, beaten, twin = choice(1, 900, 5), choice(2, 100, 5), choice(2, 900, 5), choice(1, 900, 5)
    marked = mark_best([fast, small, beaten, twin, choice(0.5, 50, 1, fits=False)])
    assert [c.best for c in marked] == [True, True, False, True, False]


def test_a_board_has_a_front_of_its_own():
    marked = mark_best([choice(1, 10, 5, board="quick"), choice(2, 20, 6, board="slow")])
    assert [(c.best, c.best_of_board) for c in marked] == [(True, True), (False, True)]


def test_what_does_not_fit_says_what_is_missing():
    assert choice_words(choice(1, 12_000, 5))[HEADER.index("fits")] == "1.953 KiB of RAM over"


def test_the_page_is_whole_and_holds_every_choice(explored):
    page = exploration_html(explored)
    body = page[page.index("<body>") : page.index("</html>")]
    tree = ElementTree.fromstring(body)
    assert len(tree.findall(".//tbody/tr")) == len(explored.choices)
    assert len(tree.findall(".//circle")) == len(explored.choices)
    assert "http" not in body


def test_points_stand_where_their_figures_are():
    points = [Point("a", "time", 0.01, None, 1000, True), Point("b", "ram", 0.1, 0.05, 100_000, False)]
    chart = pareto_chart(points)
    first, second = chart.dots
    assert first.x < second.low_x < second.x
    assert first.y > second.y  # more RAM stands higher
    assert first.css != second.css
    assert {"10 ms", "100 ms"} <= {tick.text for tick in chart.across}
    assert {"1 KiB", "64 KiB"} <= {tick.text for tick in chart.upwards}
    assert pareto_chart([]) is None


def test_near_points_have_an_axis_too():
    points = [Point("a", "", 5.4e6, None, 9000, True), Point("a", "", 6.1e6, None, 9100, False)]
    assert len(pareto_chart(points).across) >= 3


def test_a_layer_that_cannot_be_sketched_is_refused(monkeypatch, tmp_path):
    model = model_of(layer("LSTM", (4, 4), (4,)), input_shape=(4, 4))
    assert isinstance(model, FloatModel)
    monkeypatch.setattr("pipeline.explore.load_model", lambda path: model)
    with pytest.raises(ModelNotSupported) as refused:
        explore_model(Settings(model=tmp_path / "m.keras"), lambda *_: None)
    assert refused.value.code == "E_EXPLORE_LAYER"


def test_what_does_not_fit_has_sizes_and_no_time(monkeypatch, tmp_path):
    dense = layer("Dense", (1024,), (1024,), name="d", reads=("input",), use_bias=True)
    model = model_of(dense, input_shape=(1024,))
    monkeypatch.setattr("pipeline.explore.load_model", lambda path: model)
    boards = [load_board(name) for name in ("nucleo_f446re", "nucleo_l4r5zi")]
    monkeypatch.setattr("pipeline.explore.list_boards", lambda: boards)
    explored = explore_model(Settings(model=tmp_path / "m.keras"), lambda *_: None)
    for found in explored.choices:
        fits = found.board == "nucleo_l4r5zi"
        assert found.fits == fits == (found.seconds is not None)
        assert found.flash_bytes > 1 << 20
        if not fits:
            cells = dict(zip(HEADER, choice_words(found), strict=True))
            assert (cells["time"], cells["to"], cells["energy"], cells["best"]) == ("–", "–", "–", "")
            assert "of flash over" in cells["fits"]


def test_the_command_prints_json(explored, monkeypatch, tmp_path, capsys):
    from pipeline import cli

    monkeypatch.setattr("pipeline.explore.explore_model", lambda settings, progress: explored)
    monkeypatch.setattr(
        "sys.argv", ["stm32-deploy", "explore", "m.tflite", "--format", "json", "-o", str(tmp_path)]
    )
    assert cli.main() == 0
    held = json.loads(capsys.readouterr().out)
    assert len(held["choices"]) == len(explored.choices)
    assert {"seconds", "ram_bytes", "flash_bytes", "joules", "fits", "best"} <= held["choices"][0].keys()
    assert (tmp_path / "explore.html").is_file()


@pytest.mark.parametrize("times", [(0.9e-3, 2.7e-3), (2.1, 9.9), (3.0, 3.0), (1e-4, 2.0)])
@pytest.mark.parametrize("sizes", [(20_000, 22_000), (30_000, 30_000), (1, 1), (4096, 600_000)])
def test_ticks_are_some_and_stand_apart(times, sizes):
    points = [Point("a", "b", time, None, size, best=False) for time, size in zip(times, sizes, strict=True)]
    chart = pareto_chart(points)
    for ticks, apart in ((chart.across, 3), (chart.upwards, 12)):  # percent of the width; pixels
        places = sorted(tick.at for tick in ticks)
        assert len(places) >= (1 if sizes == (1, 1) else 3)
        assert all(b - a >= apart for a, b in itertools.pairwise(places))
        assert len({tick.text for tick in ticks}) == len(ticks)
