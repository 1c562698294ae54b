"""Cures for what int8 costs: what they keep, what they better on cases that provoke it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipeline.config import Settings
from pipeline.cures import cure_table, markdown_table
from pipeline.errors import CheckFailed, ModelNotSupported, UsageError
from pipeline.load import Preprocessing, Samples, load_model
from pipeline.quantize import (
    BorderTypes,
    Recipe,
    apply_recipe,
    best_of,
    candidates,
    compare_recipes,
    convert,
    measure,
    parse_recipe,
    prepare_model,
    run_float_graph,
    train,
)
from pipeline.quantize.bias import correct_biases, mean_output
from pipeline.quantize.equalize import equalize
from pipeline.quantize.measure import sqnr_db
from pipeline.quantize.predict import predict_int8
from pipeline.quantize.ranges import Observed, choose_ranges, measure_ranges, observe
from pipeline.quantize.tflite_graph import Operator, TfliteGraph, run_graph
from pipeline.quantize.train import refuse_untrainable
from pipeline.read_tflite import read_tflite

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]
SHAPE = (12, 12, 3)


def prepared_of(layers, tmp_path, *, shape=SHAPE, seed=0, spoil=None, count=40):
    """A random net of these layers as a float graph, and its samples; `spoil` changes its weights before."""
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(seed)
    x = source = keras.Input(shape)
    for layer in layers(keras.layers):
        x = layer(x)
    model = keras.Model(source, x)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            n = layer.moving_mean.shape[0]
            layer.set_weights([rng.uniform(0.5, 2, n), *rng.normal(0, 0.3, (2, n)), rng.uniform(0.5, 2, n)])
        elif layer.get_weights():
            kernel, *bias = layer.get_weights()
            fan_in = np.prod(kernel.shape[:2] if "Depthwise" in type(layer).__name__ else kernel.shape[:-1])
            layer.set_weights(
                [
                    rng.normal(0, 1.5 / np.sqrt(fan_in), kernel.shape),
                    *(rng.normal(0, 0.3, b.shape) for b in bias),
                ]
            )
    if spoil:
        spoil(model, rng)
    model.save(tmp_path / "net.keras")
    x = rng.uniform(-1, 1, (count, *shape)).astype(np.float32)
    samples = Samples(x, None, None, "test data", False, Preprocessing())
    return prepare_model(load_model(tmp_path / "net.keras"), samples), samples


def mobile(k):
    """Depthwise separable convolutions with ReLU6, as in MobileNetV1."""
    yield k.Conv2D(8, 3, padding="same", strides=2, activation="relu6", name="stem")
    yield k.DepthwiseConv2D(3, padding="same", activation="relu6", name="depthwise")
    yield k.Conv2D(12, 1, activation="relu6", name="pointwise")
    yield k.DepthwiseConv2D(3, strides=2, padding="same", activation="relu6", name="depthwise_1")
    yield k.Conv2D(10, 1, activation="relu6", name="pointwise_1")
    yield k.GlobalAveragePooling2D()
    yield k.Dense(5, activation="softmax", name="dense")


def reference_like(k):
    """Batch norm behind ReLU, which becomes a clamp per channel; pooling, padding, a flatten; no bias."""
    yield k.Conv2D(8, 3, activation="relu", name="first")
    yield k.BatchNormalization()
    yield k.MaxPooling2D()
    yield k.ZeroPadding2D()
    yield k.Conv2D(6, 3, use_bias=False, name="second")
    yield k.LeakyReLU(negative_slope=0.25)
    yield k.AveragePooling2D(2)
    yield k.Conv2D(7, 2, activation="relu", name="third")
    yield k.Flatten()
    yield k.Dense(9, activation="relu", name="dense")
    yield k.Dense(4, name="dense_1")


def multiplied(k):
    """Several outputs of a depthwise convolution for each input: no chain into it, one out of it."""
    yield k.Conv2D(4, 3, activation="relu")
    yield k.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", name="depthwise")
    yield k.Conv2D(6, 1, name="pointwise")


def curved(k):
    """tanh is not homogeneous, nor is a sigmoid: nothing is equalized."""
    yield k.Conv2D(6, 3, activation="tanh")
    yield k.Conv2D(6, 3, activation="sigmoid")
    yield k.Conv2D(2, 3)


def real_outputs(graph, x):
    return predict_int8(graph, x, reference=False)[1]


# --- equalization ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("layers", "chains"), [(mobile, 5), (reference_like, 4), (multiplied, 1), (curved, 0)]
)
def test_equalization_keeps_the_function(layers, chains, seed, tmp_path):
    prepared, _ = prepared_of(layers, tmp_path, seed=seed)
    graph = TfliteGraph(prepared.graph)
    done = equalize(graph, observe(graph, prepared.x))
    assert len(done) == chains
    # Other inputs than those that the scales were chosen on, beyond their range: ceilings act there too.
    x = 3 * np.random.default_rng(seed + 100).normal(size=(30, *SHAPE)).astype(np.float32)
    expected = real_outputs(prepared.graph, x)
    np.testing.assert_allclose(real_outputs(graph.pack(), x), expected, atol=2e-5 * np.abs(expected).max())
    assert all(chain.spread_after <= chain.spread_before * 1.001 for chain in done)


def test_channels_that_a_depthwise_convolution_reads_become_alike(tmp_path):
    prepared, _ = prepared_of(mobile, tmp_path, spoil=spoil_channels)
    graph = TfliteGraph(prepared.graph)
    chain = equalize(graph, observe(graph, prepared.x))[0]
    assert (chain.first, chain.second) == ("stem", "depthwise")
    assert chain.ceilings
    assert chain.spread_before > 10
    assert chain.spread_after == pytest.approx(1, abs=1e-3)
    measure_ranges(graph, prepared.x)
    (tensor,) = [int(op.outputs[0]) for op in graph.operators if graph.kind(op) == Operator.MINIMUM][:1]
    peaks = observe(graph, prepared.x)[tensor].channel_peaks
    np.testing.assert_allclose(peaks, peaks[0], rtol=1e-3)


def test_what_two_layers_read_is_left_alone(tmp_path):
    keras = pytest.importorskip("keras")
    k = keras.layers

    def branching(_):
        yield k.Conv2D(6, 3, padding="same", activation="relu")
        yield lambda x: k.Add()([x, k.Conv2D(6, 3, padding="same", activation="relu")(x)])
        yield k.Conv2D(6, 3)

    prepared, _ = prepared_of(branching, tmp_path)
    graph = TfliteGraph(prepared.graph)
    assert equalize(graph, observe(graph, prepared.x)) == ()
    assert graph.pack() == TfliteGraph(prepared.graph).pack()


def spoil_channels(model, rng):
    """Scale channels between two layers up to 1000 times apart; in float nothing changes, but for ReLU6."""
    weighted = [layer for layer in model.layers if layer.get_weights()]
    for first, second in pairwise(weighted):
        if "Normalization" in type(first).__name__ + type(second).__name__:
            continue
        kernel, *bias = first.get_weights()
        after, *rest = second.get_weights()
        depthwise = "Depthwise" in type(first).__name__
        channels = kernel.shape[2] if depthwise else kernel.shape[-1]
        factors = 10 ** rng.uniform(-3, 0, channels)
        kernel = kernel * (factors[:, None] if depthwise else factors)
        first.set_weights([kernel, *(b * factors for b in bias)])
        if "Depthwise" in type(second).__name__:
            after = after / factors[:, None]
        elif "Dense" in type(second).__name__:
            after = after / np.tile(factors, len(after) // channels)[:, None]
        else:
            after = after / factors[:, None]
        second.set_weights([after, *rest])


def linear(k):
    """MobileNet's order with ReLU in place of ReLU6, which a change of scale does not keep."""
    yield k.Conv2D(8, 3, padding="same", strides=2, activation="relu")
    yield k.DepthwiseConv2D(3, padding="same", activation="relu")
    yield k.Conv2D(12, 1, activation="relu")
    yield k.GlobalAveragePooling2D()
    yield k.Dense(5)


