"""From float to int8: what the file holds, that it is the same every time, and how near it stays."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from pipeline.errors import CheckFailed, ModelNotSupported, UsageError
from pipeline.load import Preprocessing, Samples, load_model, load_samples
from pipeline.load.frameworks import import_keras
from pipeline.quantize import convert, predict_float, predict_int8, quantize_model
from pipeline.quantize.predict import quantize_input
from pipeline.quantize.tflite_graph import TfliteGraph
from pipeline.read_tflite import read_tflite

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]
ROOT = Path(__file__).parents[2]


def network(keras):
    """The reference model's order, a residual branch, and scales of both signs."""
    x = keras.Input((12, 12, 3), name="picture")
    y = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(x)
    y = keras.layers.BatchNormalization(name="norm")(y)
    y = z = keras.layers.MaxPooling2D(name="pool")(y)
    y = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="second")(y)
    y = keras.layers.BatchNormalization(name="norm_1")(y)
    y = keras.layers.Add(name="sum")([y, z])
    y = keras.layers.Flatten(name="flat")(y)
    y = keras.layers.Dense(4, activation="softmax", name="out")(y)
    model = keras.Model(x, y, name="net")
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if "norm" in layer.name:
            gamma = np.array([1.2, -0.7, 0.9, 0.4, -1.1, 0.6])
            variance = rng.uniform(0.5, 2, 6)
            layer.set_weights([gamma, rng.normal(0, 0.3, 6), rng.normal(0, 0.3, 6), variance])
        elif layer.get_weights():
            layer.set_weights([rng.normal(0, 0.2, w.shape) for w in layer.get_weights()])
    return model


def samples_of(x, labels=None):
    return Samples(x.astype(np.float32), labels, None, "test data", False, Preprocessing())


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    keras = pytest.importorskip("keras")
    path = tmp_path_factory.mktemp("net") / "net.keras"
    network(keras).save(path)
    return load_model(path), samples_of(np.random.default_rng(3).random((120, 12, 12, 3)))


@pytest.fixture(scope="module")
def quantized(case):
    return quantize_model(*case)


