"""Profiles in an empty machine: the virtual board's figures, for several boards at once, and their fit."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from pipeline.bench import fit
from pipeline.bench.fit import fit_formulas, profile_shapes
from pipeline.bench.shapes import shapes
from pipeline.boards import list_boards, load_board
from pipeline.build import KERNEL_LEVEL, build_firmware, kernel_level
from pipeline.errors import TargetFailed, UsageError
from pipeline.kernels.costs import COSTS_FILE, STALLS, compiler_of, costs_table, read_costs
from pipeline.kernels.portable_features import COUNTERS
from pipeline.operators import OPERATORS
from pipeline.timing import can_estimate, estimate_cycles, one_layer_a_step, timing_model
from pipeline.timing.bare import profile_bare
from tests.firmware.small_model import INPUT_BYTES, LAYERS, small_tree

pytest.importorskip("unicorn")
pytestmark = [pytest.mark.simulator, pytest.mark.toolchain]
STEPS = one_layer_a_step(LAYERS)


def quiet(stage, done, total):
    pass


@pytest.fixture(scope="module")
def board():
    if shutil.which("cc") is None:
        pytest.skip("no C compiler for this computer")
    return load_board("nucleo_l4r5zi")


@pytest.fixture(scope="module")
def firmware(board, tmp_path_factory):
    return build_firmware(small_tree(board), board, tmp_path_factory.mktemp("small"))


def test_the_empty_machine_counts_what_the_virtual_board_does(firmware, board, tmp_path):
    model = timing_model(board)
    sample = np.zeros(INPUT_BYTES, np.uint8)
    virtual = estimate_cycles(firmware, board, model, sample, STEPS, tmp_path, quiet, "unicorn")
    (bare,) = profile_bare(firmware, board, [model], STEPS, tmp_path)
    assert bare.layers == virtual.layers
    assert bare.outside == virtual.outside


def test_several_boards_are_followed_at_once(firmware, board, tmp_path):
    model = timing_model(board)
    models = [model, replace(model, instruction_lines=2, data_lines=0), replace(model, wait_states=0)]
    together = profile_bare(firmware, board, models, STEPS, tmp_path)
    alone = [profile_bare(firmware, board, [each], STEPS, tmp_path)[0] for each in models]
    assert list(together) == alone
    assert together[1].total.cycles > together[0].total.cycles >= together[2].total.cycles
    assert len({profile.total.instructions for profile in together}) == 1


def test_an_image_whose_layers_never_return_is_refused(firmware, board, tmp_path):
    with pytest.raises(TargetFailed) as refused:
        profile_bare(firmware, board, [timing_model(board)], one_layer_a_step(LAYERS + 3), tmp_path)
    assert refused.value.code == "E_ESTIMATE"


def test_profiles_become_formulas(board, tmp_path):
    dense = list(islice((g for g in shapes() if g.nodes[0].op.kernel == "softmax"), 5))
    found = profile_shapes(dense, "-O2", tmp_path, quiet)
    assert [one.name.startswith("softmax_") for one in found["portable/softmax"]] == 5 * [True]
    formula = fit_formulas(found)["portable/softmax"]
    timed = {other.name for other in list_boards() if can_estimate(other)}
    assert formula.boards.keys() == timed
    assert formula.boards["nucleo_l476rg"] == formula.boards["b_l475e_iot01a"]  # one chip's flash
    assert all(cost.stalls.keys() == set(STALLS) for cost in formula.boards.values())
    assert 200 < formula.code_bytes < 1000


def test_a_layer_is_profiled_in_few_of_its_ways_and_all_are_profiled_on_some_layer():
    """The ways of a kernel in turn: what a formula is fitted on does not depend on where a list begins."""
    layers = tuple(graph for graph in shapes() if graph.name.startswith("conv2d_1x16x16x16"))
    kernel, seen = "cortex_m4/conv_2d_winograd4", Counter()
    for graph in layers:
        runs = [way.variant for _, name, way in fit.runs_of((graph,)) if name == kernel]
        assert len(set(runs)) == len(runs) <= fit.MOST_WAYS
    for _, name, way in fit.runs_of(layers):
        seen[way.variant] += name == kernel
    offered = {way.variant for graph in layers for name, way in fit.ways_of(graph) if name == kernel}
    assert len(offered) > fit.MOST_WAYS
    assert {variant for variant, count in seen.items() if count} == offered


@pytest.mark.parametrize(
    ("kernel", "levels"),
    [("cortex_m4/pool_rows", {"-O2", "-Os"}), ("portable/softmax", {"-O3", "-O2", "-Os"})],
)
def test_formulas_are_of_the_levels_at_which_a_kernel_is_built(kernel, levels):
    assert {kernel_level(kernel, aim) for aim in KERNEL_LEVEL} == levels
    assert {level for level, formulas in costs_table().items() if kernel in formulas} == levels


def test_shapes_are_the_same_at_every_call_and_have_names_of_their_own():
    first, second = list(shapes()), list(shapes())
    names = [graph.name for graph in first]
    assert len(set(names)) == len(names)
    for one, other in zip(first, second, strict=True):
        for tensor, same in zip(one.tensors.values(), other.tensors.values(), strict=True):
            assert (tensor.data is None) == (same.data is None)
            assert tensor.data is None or np.array_equal(tensor.data, same.data)


def test_every_counted_kernel_is_one_of_an_operator():
    assert COUNTERS.keys() <= {operator.kernel for operator in OPERATORS}


def test_the_command_writes_the_formulas_of_every_level(board, tmp_path, monkeypatch):
    few = tuple(islice((g for g in shapes() if g.nodes[0].op.kernel == "dequantize"), 5))
    monkeypatch.setattr(fit, "shapes", lambda: few)
    monkeypatch.setattr(fit, "FOLDER", tmp_path)
    monkeypatch.setattr(fit, "COSTS_FILE", tmp_path / "costs.toml")
    table = fit.write_costs(quiet)
    assert read_costs((tmp_path / "costs.toml").read_text()).keys() == table.keys() == fit.LEVELS.keys()
    assert any("portable/dequantize at -O3, 5 shapes" in line for line in fit.fit_lines(table))


def test_the_formula_of_one_kernel_is_fitted_alone(tmp_path, monkeypatch):
    """The file keeps all others to the byte; of a layer's ways only those of the kernel are profiled."""
    wanted = ("softmax", "dequantize")
    few = [list(islice((g for g in shapes() if g.nodes[0].op.kernel == kernel), 5)) for kernel in wanted]
    held = COSTS_FILE.read_text(encoding="utf-8")
    file = tmp_path / "costs.toml"
    file.write_text(held, encoding="utf-8")
    monkeypatch.setattr(fit, "shapes", lambda: (*few[0], *few[1]))
    monkeypatch.setattr(fit, "FOLDER", tmp_path)
    monkeypatch.setattr(fit, "COSTS_FILE", file)
    table = fit.write_costs(quiet, ["dequantize"])
    assert {name for formulas in table.values() for name in formulas} == {"portable/dequantize"}
    assert formula_texts(file.read_text(encoding="utf-8")) == formula_texts(held)
    assert "shapes = 5" in file.read_text(encoding="utf-8").split("portable/dequantize")[1]
    with pytest.raises(UsageError) as refused:
        fit.write_costs(quiet, ["portable/dequantise"])
    assert "did you mean portable/dequantize?" in refused.value.hint
    monkeypatch.setattr(fit, "shapes", lambda: tuple(few[0][:4]))
    with pytest.raises(UsageError) as refused:
        fit.write_costs(quiet, ["softmax"])
    assert "needs 5 layers: portable/softmax can run 4" in refused.value.problem
    monkeypatch.setattr(fit, "shapes", lambda: (*few[0], *few[1]))
    file.write_text(held.replace(compiler_of(held), "arm-none-eabi-gcc 4.9"), encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        fit.write_costs(quiet, ["softmax"])
    assert refused.value.code == "E_FIT_COMPILER"


def formula_texts(text):
    """What a file says of each kernel but DEQUANTIZE."""
    return [part for part in text.split("\n\n") if "portable/dequantize" not in part]