def test_equalization_wins_back_what_uneven_channels_lose(tmp_path):
    healthy, samples = prepared_of(linear, tmp_path, seed=2)
    spoiled, _ = prepared_of(linear, tmp_path, seed=2, spoil=spoil_channels)
    expected = real_outputs(healthy.graph, samples.x)
    np.testing.assert_allclose(real_outputs(spoiled.graph, samples.x), expected, rtol=1e-3, atol=1e-4)

    def quality(prepared, text):
        return sqnr_db(expected, predict_int8(apply_recipe(prepared, parse_recipe(text))[1], samples.x)[1])

    assert quality(healthy, "minmax") > 30
    assert quality(spoiled, "minmax") < 20
    assert quality(spoiled, "equalize") > quality(healthy, "minmax") - 3


def test_an_equalization_that_changes_the_function_is_noticed(tmp_path, monkeypatch):
    prepared, _ = prepared_of(linear, tmp_path)

    def wrong(graph, observed):
        (weights,) = [int(op.inputs[1]) for op in graph.operators][:1]
        graph.set_constant(weights, graph.constant(weights) * 1.1)
        return ()

    monkeypatch.setattr(convert, "equalize", wrong)
    with pytest.raises(CheckFailed) as caught:
        apply_recipe(prepared, Recipe(equalize=True))
    assert caught.value.code == "E_REWRITE"


