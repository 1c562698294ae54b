"""Layers kept in int16 within an int8 model: which they are, where types change, what it gains."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline import deploy
from pipeline.config import Settings
from pipeline.cures import cure_table
from pipeline.errors import DoesNotFit, UsageError
from pipeline.load import Preprocessing, Samples, load_model
from pipeline.quantize import (
    BorderTypes,
    apply_recipe,
    inspect_quantization,
    measure,
    parse_recipe,
    prepare_model,
    run_float_graph,
)
from pipeline.quantize.measure import sqnr_db
from pipeline.quantize.predict import predict_int8
from pipeline.quantize.tflite_graph import Operator, TfliteGraph
from pipeline.read_tflite import read_tflite

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]
SHAPE = (12, 12, 3)


def branching(k, x):
    """Convolutions, a sum, a concatenation of two maps, a pooling, an average, a softmax."""
    y = first = k.Conv2D(8, 3, padding="same", activation="relu", name="first")(x)
    y = k.DepthwiseConv2D(3, padding="same", activation="relu6", name="depthwise")(y)
    y = k.Add(name="sum")([first, y])
    y = k.Concatenate(name="both")([y, first])
    y = k.MaxPooling2D(name="pool")(y)
    y = k.Conv2D(6, 3, activation="relu", name="second")(y)
    y = k.AveragePooling2D(4, name="average")(y)
    y = k.Dense(5, name="scores")(k.Flatten(name="flat")(y))
    return k.Softmax(name="odds")(y)


def clamped(k, x):
    """Batch norm behind a ReLU, which becomes a clamp per channel: constants beside int16."""
    y = k.Conv2D(8, 3, activation="relu", name="first")(x)
    y = k.BatchNormalization(name="norm")(y)
    y = k.Conv2D(8, 3, activation="relu", name="second")(y)
    y = k.Rescaling(0.7, name="scaled")(y)
    return k.Dense(4, name="scores")(k.GlobalAveragePooling2D(name="average")(y))


def curved(k, x):
    """A hard swish has no int16 form."""
    y = k.Conv2D(8, 3, name="first")(x)
    y = k.Activation("hard_swish", name="curve")(y)
    y = k.Conv2D(8, 3, name="second")(y)
    return k.Dense(4, name="scores")(k.GlobalAveragePooling2D(name="average")(y))


def widening(k, x):
    """Maps that grow, and are joined with earlier ones, as in a U-Net; the first operand is no map."""
    y = first = k.Conv2D(6, 3, padding="same", activation="relu", name="first")(x)
    y = k.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="lower")(y)
    y = k.Conv2DTranspose(6, 3, strides=2, padding="same", name="raised")(y)
    y = k.Concatenate(name="both")([y, first])
    y = k.UpSampling2D(2, interpolation="bilinear", name="larger")(y)
    y = k.Conv2D(4, 3, name="last")(y)
    return k.GlobalMaxPooling2D(name="most")(y)


def averaged(k, x):
    """An average pooling has to keep its input's scale in int8, of which means fill a small part."""
    y = k.Conv2D(24, 3, activation="relu", name="first")(x)
    y = k.Conv2D(24, 3, activation="relu", name="second")(y)
    y = k.Conv2D(24, 3, padding="same", activation="relu", name="third")(y)
    y = k.AveragePooling2D(8, name="average")(y)
    return k.Dense(5, name="scores")(k.Flatten(name="flat")(y))


def prepared_of(net, folder, border=None, seed=1):
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(seed)
    source = keras.Input(SHAPE, name="picture")
    model = keras.Model(source, net(keras.layers, source))
    for layer in model.layers:
        if layer.name == "norm":
            n = layer.moving_mean.shape[0]
            layer.set_weights([rng.uniform(0.5, 2, n), *rng.normal(0, 0.3, (2, n)), rng.uniform(0.5, 2, n)])
        elif layer.get_weights():
            shapes = [weights.shape for weights in layer.get_weights()]
            layer.set_weights([rng.normal(0, 1.5 / np.sqrt(np.prod(s[:-1]) + 4), s) for s in shapes])
    model.save(folder / "net.keras")
    x = rng.uniform(-1, 1, (48, *SHAPE)).astype(np.float32)
    samples = Samples(x, None, None, "test data", False, Preprocessing())
    prepared = prepare_model(load_model(folder / "net.keras"), samples)
    return replace(prepared, border=border or prepared.border)


def names_of(tflite):
    return {node.output: node.name for node in read_tflite(tflite, "net").nodes}


def quantized(prepared, recipe):
    return apply_recipe(prepared, parse_recipe(recipe), check=names_of)[:2]