def operators(tflite):
    interpreter = Interpreter(
        model_content=tflite, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    return [operator["op_name"] for operator in interpreter._get_ops_details()], interpreter


def test_the_file_holds_no_loose_batch_norm_and_no_shape_arithmetic(quantized):
    names, interpreter = operators(quantized.tflite)
    assert names == [
        "CONV_2D", "MAXIMUM", "MINIMUM", "MAX_POOL_2D",
        "CONV_2D", "MAXIMUM", "MINIMUM", "ADD", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert source["dtype"] == result["dtype"] == np.int8
    assert source["shape"].tolist() == [1, 12, 12, 3]
    assert result["shape"].tolist() == [1, 4]
    weights = [d for d in interpreter.get_tensor_details() if d["shape"].tolist() == [6, 3, 3, 3]]
    assert [len(d["quantization_parameters"]["scales"]) for d in weights] == [6]


def test_tensors_carry_the_users_layer_names(quantized):
    _, interpreter = operators(quantized.tflite)
    names = " ".join(detail["name"] for detail in interpreter.get_tensor_details())
    for layer in ("first/", "norm/", "pool/", "second/", "norm_1/", "sum/", "out/"):
        assert layer in names
    assert "layer0" not in names


def test_the_float_twin_is_the_same_model_under_the_same_names(case, quantized):
    model, samples = case
    twin = quantized.float_tflite
    (kinds, real), (int8_kinds, integer) = operators(twin), operators(quantized.tflite)
    assert kinds == int8_kinds

    def written(interpreter):
        names = {detail["index"]: detail["name"] for detail in interpreter.get_tensor_details()}
        return [names[operator["outputs"][0]] for operator in interpreter._get_ops_details()]

    assert written(real) == written(integer)
    real.allocate_tensors()
    real.set_tensor(real.get_input_details()[0]["index"], samples.x[:1])
    real.invoke()
    made = real.get_tensor(real.get_output_details()[0]["index"])
    np.testing.assert_allclose(made, predict_float(model, samples.x[:1]), atol=1e-5)


def test_int8_stays_near_float(case, quantized):
    model, samples = case
    expected = predict_float(model, samples.x)
    integers, real = predict_int8(quantized.tflite, samples.x)
    assert integers.dtype == np.int8
    np.testing.assert_allclose(real, (integers.astype(int) + 128) / 256, atol=1e-7)
    # probabilities in steps of 1/256 behind five layers of int8
    assert np.abs(real - expected).max() < 0.08
    agreement = quantized.agreement
    assert agreement.samples == 120
    assert agreement.largest_difference == pytest.approx(np.abs(real - expected).max())
    same = (real.argmax(axis=1) == expected.argmax(axis=1)).mean()
    assert agreement.same_class == pytest.approx(same)
    assert same > 0.9


def test_the_fast_kernels_are_near_the_reference(case, quantized):
    _, samples = case
    slow, _ = predict_int8(quantized.tflite, samples.x[:20])
    fast, _ = predict_int8(quantized.tflite, samples.x[:20], reference=False)
    assert np.abs(slow.astype(int) - fast).max() <= 4


def test_same_input_same_bytes(case, quantized, tmp_path):
    model, samples = case
    keras = pytest.importorskip("keras")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])  # moves Keras's counters of names
    assert quantize_model(model, samples).tflite == quantized.tflite
    assert quantized.sha256 == hashlib.sha256(quantized.tflite).hexdigest()
    np.save(tmp_path / "x.npy", samples.x)
    code = (
        "from pipeline.load import *; from pipeline.quantize import *; "
        f"m = load_model({str(model.path)!r}); s = load_samples(m, {str(tmp_path / 'x.npy')!r}); "
        "print(quantize_model(m, s).sha256)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert other.stdout.strip() == quantized.sha256
    assert other.stderr == ""


def test_the_calibration_report(case, quantized):
    _, samples = case
    calibration = quantized.calibration
    assert calibration.origin == "test data"
    assert calibration.samples == 120
    assert len(calibration.rewrites) == 2
    assert "norm folded into first" in calibration.rewrites[0]
    assert "no float output by more than" in calibration.rewrites[-1]
    first = calibration.ranges[0]
    assert first.minimum == pytest.approx(samples.x.min(), abs=0.005)
    assert first.maximum == pytest.approx(samples.x.max(), abs=0.005)
    assert first.scale == pytest.approx(1 / 255, rel=0.01)
    for held in calibration.ranges:
        assert held.minimum >= held.scale * (-128 - held.zero_point) - 1e-6
        assert held.maximum <= held.scale * (127 - held.zero_point) + 1e-6
        assert 0 <= held.saturated <= 1


def test_progress_arrives_and_nothing_else_is_said(case, capfd):
    model, samples = case
    steps = []
    quantize_model(model, samples.take(20), progress=lambda *step: steps.append(step))
    last = {what: (done, total) for what, done, total in steps}
    assert all(done == total for done, total in last.values())
    assert last["calibrating"] == (20, 20)
    assert capfd.readouterr() == ("", "")


def test_a_rewrite_that_changes_the_function_is_noticed(case, monkeypatch):
    model, samples = case
    right = convert.fold_normalizations

    def wrong(m):
        found = right(m)
        kernel, bias = next(one for one in found.live.layers if one.get_weights()).get_weights()
        next(one for one in found.live.layers if one.get_weights()).set_weights([kernel, bias + 1])
        return found

    monkeypatch.setattr(convert, "fold_normalizations", wrong)
    with pytest.raises(CheckFailed) as caught:
        quantize_model(model, samples)
    assert caught.value.code == "E_REWRITE"


def test_an_operation_without_int8_form(tmp_path):
    keras = pytest.importorskip("keras")
    x = keras.Input((6,))
    path = tmp_path / "erf.keras"
    keras.Model(x, keras.ops.erfinv(keras.layers.Dense(3, activation="tanh")(x))).save(path)
    with pytest.raises(ModelNotSupported) as caught:
        quantize_model(load_model(path), samples_of(np.random.default_rng(0).random((10, 6))))
    assert caught.value.code == "E_OP_UNSUPPORTED"
    assert any("Erfinv" in line for line in caught.value.details)


def sequential(k):
    """Keras 3 keeps the graph of a sequential model inside it."""
    first = k.layers.Input((8, 8, 3)) if k.__name__ == "keras" else k.layers.InputLayer((8, 8, 3))
    return k.Sequential([first, k.layers.RandomFlip(), *body(k)])


def fixed_batch(k):
    return functional(k, k.Input(batch_shape=(1, 8, 8, 3)))


def reduced_precision(k):
    k.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        return functional(k, k.Input((8, 8, 3)))
    finally:
        k.mixed_precision.set_global_policy("float32")


def named_input(k):
    x = k.Input((8, 8, 3), name="picture")
    return k.Model({"picture": x}, functional(k, x).output)


def body(k):
    return [
        k.layers.Conv2D(4, 3, padding="same", activation="relu"),
        k.layers.BatchNormalization(),
        k.layers.MaxPooling2D(),
        k.layers.Flatten(),
        k.layers.Dense(3, dtype="float32"),
    ]


def functional(k, x):
    y = x
    for layer in body(k):
        y = layer(y)
    return k.Model(x, y)


@pytest.mark.parametrize(("api", "suffix"), [("keras", ".keras"), ("tf_keras", ".h5")])
@pytest.mark.parametrize(
    "form", [sequential, fixed_batch, reduced_precision, named_input], ids=lambda form: form.__name__
)
def test_forms_of_models(form, api, suffix, tmp_path):
    k = pytest.importorskip(api)
    path = tmp_path / f"net{suffix}"
    form(k).save(path)
    model = load_model(path)
    x = np.random.default_rng(1).random((30, 8, 8, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    found = quantize_model(model, load_samples(model, tmp_path / "x.npy"))
    assert len(found.calibration.rewrites) == 1
    assert operators(found.tflite)[0] == ["CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED"]
    spread = np.ptp(predict_float(model, x))
    assert found.agreement.mean_absolute_difference < 0.03 * spread


def test_a_model_whose_signal_dies_is_refused(tmp_path):
    """TFLite's softmax aborts the whole process on a scale as small as this."""
    keras = pytest.importorskip("keras")
    x = keras.Input((6,))
    model = keras.Model(x, keras.layers.Dense(3, activation="softmax")(keras.layers.Dense(4)(x)))
    for layer in model.layers[1:]:
        layer.set_weights([w * 1e-6 for w in layer.get_weights()])
    path = tmp_path / "dead.keras"
    model.save(path)
    with pytest.raises(ModelNotSupported) as caught:
        quantize_model(load_model(path), samples_of(np.random.default_rng(0).random((10, 6))))
    assert caught.value.code == "E_MODEL_DEAD"
    assert caught.value.details[0].startswith("dense")


def test_ranges_are_those_of_the_values_also_where_a_kernel_writes_over_its_input(tmp_path):
    """TFLite's ADD does, and its calibrator then takes the sum's range for that of the branch."""
    keras = pytest.importorskip("keras")
    source = keras.Input((6, 6, 4))
    x = keras.layers.AveragePooling2D(1, name="pool")(source)
    branch = keras.layers.Conv2D(4, 3, padding="same", name="branch")
    model = keras.Model(source, keras.layers.Conv2D(2, 1)(keras.layers.Add(name="sum")([x, branch(x)])))
    branch.set_weights([np.full((3, 3, 4, 4), 1e-3), np.zeros(4)])
    model.save(tmp_path / "net.keras")
    samples = samples_of(np.random.default_rng(0).uniform(-1, 1, (20, 6, 6, 4)))
    graph = TfliteGraph(quantize_model(load_model(tmp_path / "net.keras"), samples).tflite)
    seen = np.abs(np.asarray(branch(samples.x))).max()
    (reach,) = (graph.reach(t) for t in graph.made() if graph.name(t).startswith("branch"))
    assert seen <= max(np.abs(reach)) * 1.01 < 0.1


def test_a_model_with_another_way_around_what_is_dead_is_none(tmp_path):
    """The first step of an untrained GRU multiplies a state of zeros; a softmax of zeros may be meant so.

    With the converter's own scale for zeros TFLite's softmax would abort this very process.
    """
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(3)
    layers = keras.layers
    x = keras.Input((5, 3))
    silent = layers.Dense(4, name="silent", kernel_initializer=keras.initializers.Constant(1e-9))
    weights = layers.Softmax()(silent(layers.Flatten()(x)))
    model = keras.Model(x, layers.Dense(2)(layers.Multiply()([weights, layers.GRU(4)(x)])))
    model.save(tmp_path / "net.keras")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40, 5, 3)).astype(np.float32))
    model = load_model(tmp_path / "net.keras")
    samples = load_samples(model, tmp_path / "x.npy")
    found = quantize_model(model, samples)
    assert found.agreement.mean_absolute_difference < 0.05 * np.ptp(predict_float(model, samples.x))
    graph = TfliteGraph(found.tflite)
    widths = {graph.name(t).split("/")[0]: np.ptp(held) for t in graph.made() if (held := graph.reach(t))}
    assert widths["silent"] == pytest.approx(1e-5)