# --- bias correction ---------------------------------------------------------------------------------

LAYERS = {
    "same, odd row below": lambda k: [k.Conv2D(5, 3, strides=2, padding="same")],
    "valid": lambda k: [k.Conv2D(5, (3, 2), strides=(2, 1))],
    "dilated": lambda k: [k.Conv2D(5, 3, padding="same", dilation_rate=2)],
    "depthwise": lambda k: [k.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)],
    "even window": lambda k: [k.DepthwiseConv2D(4, padding="same", use_bias=False)],
    "dense": lambda k: [k.Flatten(), k.Dense(6)],
    "dense over positions": lambda k: [k.Dense(6)],
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layers_mean_output_follows_from_its_mean_input(name, tmp_path):
    prepared, samples = prepared_of(LAYERS[name], tmp_path)
    graph = TfliteGraph(prepared.graph)
    operator = next(op for op in graph.operators if len(op.inputs) > 1 and graph.kind(op) != Operator.RESHAPE)
    source, result = int(operator.inputs[0]), int(operator.outputs[0])
    ran = list(run_graph(prepared.graph, samples.x, [source, result]))
    outputs = np.concatenate([values[result].reshape(-1, graph.shape(result)[-1]) for values in ran])
    mean = np.mean([values[source] for values in ran], axis=0, dtype=np.float64)
    np.testing.assert_allclose(mean_output(graph, operator, mean), outputs.mean(axis=0), atol=1e-5)


def test_shifted_biases_are_taken_back(tmp_path):
    prepared, samples = prepared_of(mobile, tmp_path, seed=4)
    graph = TfliteGraph(prepared.graph)
    _, tflite, _ = apply_recipe(prepared, Recipe())
    expected = real_outputs(prepared.graph, samples.x)
    spoiled = TfliteGraph(tflite)
    for operator in spoiled.operators:
        if spoiled.kind(operator) == Operator.CONV_2D:
            bias = int(operator.inputs[2])
            scale = spoiled.subgraph.tensors[bias].quantization.scale
            spoiled.set_constant(bias, spoiled.constant(bias) + np.round(0.2 / scale))
    broken = spoiled.pack()
    corrected, layers = correct_biases(graph, broken, samples.x)
    assert layers == 6
    wrong, right = (np.abs(predict_int8(one, samples.x)[1] - expected).mean() for one in (broken, corrected))
    assert right < 0.4 * wrong
    assert right < 1.1 * np.abs(predict_int8(tflite, samples.x)[1] - expected).mean()


def test_correction_brings_the_mean_output_to_the_float_one(tmp_path):
    """With ranges that cut, every output is wrong in one direction."""
    prepared, samples = prepared_of(linear, tmp_path, seed=1)
    graph = TfliteGraph(prepared.graph)
    for tensor in graph.activations()[1:-1]:
        low, high = graph.range(tensor)
        graph.set_range(tensor, low, 0.6 * high)
    cut = convert._make_integers(prepared, graph.pack())
    corrected, _ = correct_biases(graph, cut, samples.x)
    expected = real_outputs(prepared.graph, samples.x).mean(axis=0)
    scale = TfliteGraph(cut).subgraph.tensors[int(TfliteGraph(cut).subgraph.outputs[0])].quantization.scale[0]
    before, after = (
        np.abs(predict_int8(one, samples.x)[1].mean(axis=0) - expected).max() for one in (cut, corrected)
    )
    assert before > 3 * scale
    assert after < scale