def layers_of(prepared, recipe):
    floats, tflite = quantized(prepared, recipe)
    found = inspect_quantization(tflite, floats, (prepared.x,), names=names_of(tflite))
    assert found.unmatched == ()
    return {layer.name: layer for layer in found.layers}


def types_of(tflite):
    """Of each layer's output, and the steps between types."""
    graph = read_tflite(tflite, "net")
    steps = [node.name for node in graph.nodes if node.op.tflite_name in {"QUANTIZE", "DEQUANTIZE"}]
    return {node.name: graph.tensors[node.output].dtype for node in graph.nodes}, steps


CASES = {
    branching: ("first", "depthwise", "sum", "both", "pool", "second", "average", "scores"),
    clamped: ("first", "norm", "second", "scaled", "average"),
    curved: ("second", "average"),
    widening: ("first", "lower", "raised", "both"),
}


# What `norm` writes is inspected with the convolution that its clamp belongs to, and not under its name.
INSPECTED = [
    (net, name) for net, names in CASES.items() for name in names if (net, name) != (clamped, "norm")
]


@pytest.mark.parametrize(("net", "name"), INSPECTED)
def test_what_the_layer_writes_comes_nearer_to_float(net, name, tmp_path):
    prepared = prepared_of(net, tmp_path)
    plain, mixed = (layers_of(prepared, recipe) for recipe in ("minmax", f"int16={name}"))
    before, after = plain[name].own.sqnr_db, mixed[name].own.sqnr_db
    if plain[name].weights_db is None:
        # Only steps are left, 256 times as fine; what moves or scales values had hardly an error to lose.
        assert after is None or after > (80 if before is None else min(before + 6, 80))
    else:
        assert after > before
    # The layers before it are as they were.
    position = list(plain).index(name)
    assert [plain[each] for each in list(plain)[:position]] == [
        replace(mixed[each], cost=plain[each].cost, cost_db=plain[each].cost_db)
        if mixed[each].cost is not None
        else mixed[each]
        for each in list(mixed)[:position]
    ]


@pytest.mark.parametrize(
    ("recipe", "wide", "steps"),
    [
        # A step into the layer; out of what reads it.
        ("int16=second", {"second", "average"}, ["pool_quantize", "average_quantize"]),
        # No steps between neighbours.
        (
            "int16=second,average",
            {"second", "average", "scores"},
            ["pool_quantize", "scores_quantize"],
        ),
        # What only moves values hands them on; both operands of a concatenation are of one type.
        (
            "int16=sum",
            {"sum", "both", "pool", "second"},
            ["first_quantize", "depthwise_quantize", "second_quantize"],
        ),
        # The output is of int8, and so the last step.
        ("int16=scores", {"scores", "odds"}, ["average_quantize", "odds_quantize"]),
    ],
)
def test_types_change_where_they_have_to(recipe, wide, steps, tmp_path):
    prepared = prepared_of(branching, tmp_path)
    plain, mixed = quantized(prepared, "minmax")[1], quantized(prepared, recipe)[1]
    types, found = types_of(mixed)
    assert {name for name, kind in types.items() if kind == "int16" and name not in found} == wide
    assert sorted(found) == sorted(steps)
    graphs = [read_tflite(each, "net") for each in (plain, mixed)]
    assert graphs[0].inputs == graphs[1].inputs
    assert graphs[0].outputs == graphs[1].outputs
    assert {graph.tensors[graph.outputs[0]].dtype for graph in graphs} == {"int8"}


def test_weights_are_the_same_and_biases_have_64_bits(tmp_path):
    prepared = prepared_of(branching, tmp_path)
    plain, mixed = (TfliteGraph(quantized(prepared, each)[1]) for each in ("minmax", "int16=first"))
    pairs = [
        [op for op in graph.operators if graph.kind(op) != Operator.QUANTIZE] for graph in (plain, mixed)
    ]
    bits = []
    for one, other in zip(*pairs, strict=True):
        assert plain.kind(one) == mixed.kind(other)
        if plain.kind(one) in {Operator.CONV_2D, Operator.DEPTHWISE_CONV_2D}:
            weights = (plain.constant(int(one.inputs[1])), mixed.constant(int(other.inputs[1])))
            np.testing.assert_array_equal(*weights)
            bits.append(mixed.constant(int(other.inputs[2])).itemsize * 8)
    # The first, the depthwise one that reads it, and behind sum, concatenation and pooling the second.
    assert bits == [64, 64, 64]
    assert len(mixed.pack()) < 1.5 * len(plain.pack())