def test_a_layer_of_many_operators_and_an_underscore_keeps_its_name(tmp_path):
    """TensorFlow has no operation that begins with one; of most tensors, the first name is no model's."""
    keras = import_keras()
    x = keras.Input((6, 6, 3))
    y = keras.layers.Conv2D(2, 3, activation="elu", name="_first")(x)
    keras.Model(x, keras.layers.Dense(2, name="_scores")(keras.layers.Flatten()(y))).save(
        tmp_path / "n.keras"
    )
    pixels = np.random.default_rng(0).uniform(-1, 1, (8, 6, 6, 3)).astype(np.float32)
    samples = Samples(pixels, None, None, "test data", False, Preprocessing())
    tflite = quantize_model(load_model(tmp_path / "n.keras"), samples).tflite
    first, *names = [node.name for node in read_tflite(tflite, "n").nodes]
    assert first == "first"
    assert {*names[:5]} == {f"first_{kind}" for kind in ("minimum", "exp", "sub", "relu", "add")}
    assert names[-1] == "scores"


def test_repeated_pixels_are_no_tile(tmp_path):
    """TFLite's reference kernels have none for int8, and Keras 3 makes one of UpSampling2D."""
    keras = pytest.importorskip("keras")
    x = keras.Input((4, 5, 2))
    y = keras.layers.Conv2D(3, 1)(keras.layers.UpSampling2D((2, 3))(x))
    keras.Model(x, y).save(tmp_path / "net.keras")
    samples = samples_of(np.random.default_rng(0).uniform(-1, 1, (20, 4, 5, 2)))
    found = quantize_model(load_model(tmp_path / "net.keras"), samples)
    assert operators(found.tflite)[0] == ["RESIZE_NEAREST_NEIGHBOR", "CONV_2D"]