# --- ranges ------------------------------------------------------------------------------------------


def observed_of(values):
    low, high = float(values.min()), float(values.max())
    counts = np.histogram(values, 2048, (low, high))[0]
    return Observed(low, high, counts, np.array([np.abs(values).max()]))


def error_of(values, ends):
    """Mean square error of real values and their int8 form, computed on the values themselves."""
    low, high = min(ends[0], 0), max(ends[1], 0)
    scale = (high - low) / 255
    zero = round(-low / scale)
    integers = np.clip(np.round(values / scale) + zero, 0, 255)
    return float(np.square((integers - zero) * scale - values).mean())


@pytest.mark.parametrize("rectified", [False, True])
def test_square_error_prefers_a_range_without_the_outlier(rectified):
    rng = np.random.default_rng(0)
    values = np.append(rng.normal(size=1_000_000), 60.0)
    values = np.maximum(values, 0) if rectified else values
    held = {0: observed_of(values)}
    (full,), (cut,) = (choose_ranges(held, method).values() for method in ("minmax", "mse"))
    assert full == (values.min(), 60.0)
    assert 3 < cut[1] < 40
    assert (cut[0] == 0) is rectified
    assert error_of(values, cut) < error_of(values, full)
    # No pair of ends of a plain search is much better.
    pairs = [(low, high) for low in np.linspace(values.min(), 0, 5) for high in range(6, 61, 3)]
    best = min(error_of(values, ends) for ends in pairs)
    assert error_of(values, cut) < 1.05 * best


def test_percentiles_cut_both_ends():
    values = np.random.default_rng(1).normal(size=400_000)
    (ends,) = choose_ranges({0: observed_of(values)}, "percentile").values()
    np.testing.assert_allclose(ends, np.quantile(values, [1e-4, 1 - 1e-4]), atol=0.02)


def test_a_constant_activation_has_a_range_by_every_method():
    held = {0: observed_of(np.zeros(10))}
    for method in ("minmax", "percentile", "mse"):
        assert choose_ranges(held, method) == {0: (0.0, 0.0)}


def test_histograms_hold_every_value(tmp_path):
    prepared, samples = prepared_of(reference_like, tmp_path)
    graph = TfliteGraph(prepared.graph)
    observed = observe(graph, samples.x)
    assert set(observed) == set(graph.activations())
    ran = list(run_graph(prepared.graph, samples.x, list(observed)))
    for tensor, held in observed.items():
        values = np.concatenate([values[tensor].reshape(-1) for values in ran])
        assert held.counts.sum() == values.size
        assert (held.low, held.high) == pytest.approx((values.min(), values.max()), abs=1e-5)
        assert held.channel_peaks.max() == pytest.approx(np.abs(values).max())
        middle = held.centres[np.searchsorted(np.cumsum(held.counts), values.size / 2)]
        assert middle == pytest.approx(
            np.quantile(values, 0.5, method="inverted_cdf"), abs=(held.high - held.low) / 500 + 1e-6
        )


def test_a_bad_pixel_in_the_samples_costs_less_with_chosen_ranges(tmp_path):
    prepared, samples = prepared_of(linear, tmp_path, seed=3, count=400)
    x = samples.x.copy()
    x[7, 5, 5] = 40
    spoiled = prepare_model(prepared.model, Samples(x, None, None, "one bad pixel", False, Preprocessing()))
    usual = np.delete(samples.x, 7, axis=0)[:60]
    expected = real_outputs(prepared.graph, usual)
    found = {
        ranges: sqnr_db(expected, predict_int8(apply_recipe(spoiled, Recipe(ranges=ranges))[1], usual)[1])
        for ranges in ("minmax", "percentile")
    }
    assert found["percentile"] > found["minmax"] + 3


