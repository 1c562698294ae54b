"""Where int8 differs from float: on graphs whose errors are known, and against the kernels themselves."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from pipeline.load import Preprocessing, Samples, load_model
from pipeline.quantize import inspect_quantization, quantize_model
from pipeline.quantize.inspect import find_spoiled
from pipeline.quantize.tflite_graph import TfliteGraph
from pipeline.quantize.twins import clamped, cut_apart, pair_layers, perturbable
from tests.tflite_chains import Chain

RNG = np.random.default_rng(5)


def interpreter_of(content, reference=False):
    kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    made = Interpreter(
        model_content=content, experimental_op_resolver_type=kind, experimental_preserve_all_tensors=True
    )
    made.allocate_tensors()
    return made


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A convolution with a batch norm behind its ReLU, a pooling, a branch, a dense layer, a softmax."""
    keras = pytest.importorskip("keras")
    x = keras.Input((8, 8, 3), name="picture")
    y = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(x)
    y = keras.layers.BatchNormalization(name="norm")(y)
    y = z = keras.layers.MaxPooling2D(name="pool")(y)
    y = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="second")(y)
    y = keras.layers.Add(name="sum")([y, z])
    y = keras.layers.Flatten(name="flat")(y)
    y = keras.layers.Dense(5, activation="softmax", name="out")(y)
    model = keras.Model(x, y)
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if layer.name == "norm":
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, 8),
                    rng.normal(0, 0.3, 8),
                    rng.normal(0, 0.3, 8),
                    rng.uniform(0.5, 2, 8),
                ]
            )
        elif layer.get_weights():
            layer.set_weights([rng.normal(0, 0.3, w.shape) for w in layer.get_weights()])
    path = tmp_path_factory.mktemp("net") / "net.keras"
    model.save(path)
    samples = Samples(
        rng.random((80, 8, 8, 3)).astype(np.float32), None, None, "noise", False, Preprocessing()
    )
    return quantize_model(load_model(path), samples), samples.x


@pytest.fixture(scope="module")
def inspected(case):
    quantized, x = case
    return inspect_quantization(quantized.tflite, quantized.float_tflite, (x,), names={})