def test_samples_of_another_shape(case):
    model, samples = case
    with pytest.raises(UsageError) as caught:
        quantize_model(model, replace(samples, x=samples.x[:, :4]))
    assert caught.value.code == "E_SAMPLES_SHAPE"


def test_input_rounds_half_away_from_zero_and_saturates():
    detail = {"dtype": np.int8, "quantization": (0.5, 1)}
    x = np.array([[0.25, -0.25, 0.24, 100.0, -100.0, 0.75]], np.float32)
    (integers,) = quantize_input(x, detail)
    assert integers.tolist() == [2, 0, 1, 127, -128, 3]


def test_a_saved_model_converts_too(case, tmp_path):
    model, samples = case
    model.live.export(tmp_path / "net_saved", verbose=False)
    again = load_model(tmp_path / "net_saved")
    found = quantize_model(again, samples.take(40))
    assert found.agreement.samples == 40
    assert found.agreement.mean_absolute_difference < 0.03
    assert found.calibration.rewrites == ()
    assert not {"SHAPE", "STRIDED_SLICE", "PACK"} & set(operators(found.tflite)[0])


def test_resnet8_of_keras_2(shared):
    model = load_model(shared / "models" / "mlperf_tiny" / "pretrainedResnet.h5")
    data = shared / "data" / "cifar10" / "test.npz"
    raw = {spec.name: Preprocessing() for spec in model.inputs}
    samples = load_samples(model, data, declared=raw, limit=200)
    found = quantize_model(model, samples)
    names, _ = operators(found.tflite)
    assert (names.count("CONV_2D"), names.count("ADD")) == (9, 3)
    assert set(names) <= {"CONV_2D", "ADD", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"}
    assert len(found.calibration.rewrites) == 7
    assert found.agreement.same_class >= 0.95


def test_the_autoencoder_of_keras_2(shared):
    model = load_model(shared / "models" / "mlperf_tiny" / "ad01.h5")
    x = np.random.default_rng(0).normal(-30, 8, (60, 640))  # like log-mel energies in dB
    found = quantize_model(model, samples_of(x))
    assert operators(found.tflite)[0] == ["FULLY_CONNECTED"] * 10
    assert len(found.calibration.rewrites) == 9
    assert found.agreement.mean_absolute_difference < 1  # of outputs that reach to -60


def test_the_shipped_model_calibrates_with_its_own_offline_set(reference_model):
    model = load_model(reference_model)
    samples = load_samples(model, download=False)
    found = quantize_model(model, samples)
    names, _ = operators(found.tflite)
    assert names.count("CONV_2D") == names.count("MAXIMUM") == 6
    assert not {"MUL", "ADD"} & set(names)
    assert found.agreement.same_class >= 0.95


def saved(keras, tmp_path, layers, shape):
    network = keras.Sequential([keras.Input(shape), *layers])
    network.save(tmp_path / "net.keras")
    return load_model(tmp_path / "net.keras")


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN", "Bidirectional"])
def test_recurrent_layers_are_unrolled(tmp_path, kind):
    import_keras().utils.set_random_seed(7)
    layers = import_keras().layers
    inner = layers.LSTM(4) if kind == "Bidirectional" else None
    memory = layers.Bidirectional(inner) if inner else getattr(layers, kind)(4, name="memory")
    model = saved(import_keras(), tmp_path, [memory, layers.Dense(2)], (5, 3))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40, 5, 3)).astype(np.float32))
    found = quantize_model(model, load_samples(model, tmp_path / "x.npy"))
    names = operators(found.tflite)[0]
    assert names.count("FULLY_CONNECTED") >= 5
    assert not {"WHILE", "UNIDIRECTIONAL_SEQUENCE_LSTM"} & set(names)
    assert found.agreement.mean_absolute_difference < 0.05