# --- recipes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "minmax",
        "mse",
        "equalize",
        "bias",
        "equalize+percentile+bias",
        "equalize+bias",
        "int16",
        "equalize+int16+bias",
        "int16=conv2d_3,dense",
        "equalize+mse+int16=worst:3+bias",
    ],
)
def test_a_recipe_is_one_word(text):
    assert str(parse_recipe(text)) == text
    assert parse_recipe(text).cures == (0 if text == "minmax" else len(text.split("+")))


def test_any_order_is_read():
    assert parse_recipe("bias + mse+equalize") == Recipe(ranges="mse", equalize=True, correct_bias=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("equalise", "did you mean equalize"),
        ("", "join by"),
        ("mse+percentile", "one of"),
        ("bias+bias", "once"),
        ("train+bias", "leave bias out"),
        ("int16+mse", "int16 alone"),
        ("train+int16", "int16 alone"),
        ("train+int16=dense", "all but train"),
        ("int16+int16=dense", "once"),
        ("int16=", "--inspect"),
        ("int16=dense,", "--inspect"),
        ("int16=worst:0", "worst:3"),
        ("int16=worst:few", "worst:3"),
    ],
)
def test_a_recipe_that_cannot_be_read(text, said):
    with pytest.raises(UsageError) as caught:
        parse_recipe(text)
    assert caught.value.code == "E_RECIPE"
    assert said in caught.value.hint


def test_same_recipe_same_bytes(tmp_path):
    prepared, _ = prepared_of(mobile, tmp_path)
    recipe = parse_recipe("equalize+mse+bias")
    floating, first, words = apply_recipe(prepared, recipe)
    assert apply_recipe(prepared, recipe) == (floating, first, words)
    assert any("ReLU6 as a ceiling" in line for line in words)
    assert "biases of 6 layers corrected" in words


def test_measurement_prefers_what_cures(tmp_path):
    spoiled, samples = prepared_of(linear, tmp_path, seed=2, spoil=spoil_channels)
    cured = compare_recipes(spoiled, run_float_graph(spoiled, samples), candidates(spoiled))
    assert best_of(cured).recipe.equalize
    found = {str(one.recipe): one.fidelity for one in cured}
    assert len(found) == 12
    assert found["equalize"].sqnr_db > found["minmax"].sqnr_db + 10
    assert found["equalize"].same_class >= found["minmax"].same_class
    assert found["equalize"].accuracy is None


def test_where_nothing_is_wrong_the_simplest_recipe_is_preferred(tmp_path):
    prepared, samples = prepared_of(lambda k: [k.Flatten(), k.Dense(3)], tmp_path)
    recipes = [parse_recipe("equalize"), parse_recipe("minmax")]
    assert (
        str(best_of(compare_recipes(prepared, run_float_graph(prepared, samples), recipes)).recipe)
        == "minmax"
    )


def test_fidelity_is_measured_before_a_last_softmax(tmp_path):
    """Against a direct computation: TFLite's own output, turned back into what softmax was given."""
    prepared, samples = prepared_of(mobile, tmp_path)
    classes = real_outputs(prepared.graph, samples.x).argmax(axis=1)
    classes[:4] = (classes[:4] + 1) % 5
    run = run_float_graph(prepared, replace(samples, labels=classes))
    logits = np.log(real_outputs(prepared.graph, samples.x))
    (outputs,) = run.outputs
    np.testing.assert_allclose(
        outputs.reshape(40, -1) - outputs.mean(axis=-1),
        logits - logits.mean(axis=1, keepdims=True),
        atol=1e-4,
    )
    assert run.accuracy == pytest.approx(1 - 4 / 40)
    (cured,) = compare_recipes(prepared, run, [Recipe()])
    _, real = predict_int8(cured.tflite, samples.x)
    assert cured.fidelity.accuracy == pytest.approx((real.argmax(axis=1) == classes).mean(), abs=0.08)
    assert 15 < cured.fidelity.sqnr_db < 60