def test_float_at_the_border_is_made_and_read_in_int16(tmp_path):
    prepared = prepared_of(branching, tmp_path, BorderTypes("float32", "float32"))
    expected = predict_int8(prepared.graph, prepared.x, reference=False)[1]
    plain, mixed = (quantized(prepared, r)[1] for r in ("minmax", "int16=first,scores,odds"))
    types, steps = types_of(mixed)
    assert types["odds"] == "int16"
    assert sum(name.startswith("odds") for name in steps) == 1
    before, after = (sqnr_db(expected, predict_int8(each, prepared.x)[1]) for each in (plain, mixed))
    assert after > before + 3


@pytest.mark.parametrize(
    "recipe", ["mse+int16=average+bias", "equalize+int16=worst:2+bias", "int16=worst:99"]
)
@pytest.mark.parametrize("net", [branching, clamped])
def test_other_cures_go_with_it(net, recipe, tmp_path):
    prepared = prepared_of(net, tmp_path)
    expected = predict_int8(prepared.graph, prepared.x, reference=False)[1]
    without = "+".join(part for part in recipe.split("+") if "int16" not in part) or "minmax"
    before, after = (
        sqnr_db(expected, predict_int8(quantized(prepared, each)[1], prepared.x)[1])
        for each in (without, recipe)
    )
    assert after > before - 0.5
    assert "int16" in types_of(quantized(prepared, recipe)[1])[0].values()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("curve", "curve: HARD_SWISH: TFLite's reference kernels have no int16 form"),
        ("first", "first: what reads it has no int16 form: HARD_SWISH"),
        ("scores", "scores: it is the model's output"),
        ("secnod", "secnod: the model has no such layer"),
    ],
)
def test_a_layer_that_cannot_be_kept(name, said, tmp_path):
    prepared = prepared_of(curved, tmp_path)
    with pytest.raises(UsageError) as caught:
        quantized(prepared, f"int16=second,{name}")
    assert caught.value.code == "E_RECIPE"
    (detail,) = caught.value.details
    assert detail.startswith(said)
    assert "layers that can be kept: second, average" in caught.value.hint
    assert ("did you mean second?" in caught.value.hint) is (name == "secnod")


def test_measurement_takes_it_where_it_is_worth_it(tmp_path):
    prepared = prepared_of(averaged, tmp_path)
    np.savez(tmp_path / "data.npz", x=prepared.x)
    settings = Settings(
        model=tmp_path / "net.keras", samples=tmp_path / "data.npz", board="nucleo_l4r5zi", optimize="time"
    )
    table = cure_table(settings, lambda *step: None)
    assert "int16=average" in table.best
    rows = {row.recipe: row for row in table.rows}
    mixed = rows[table.best]
    plain = max((row for name, row in rows.items() if "int16" not in name), key=lambda r: r.fidelity.sqnr_db)
    assert mixed.fidelity.sqnr_db > plain.fidelity.sqnr_db + 3
    assert mixed.cycles <= 1.2 * plain.cycles
    whole = rows["int16"]
    assert whole.cycles > 2 * mixed.cycles


@pytest.mark.parametrize("limit", ["--max-flash", "board"])
def test_measurement_leaves_it_where_only_int8_fits(limit, tmp_path, monkeypatch):
    prepared = prepared_of(averaged, tmp_path)
    samples = Samples(prepared.x, None, None, "test data", False, Preprocessing())
    settings = Settings(board="nucleo_l4r5zi", optimize="flash")
    monkeypatch.setattr(deploy, "WORTH_COST", 10.0)  # it is a matter of room alone
    monkeypatch.setattr(measure, "IN_INT16", (1,))

    def tried():
        run = run_float_graph(prepared, samples)
        return deploy.try_recipes(prepared, run, [parse_recipe("minmax")], settings, lambda *step: None)

    free = tried()
    assert (free.best,) == free.mixed
    (plain,) = free.plain
    with pytest.raises(DoesNotFit) as refused:
        deploy.predict_file(plain.tflite, "net", settings.model_copy(update={"max_flash": 0}))
    least = int(re.search(r"the least flash ([\d,]+)", refused.value.hint)[1].replace(",", ""))
    tight = settings.model_copy(update={"max_flash": least})
    if limit == "board":
        size = deploy.predict_file(plain.tflite, "net", tight).flash_bytes
        board = deploy.the_board(settings)
        small = replace(
            board,
            memory=tuple(
                replace(region, length_bytes=size) if region.name == "flash" else region
                for region in board.memory
            ),
        )
        assert small.flash_bytes == size
        monkeypatch.setattr(deploy, "the_board", lambda settings: small)
    else:
        settings = tight
    assert tried().best.recipe == plain.recipe