def test_a_saved_model_with_a_loop_is_refused_before_the_converter_crashes(tmp_path):
    keras = import_keras()
    model = saved(keras, tmp_path, [keras.layers.LSTM(4), keras.layers.Dense(2)], (6, 3))
    model.live.export(tmp_path / "net_saved", verbose=False)
    with pytest.raises(ModelNotSupported) as caught:
        load_model(tmp_path / "net_saved")
    assert caught.value.code == "E_OP_UNSUPPORTED"
    assert "unroll=True" in caught.value.hint


def test_weights_that_are_no_numbers_are_named(tmp_path):
    keras = import_keras()
    model = saved(keras, tmp_path, [keras.layers.Dense(3, name="broken")], (5,))
    kernel, bias = model.live.get_layer("broken").get_weights()
    kernel[1, 2] = np.nan
    model.live.get_layer("broken").set_weights([kernel, bias])
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32))
    with pytest.raises(ModelNotSupported) as caught:
        quantize_model(model, load_samples(model, tmp_path / "x.npy"))
    assert caught.value.code == "E_MODEL_NAN"
    assert "broken/kernel" in caught.value.details[0]


def test_what_was_converted_is_checked_before_it_runs(tmp_path):
    keras = import_keras()
    model = saved(keras, tmp_path, [keras.layers.Dense(3)], (5,))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32))

    def refuse(tflite):
        assert tflite[4:8] == b"TFL3"
        raise ModelNotSupported("not this one", code="E_OP_UNSUPPORTED")

    with pytest.raises(ModelNotSupported, match="not this one"):
        quantize_model(model, load_samples(model, tmp_path / "x.npy"), check=refuse)


def test_a_layer_that_cannot_run_is_named(tmp_path):
    """Keras builds it by shapes alone."""
    keras = pytest.importorskip("keras")
    net = keras.Sequential([keras.Input((6,)), keras.layers.Activation("threshold"), keras.layers.Dense(2)])
    net.save(tmp_path / "net.keras")
    model = load_model(tmp_path / "net.keras")
    with pytest.raises(ModelNotSupported, match=r"Activation.call\(\): threshold\(\) missing 2") as caught:
        quantize_model(model, samples_of(np.zeros((4, 6))))
    assert caught.value.code == "E_MODEL_RUN"


@pytest.mark.parametrize("name", ["größe", "conv 1"])
def test_a_name_that_tensorflow_cannot_trace_is_refused(name, tmp_path):
    keras = pytest.importorskip("keras")
    keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, name=name)]).save(tmp_path / "net.keras")
    with pytest.raises(ModelNotSupported, match=name) as caught:
        quantize_model(load_model(tmp_path / "net.keras"), samples_of(np.ones((4, 6))))
    assert caught.value.code == "E_MODEL_RUN"