def test_fewer_samples_give_other_ranges(tmp_path):
    prepared, samples = prepared_of(mobile, tmp_path)
    few = apply_recipe(prepared, Recipe(samples=3))[0]
    (source,) = TfliteGraph(few).subgraph.inputs
    chosen = samples.x[[0, 13, 26]]
    assert TfliteGraph(few).range(int(source)) == (chosen.min(), chosen.max())
    assert TfliteGraph(prepared.graph).range(int(source)) == (samples.x.min(), samples.x.max())


# --- fine-tuning -------------------------------------------------------------------------------------


def branched(k):
    """Operators of all kinds that fine-tuning runs: they have to give what TFLite gives."""
    yield k.Conv2D(6, 3, padding="same", activation="relu6")
    yield lambda x: k.Add()([x, k.DepthwiseConv2D(3, padding="same", activation="relu")(x)])
    yield lambda x: k.Concatenate()([x, k.Conv2D(4, 1, activation="tanh")(x)])
    yield k.ZeroPadding2D(((0, 1), (2, 0)))
    yield lambda x: k.Multiply()([x, k.Conv2D(10, 1, activation="sigmoid")(x)])
    yield k.AveragePooling2D(2)
    yield k.PReLU(shared_axes=[1, 2])
    yield k.Conv2D(8, 3, strides=2, dilation_rate=1, activation="hard_swish")
    yield k.MaxPooling2D(2, padding="same", strides=1)
    yield k.Flatten()
    yield k.Dense(5, activation="softmax")


@pytest.mark.parametrize("layers", [mobile, reference_like, multiplied, curved, branched])
def test_the_graph_in_tensorflow_gives_what_tflite_gives(layers, tmp_path):
    prepared, samples = prepared_of(layers, tmp_path)
    graph = TfliteGraph(prepared.graph)
    refuse_untrainable(graph, "net")
    (found,) = (np.asarray(output) for output in train.run_batch(graph, [samples.x], {}))
    (expected,) = (output.reshape(found.shape) for output in run_float_graph(prepared, samples).outputs)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_rounded_in_tensorflow_is_what_the_int8_file_holds(tmp_path):
    """But for one value in twenty that rounds the other way: biases and multipliers are rounded as well."""
    prepared, samples = prepared_of(lambda k: list(mobile(k))[:5], tmp_path)
    graph, integers = TfliteGraph(prepared.graph), TfliteGraph(apply_recipe(prepared, Recipe())[1])
    reaches = {integers.name(tensor): integers.reach(tensor) for tensor in integers.made()}
    ends = {tensor: reaches[graph.name(tensor)] for tensor in graph.activations()}
    (rounded,) = (np.asarray(output) for output in train.run_batch(graph, [samples.x], {}, ends))
    _, real = predict_int8(apply_recipe(prepared, Recipe())[1], samples.x)
    low, high = ends[int(graph.subgraph.outputs[0])]
    steps = np.abs(rounded - real) * 255 / (high - low)
    assert steps.max() < 2.01
    assert (steps > 0.5).mean() < 0.05


def test_fine_tuning_betters_int8_and_keeps_the_ranges(tmp_path):
    prepared, samples = prepared_of(mobile, tmp_path, seed=5, count=320)
    trained = replace(prepared, training=samples.x[64:])
    run = run_float_graph(prepared, samples.take(40))
    before = apply_recipe(prepared, Recipe())[1]
    graph, after, words = apply_recipe(trained, Recipe(epochs=6))
    assert run.hold_against(after).sqnr_db > run.hold_against(before).sqnr_db + 1
    assert "fine-tuned for 6 epochs of 256 samples" in words[-1]
    kept, tuned = TfliteGraph(prepared.graph), TfliteGraph(graph)
    assert [tuned.range(t) for t in tuned.activations()] == [kept.range(t) for t in kept.activations()]
    weights = int(kept.operators[0].inputs[1])
    assert not np.array_equal(kept.constant(weights), tuned.constant(weights))


def test_fine_tuning_without_training_samples(tmp_path):
    prepared, _ = prepared_of(mobile, tmp_path)
    with pytest.raises(UsageError) as caught:
        apply_recipe(prepared, Recipe(epochs=1))
    assert caught.value.code == "E_RECIPE"
    assert "--training" in caught.value.hint