@pytest.mark.tensorflow
def test_layers_are_those_of_the_target_clamps_included(inspected):
    assert [layer.operator for layer in inspected.layers] == [
        "INPUT", "CONV_2D MAXIMUM", "MAX_POOL_2D", "CONV_2D", "ADD", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    assert inspected.unmatched == ()
    assert inspected.without_float == ""
    assert inspected.samples == 64


@pytest.mark.tensorflow
def test_errors_are_those_of_the_two_files_run_by_themselves(case, inspected):
    """The total error by both files alone; the own error of a dense layer by a matrix product."""
    quantized, x = case
    integers, real = interpreter_of(quantized.tflite, reference=True), interpreter_of(quantized.float_tflite)
    layer = next(layer for layer in inspected.layers if layer.operator == "FULLY_CONNECTED")
    details = {detail["name"]: detail for detail in integers.get_tensor_details()}
    real_index = {detail["name"]: detail["index"] for detail in real.get_tensor_details()}
    (operator,) = (op for op in real._get_ops_details() if op["op_name"] == "FULLY_CONNECTED")
    weights, bias = (real.get_tensor(int(i)) for i in operator["inputs"][1:3])
    before = next(d for d in integers.get_tensor_details() if d["name"].startswith("flat/"))
    held, wanted, alone = [], [], []
    for sample in x[np.arange(64) * 80 // 64]:
        (source,) = integers.get_input_details()
        scale, zero = source["quantization"]
        integers.set_tensor(
            source["index"], np.clip(np.round(sample / scale) + zero, -128, 127).astype(np.int8)[None]
        )
        real.set_tensor(real.get_input_details()[0]["index"], sample[None])
        integers.invoke()
        real.invoke()
        scale, zero = details[layer.tensor]["quantization"]
        held.append(scale * (integers.get_tensor(details[layer.tensor]["index"])[0].astype(float) - zero))
        wanted.append(real.get_tensor(real_index[layer.tensor])[0])
        scale, zero = before["quantization"]
        alone.append(
            weights @ (scale * (integers.get_tensor(before["index"])[0].astype(float) - zero)) + bias
        )
    for deviation, reference in ((layer.total, np.array(wanted)), (layer.own, np.array(alone))):
        error = np.array(held) - reference
        assert deviation.sqnr_db == pytest.approx(
            10 * np.log10((reference**2).sum() / (error**2).sum()), rel=1e-3
        )
        assert deviation.bias == pytest.approx(error.mean(), rel=1e-3, abs=1e-6)
        assert deviation.rms == pytest.approx(np.sqrt((error**2).mean()), rel=1e-3)
        cosine = (np.array(held) * reference).sum() / np.linalg.norm(held) / np.linalg.norm(reference)
        assert deviation.cosine == pytest.approx(cosine, abs=1e-6)
    assert layer.own.sqnr_db > layer.total.sqnr_db


@pytest.mark.tensorflow
def test_layers_that_only_move_values_add_nothing(inspected):
    for operator in ("MAX_POOL_2D", "RESHAPE"):
        layer = next(layer for layer in inspected.layers if layer.operator == operator)
        assert layer.own.rms == 0
        assert layer.own.sqnr_db is None
        assert layer.cost == 0
        assert layer.total.rms > 0


@pytest.mark.tensorflow
def test_costs_are_shares_and_explain_the_whole_error(inspected):
    """To first order the own errors of all layers add up to that of the model."""
    costs = [layer.cost for layer in inspected.layers if layer.cost is not None]
    assert sum(costs) == pytest.approx(1)
    assert min(costs) >= 0
    assert inspected.explained > 0.9
    assert inspected.layers[-1].cost is None  # behind what is judged: the softmax's input
    judged = inspected.layers[-2]
    assert inspected.judged == (judged.tensor,)
    assert inspected.output_db == pytest.approx(judged.total.sqnr_db, abs=1.5)  # of fewer samples


@pytest.mark.tensorflow
def test_a_layer_that_is_made_worse_costs_more(case, inspected):
    """One layer's weights are made coarse in the int8 file alone: it, and no other, gets the blame."""
    quantized, x = case
    graph = TfliteGraph(quantized.tflite)
    second = [op for op in graph.operators if graph.kind(op) == schema.BuiltinOperator.CONV_2D][1]
    weights = graph.constant(int(second.inputs[1]))
    content = bytearray(quantized.tflite)
    held = graph.subgraph.tensors[int(second.inputs[1])]
    coarse = (np.round(weights / 64.0) * 64).clip(-127, 127).astype(np.int8)
    schema.Model.GetRootAs(content, 0).Buffers(held.buffer).DataAsNumpy()[:] = coarse.reshape(-1).view(
        np.uint8
    )
    worse = inspect_quantization(bytes(content), quantized.float_tflite, (x,), names={})
    place = [layer.tensor for layer in inspected.layers].index(graph.name(int(second.outputs[0])))
    assert worse.layers[place].cost > 0.9
    assert worse.layers[place].weights_db < inspected.layers[place].weights_db - 20
    assert worse.layers[place].own.sqnr_db < inspected.layers[place].own.sqnr_db - 10
    for before, after in zip(inspected.layers[:place], worse.layers[:place], strict=True):
        assert asdict(before) == {**asdict(after), "cost": before.cost}
    assert worse.output_db < inspected.output_db - 10


@pytest.mark.tensorflow
def test_names_and_classes(case):
    quantized, x = case
    found = inspect_quantization(
        quantized.tflite, quantized.float_tflite, (x,), names={"pool/MaxPool2d": "the pooling"}
    )
    assert "the pooling" in [layer.name for layer in found.layers]
    assert len(found.predicted) == len(found.predicted_float) == found.samples
    assert set(found.predicted) <= set(range(5))


@pytest.mark.tensorflow
def test_few_samples_where_each_takes_long(case, monkeypatch):
    quantized, x = case
    monkeypatch.setattr("pipeline.quantize.inspect.PRODUCTS", 1.0)
    monkeypatch.setattr("pipeline.quantize.inspect.COST_PRODUCTS", 1.0)
    found = inspect_quantization(quantized.tflite, quantized.float_tflite, (x,), names={})
    assert (found.samples, found.costed_samples) == (4, 2)


@pytest.mark.tensorflow
def test_an_int8_file_alone_has_ranges_only(case):
    quantized, x = case
    found = inspect_quantization(quantized.tflite, None, (x,), names={})
    assert "there is no float model" in found.without_float
    assert [layer.own for layer in found.layers] == [None] * 8
    assert [layer.cost for layer in found.layers] == [None] * 8
    assert found.layers[0].minimum == pytest.approx(x.min(), abs=0.01)
    assert found.layers[0].maximum == pytest.approx(x.max(), abs=0.01)
    assert all(0 <= layer.unused < 1 for layer in found.layers)


@pytest.mark.parametrize("border", ["float32", "uint8", "int8"])
def test_borders_of_another_type_are_no_layers(border):
    """x -> LOGISTIC -> LEAKY_RELU -> y, with QUANTIZE and DEQUANTIZE at its border."""
    shape = (1, 6)
    real = Chain()
    x, a, y = (real.tensor(name, shape, "float32") for name in "xay")
    real.operator("LOGISTIC", [x], a)
    real.operator("LEAKY_RELU", [a], y, schema.LeakyReluOptionsT())
    held = Chain()
    inside = {"scale": 1 / 256, "zero_point": -128}
    q = held.tensor("q", shape, scale=0.05, zero_point=0)
    b = held.tensor("a", shape, **inside)
    z = held.tensor("z", shape, **inside)
    first, last = q, z
    if border != "int8":
        outer = {} if border == "float32" else {"scale": 0.05, "zero_point": 128}
        first = held.tensor("x", shape, border, **outer)
        outer = {} if border == "float32" else {"scale": 1 / 256, "zero_point": 0}
        last = held.tensor("y", shape, border, **outer)
        held.operator("QUANTIZE", [first], q, schema.QuantizeOptionsT())
    held.operator("LOGISTIC", [q], b)
    held.operator("LEAKY_RELU", [b], z, schema.LeakyReluOptionsT())
    if border == "float32":
        held.operator("DEQUANTIZE", [z], last, schema.DequantizeOptionsT())
    elif border == "uint8":
        held.operator("QUANTIZE", [z], last, schema.QuantizeOptionsT())
    samples = RNG.normal(0, 2, (20, 6)).astype(np.float32)
    found = inspect_quantization(
        held.finish([first], [last]), real.finish([x], [y]), (samples,), names={}, labelled=True
    )
    assert [layer.operator for layer in found.layers] == ["INPUT", "LOGISTIC", "LEAKY_RELU"]
    assert found.unmatched == ()
    assert found.layers[0].own.rms == pytest.approx(0.05 / np.sqrt(12), rel=0.2)
    assert found.layers[1].own.rms == pytest.approx(1 / 256 / np.sqrt(12), rel=0.3)
    assert found.layers[1].total.rms > found.layers[1].own.rms
    assert sum(layer.cost for layer in found.layers) == pytest.approx(1)
    assert found.explained > 0.95
    assert len(found.predicted) == len(found.predicted_float) == 20


def test_a_layer_that_stays_in_float_is_read_through():
    """x -> LOGISTIC -> DEQUANTIZE -> TANH in float -> QUANTIZE -> LEAKY_RELU -> y"""
    shape = (1, 6)
    real, held = Chain(), Chain()
    x, a, b, y = (real.tensor(name, shape, "float32") for name in "xaby")
    real.operator("LOGISTIC", [x], a)
    real.operator("TANH", [a], b)
    real.operator("LEAKY_RELU", [b], y, schema.LeakyReluOptionsT())
    q, c = held.tensor("x", shape, scale=0.05), held.tensor("a", shape, scale=1 / 256, zero_point=-128)
    d, e = held.tensor("d", shape, "float32"), held.tensor("e", shape, "float32")
    f, z = (held.tensor(name, shape, scale=1 / 128) for name in "fz")
    held.operator("LOGISTIC", [q], c)
    held.operator("DEQUANTIZE", [c], d, schema.DequantizeOptionsT())
    held.operator("TANH", [d], e)
    held.operator("QUANTIZE", [e], f, schema.QuantizeOptionsT())
    held.operator("LEAKY_RELU", [f], z, schema.LeakyReluOptionsT())
    samples = RNG.normal(0, 2, (20, 6)).astype(np.float32)
    found = inspect_quantization(held.finish([q], [z]), real.finish([x], [y]), (samples,), names={})
    assert [layer.operator for layer in found.layers] == ["INPUT", "LOGISTIC", "LEAKY_RELU"]
    # what rounding the float layer's result costs is the next one's
    assert found.layers[2].own.rms == pytest.approx(1 / 128 / np.sqrt(12), rel=0.3)
    assert found.explained > 0.95
    assert found.unmatched == ()


def test_a_scale_that_tflite_prescribes_is_not_spoiled():
    """x -> LOGISTIC -> y: one channel near 1, fifteen near 0. The input's own scale is another matter."""
    shape = (1, 16)
    real, held = Chain(), Chain()
    x, y = (real.tensor(name, shape, "float32") for name in "xy")
    real.operator("LOGISTIC", [x], y)
    a, b = held.tensor("x", shape, scale=0.08), held.tensor("y", shape, scale=1 / 256, zero_point=-128)
    held.operator("LOGISTIC", [a], b)
    samples = np.where(np.arange(16) == 3, 9.0, -3.0) + RNG.normal(0, 0.1, (20, 16))
    found = inspect_quantization(
        held.finish([a], [b]), real.finish([x], [y]), (samples.astype(np.float32),), names={}
    )
    assert found.layers[0].spoiled.by[0].channel == 3
    assert found.layers[1].spoiled is None


# --- the float file's other forms ------------------------------------------------------------------


def two_branches():
    """float: x -> relu6 -> (tanh, logistic) -> add, built by hand."""
    chain = Chain()
    names = ("x", "a", "b", "c", "y")
    x, a, b, c, y = (chain.tensor(name, (1, 4), "float32") for name in names)
    chain.operator("RELU6", [x], a)
    chain.operator("TANH", [a], b)
    chain.operator("LOGISTIC", [a], c)
    options = schema.AddOptionsT()
    chain.operator("ADD", [b, c], y, options)
    return chain.finish([x], [y])


def test_an_error_can_be_added_anywhere():
    perturbed = perturbable(two_branches())
    assert perturbed.inputs == 1
    made = interpreter_of(perturbed.content)
    slots, results = made.get_input_details(), made.get_output_details()
    assert len(slots) == 5
    x = np.array([[-1.0, 0.5, 2.0, 9.0]], np.float32)
    error = np.array([[0.25, 0.0, -0.5, 1.0]], np.float32)
    made.set_tensor(slots[0]["index"], x)
    a = np.clip(x, 0, 6)
    for place in range(4):
        for index in range(4):
            made.set_tensor(slots[1 + index]["index"], error if index == place else np.zeros_like(error))
        made.invoke()
        first = a + (error if place == 0 else 0)
        b = np.tanh(first) + (error if place == 1 else 0)
        c = 1 / (1 + np.exp(-first)) + (error if place == 2 else 0)
        y = b + c + (error if place == 3 else 0)
        held = [made.get_tensor(result["index"]) for result in results]
        for value, wanted in zip(held, (first, b, c, y), strict=True):
            np.testing.assert_allclose(value, wanted, atol=1e-6)


def test_operators_cut_apart_read_what_they_are_given():
    content = two_branches()
    graph = TfliteGraph(content)
    pairs = pair_layers(graph, graph)
    assert [pair.places for pair in pairs] == [(0,), (1,), (2,), (3,)]
    cut = cut_apart(content, pairs)
    made = interpreter_of(cut.content)
    values = [np.full((1, 4), value, np.float32) for value in (7.0, 0.5, -0.5, 1.0, 2.0)]
    for slot, value in zip(made.get_input_details(), values, strict=True):
        made.set_tensor(slot["index"], value)
    made.invoke()
    held = [made.get_tensor(result["index"])[0, 0] for result in made.get_output_details()]
    np.testing.assert_allclose(held, [6.0, np.tanh(0.5), 1 / (1 + np.exp(0.5)), 3.0], atol=1e-6)
    assert [graph.name(tensor) for tensor in cut.fed] == ["x", "a", "a", "b", "c"]


@pytest.mark.parametrize("shared", [False, True], ids=["read by the clamp alone", "read by another too"])
def test_a_clamp_belongs_to_what_it_clamps(shared):
    chain = Chain()
    x, a, b, y = (chain.tensor(name, (1, 4), "float32") for name in "xaby")
    low = chain.tensor("low", (4,), "float32", data=np.array([0, 1, 2, 3], np.float32))
    chain.operator("TANH", [x], a)
    chain.operator("MAXIMUM", [a, low], b, schema.MaximumMinimumOptionsT())
    chain.operator("ADD", [b, a if shared else x], y, schema.AddOptionsT())
    graph = TfliteGraph(chain.finish([x], [y]))
    assert [graph.name(tensor) for tensor in clamped(graph)] == ([] if shared else ["a"])
    expected = [(0,), (1,), (2,)] if shared else [(0, 1), (2,)]
    assert [pair.places for pair in pair_layers(graph, graph)] == expected


# --- channels --------------------------------------------------------------------------------------


def test_the_few_channels_that_spoil_a_scale_are_found():
    minima, maxima = np.full(32, -1.0), np.full(32, 1.0)
    minima[5], maxima[5] = -3.0, 10.0
    maxima[20] = 7.0
    found = find_spoiled(minima, maxima)
    assert [(c.channel, c.minimum, c.maximum) for c in found.by] == [(5, -3.0, 10.0), (20, -1.0, 7.0)]
    assert found.factor == pytest.approx(13 / 2)


@pytest.mark.parametrize(("widest", "spoils"), [(1.9, False), (2.1, True)])
def test_a_range_that_would_be_half_as_wide_is_spoiled(widest, spoils):
    found = find_spoiled(np.zeros(16), np.where(np.arange(16) == 3, widest, 1.0))
    assert (found is not None) is spoils


@pytest.mark.parametrize(
    ("minima", "maxima"),
    [
        (np.full(32, -1.0), np.linspace(0.7, 1.3, 32)),
        (np.zeros(3), np.array([1.0, 1.0, 100.0])),
        (np.zeros(32), np.where(np.arange(32) < 8, 10.0, 1.0)),
        (np.zeros(8), np.zeros(8)),
    ],
    ids=["alike", "too few channels", "a quarter of them is wide", "nothing but zeros"],
)
def test_channels_that_spoil_nothing(minima, maxima):
    assert find_spoiled(minima, maxima) is None


def test_what_is_infinite_in_float_is_no_error_of_the_layer(tmp_path):
    """The variance of a few small values is 0 in int8, and its inverse root in float is none."""
    keras = pytest.importorskip("keras")
    x = keras.Input((6, 8))
    y = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(y))).save(tmp_path / "net.keras")
    values = np.random.default_rng(0).normal(size=(20, 6, 8)).astype(np.float32)
    values[:, 0] *= 1e-4
    samples = Samples(values, None, None, "noise", False, Preprocessing())
    quantized = quantize_model(load_model(tmp_path / "net.keras"), samples)
    found = inspect_quantization(quantized.tflite, quantized.float_tflite, (values,), names={})
    roots = [layer for layer in found.layers if layer.operator == "RSQRT"]
    assert len(roots) == 1
    deviations = [each for layer in found.layers for each in (layer.own, layer.total) if each is not None]
    assert np.isfinite([(each.bias, each.rms) for each in deviations]).all()


def test_a_layer_whose_error_leads_to_no_number_has_no_cost(tmp_path):
    """A variance of 0 plus epsilon is 0 in int8, or less: its inverse root is infinite in float."""
    keras = pytest.importorskip("keras")
    x = keras.Input((6, 8))
    y = keras.layers.LayerNormalization(epsilon=1e-3, name="norm")(x)
    keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(y))).save(tmp_path / "net.keras")
    values = np.random.default_rng(0).normal(size=(20, 6, 8)).astype(np.float32)
    values[:, 0] = 0
    samples = Samples(values, None, None, "noise", False, Preprocessing())
    quantized = quantize_model(load_model(tmp_path / "net.keras"), samples)
    found = inspect_quantization(quantized.tflite, quantized.float_tflite, (values,), names={})
    costs = {layer.operator: layer.cost for layer in found.layers}
    assert costs["ADD"] is None
    known = [cost for cost in costs.values() if cost is not None]
    assert len(known) > 3
    assert np.isfinite(known).all()
    assert sum(layer.cost or 0 for layer in found.layers) == pytest.approx(1)