def test_an_operator_that_cannot_be_trained_is_named(tmp_path):
    prepared, samples = prepared_of(lambda k: [k.Conv2D(4, 3), k.UpSampling2D(2)], tmp_path)
    with pytest.raises(ModelNotSupported) as caught:
        apply_recipe(replace(prepared, training=samples.x), Recipe(epochs=1))
    assert caught.value.code == "E_TRAIN_OPERATOR"
    assert caught.value.details == ("RESIZE_NEAREST_NEIGHBOR",)


# --- the table ---------------------------------------------------------------------------------------


def test_the_table_of_cures(tmp_path):
    prepared, samples = prepared_of(reference_like, tmp_path, count=60)
    classes = real_outputs(prepared.graph, samples.x).argmax(axis=1)
    np.savez(tmp_path / "data.npz", x=samples.x, y=classes)
    settings = Settings(model=tmp_path / "net.keras", samples=tmp_path / "data.npz")
    table = cure_table(settings, lambda *step: None)
    recipes = [(row.recipe, row.calibration_samples) for row in table.rows]
    assert recipes[:4] == [
        ("minmax, batch norm not folded", 60),
        ("minmax", 10),
        ("minmax", 50),
        ("minmax", 60),
    ]
    assert len(recipes) == 3 + 12 + 3 + 2
    assert [name for name, _ in recipes[-2:]] == ["int16", "int16+bias"]
    assert not table.best.startswith("int16")
    assert table.rows[-2].fidelity.sqnr_db > table.rows[3].fidelity.sqnr_db + 2
    assert table.float_accuracy == 1
    assert [row.recipe for row in table.rows if row.is_best] == [table.best]
    assert all(row.cycles and row.weights_bytes > 500 and row.ram_bytes > 500 for row in table.rows)
    # Batch norm behind a ReLU that is left to the converter costs a MUL and an ADD at run time.
    assert table.rows[0].cycles > table.rows[3].cycles
    text = markdown_table(table)
    assert text.count("**") == 2
    lost = 100 * (1 - table.rows[3].fidelity.accuracy)
    assert f"| {lost:+.2f} |" in text


def test_the_table_says_why_a_model_cannot_be_int16(tmp_path):
    _, samples = prepared_of(lambda k: [k.Conv2D(4, 3), k.Activation("hard_swish")], tmp_path)
    np.savez(tmp_path / "data.npz", x=samples.x)
    table = cure_table(
        Settings(model=tmp_path / "net.keras", samples=tmp_path / "data.npz"), lambda *step: None
    )
    assert not any(row.recipe.startswith("int16") for row in table.rows)
    assert "HARD_SWISH" in table.refused
    assert table.refused in markdown_table(table)


# --- int16 -------------------------------------------------------------------------------------------


def test_activations_of_16_bits_are_as_the_kernels_take_them(tmp_path):
    prepared, samples = prepared_of(mobile, tmp_path)
    expected = real_outputs(prepared.graph, samples.x)
    _, tflite, words = apply_recipe(prepared, parse_recipe("int16"))
    graph = read_tflite(tflite, "net")
    assert "activations in int16" in words
    assert {graph.tensors[node.output].dtype for node in graph.nodes} == {"int16"}
    assert {tensor.zero_point for tensor in graph.tensors.values() if tensor.dtype == "int16"} == {0}
    found = sqnr_db(expected, predict_int8(tflite, samples.x)[1])
    plain = sqnr_db(expected, predict_int8(apply_recipe(prepared, parse_recipe("minmax"))[1], samples.x)[1])
    assert found > plain + 1
    mended = predict_int8(apply_recipe(prepared, parse_recipe("int16+bias"))[1], samples.x)[1]
    assert sqnr_db(expected, mended) > found


def test_constants_beside_int16_are_int16(tmp_path):
    """A sum over channels, a softplus and a factor have constant operands, of which TFLite makes int8."""

    def layers(k):
        yield k.Conv2D(6, 3, name="first")
        yield k.LayerNormalization(name="norm")
        yield k.Activation("softplus")
        yield k.Rescaling(3.0, -0.5)
        yield k.Conv2D(3, 3, name="second")

    prepared, samples = prepared_of(layers, tmp_path)
    expected = real_outputs(prepared.graph, samples.x)
    found = {}
    for recipe in ("minmax", "int16"):
        _, tflite, _ = apply_recipe(prepared, parse_recipe(recipe))
        graph = read_tflite(tflite, "net")
        found[recipe] = sqnr_db(expected, predict_int8(tflite, samples.x)[1])
    operands = [
        tensor
        for node in graph.nodes
        if node.op.tflite_name in {"ADD", "MUL"}
        for tensor in graph.operands(node)
        if tensor is not None and tensor.is_constant
    ]
    assert operands
    assert {tensor.dtype for tensor in operands} == {"int16"}
    assert len(graph.inputs) == 1
    assert found["int16"] > found["minmax"] + 6


def test_int16_is_measured_on_fewer_samples(tmp_path, monkeypatch):
    prepared, samples = prepared_of(linear, tmp_path)
    labelled = replace(samples, labels=real_outputs(prepared.graph, samples.x).argmax(axis=1))
    run = run_float_graph(prepared, labelled)
    monkeypatch.setattr(measure, "WIDE_SAMPLES", 10)
    plain, wide = compare_recipes(prepared, run, [Recipe(), Recipe(activations="int16")])
    assert (plain.fidelity.samples, wide.fidelity.samples) == (40, 10)
    assert wide.fidelity.float_accuracy == 1
    few = run.take(10)
    expected = real_outputs(prepared.graph, few.samples.x)
    np.testing.assert_allclose(few.outputs[0].reshape(expected.shape), expected, atol=1e-5)


def test_a_bias_that_leaves_32_bits_is_kept_in_int16(tmp_path):
    """Of small inputs and weights: in steps of their product, the bias is beyond int32."""

    def spoil(model, rng):
        kernel, bias = model.layers[1].get_weights()
        model.layers[1].set_weights([kernel * 1e-4, bias + 20])

    prepared, samples = prepared_of(lambda k: [k.Conv2D(4, 3), k.Conv2D(3, 3)], tmp_path, spoil=spoil)
    expected = real_outputs(prepared.graph, samples.x)
    _, tflite, _ = apply_recipe(prepared, parse_recipe("int16"))
    graph = read_tflite(tflite, "net")
    biases = [tensor.data for tensor in graph.tensors.values() if tensor.dtype == "int64"]
    assert max(int(np.abs(bias).max()) for bias in biases) > 2**31
    np.testing.assert_allclose(
        predict_int8(tflite, samples.x)[1], expected, atol=0.03 * np.abs(expected).max()
    )


@pytest.mark.parametrize("border", ["int8", "uint8"])
def test_no_other_integers_at_the_border_of_int16(tmp_path, border):
    prepared, _ = prepared_of(linear, tmp_path)
    with pytest.raises(UsageError) as caught:
        apply_recipe(replace(prepared, border=BorderTypes(inputs=border)), parse_recipe("int16"))
    assert caught.value.code == "E_BORDER_TYPE"
    with pytest.raises(UsageError) as caught:
        apply_recipe(replace(prepared, border=BorderTypes(outputs="int16")), parse_recipe("minmax"))
    assert caught.value.code == "E_BORDER_TYPE"


def test_float_at_the_border_of_int16(tmp_path):
    prepared, _ = prepared_of(linear, tmp_path)
    for inputs, outputs in (("float32", None), (None, "float32"), ("float32", "float32")):
        border = BorderTypes(inputs, outputs)
        graph = read_tflite(apply_recipe(replace(prepared, border=border), parse_recipe("int16"))[1], "net")
        assert graph.tensors[graph.inputs[0]].dtype == (inputs or "int16")
        assert graph.tensors[graph.outputs[0]].dtype == (outputs or "int16")


def test_no_cures_for_what_is_int8_already(tmp_path):
    prepared, _ = prepared_of(linear, tmp_path)
    (tmp_path / "net.tflite").write_bytes(apply_recipe(prepared, Recipe())[1])
    with pytest.raises(UsageError) as caught:
        cure_table(Settings(model=tmp_path / "net.tflite"), lambda *step: None)
    assert caught.value.code == "E_RECIPE"
