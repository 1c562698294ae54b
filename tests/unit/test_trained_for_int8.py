"""Models that were trained with int8 in mind keep their ranges, or are refused with what to do."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config import Settings
from pipeline.cures import cure_table
from pipeline.deploy import load_quantized
from pipeline.errors import ModelNotSupported, UsageError
from pipeline.load import Preprocessing, Samples, load_model
from pipeline.quantize import (
    Recipe,
    candidates,
    parse_recipe,
    predict_float,
    predict_int8,
    prepare_model,
    quantize_model,
)
from pipeline.quantize.tflite_graph import Operator, TfliteGraph
from pipeline.read_tflite import read_tflite

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]


def samples_of(shape=(8, 8, 3), count=30):
    x = np.random.default_rng(2).uniform(-0.4, 0.4, (count, *shape)).astype(np.float32)
    return Samples(x, None, None, "test data", False, Preprocessing())


def saved_with_fake_quant(folder, *, whole=True):
    """A SavedModel as quantization-aware training leaves it: the nodes of tfmot's wrappers around each layer.

    Without `whole` no node stands behind the first layer.
    """
    tensorflow = pytest.importorskip("tensorflow")
    fake = tensorflow.quantization
    rng = np.random.default_rng(0)

    class Net(tensorflow.Module):
        def __init__(self):
            self.kernel = tensorflow.Variable(rng.normal(0, 0.3, (3, 3, 3, 4)).astype(np.float32))
            self.dense = tensorflow.Variable(rng.normal(0, 1, (4, 5)).astype(np.float32))
            self.bias = tensorflow.Variable(rng.normal(0, 0.1, 4).astype(np.float32))

        @tensorflow.function(
            input_signature=[tensorflow.TensorSpec((None, 8, 8, 3), tensorflow.float32, "x")]
        )
        def serve(self, x):
            x = fake.fake_quant_with_min_max_args(x, -1, 1)
            largest = tensorflow.reduce_max(tensorflow.abs(self.kernel), [0, 1, 2])
            kernel = fake.fake_quant_with_min_max_vars_per_channel(
                self.kernel, -largest, largest, narrow_range=True
            )
            y = tensorflow.nn.relu(tensorflow.nn.conv2d(x, kernel, 1, "SAME") + self.bias)
            if whole:
                y = fake.fake_quant_with_min_max_args(y, 0, 1.5)
            y = tensorflow.nn.max_pool2d(y, 2, 2, "VALID")
            y = fake.fake_quant_with_min_max_args(tensorflow.reduce_mean(y, [1, 2]), 0, 0.75)
            dense = fake.fake_quant_with_min_max_args(self.dense, -3, 3, narrow_range=True)
            return fake.fake_quant_with_min_max_args(tensorflow.matmul(y, dense), -4, 4)

    net = Net()
    tensorflow.saved_model.save(net, str(folder), signatures=net.serve)
    return load_model(folder)


def test_fake_quant_nodes_keep_their_ranges(tmp_path):
    model, samples = saved_with_fake_quant(tmp_path / "net"), samples_of()
    found = quantize_model(model, samples, check=lambda tflite: read_tflite(tflite, "net"))
    graph = TfliteGraph(found.tflite)
    kinds = [graph.kind(operator) for operator in graph.operators]
    assert kinds == [Operator.CONV_2D, Operator.MAX_POOL_2D, Operator.MEAN, Operator.FULLY_CONNECTED]
    reached = [np.subtract(*graph.reach(tensor)[::-1]) for tensor in graph.made()]
    # The samples fill less than half of the input's range, and other parts of the rest.
    np.testing.assert_allclose(reached, [2, 1.5, 1.5, 0.75, 8], rtol=0.01)
    assert found.calibration.rewrites == ("ranges of the model's own fake-quant nodes kept",)
    assert found.float_tflite is None
    expected = predict_float(model, samples.x)
    _, real = predict_int8(found.tflite, samples.x)
    # The float model rounds as the integers do.
    assert np.abs(real - expected).max() < 1.01 * 8 / 255


def test_no_cure_touches_a_models_own_ranges(tmp_path):
    model, samples = saved_with_fake_quant(tmp_path / "net"), samples_of()
    assert candidates(prepare_model(model, samples)) == (Recipe(),)
    np.save(tmp_path / "x.npy", samples.x)
    for text in ("mse", "equalize", "bias"):
        with pytest.raises(UsageError) as caught:
            quantize_model(model, samples, recipe=parse_recipe(text))
        assert caught.value.code == "E_RECIPE"
    settings = Settings(model=tmp_path / "net", samples=tmp_path / "x.npy")
    with pytest.raises(UsageError, match="trained for int8"):
        cure_table(settings, lambda *step: None)
    loaded = load_quantized(settings.model_copy(update={"recipe": "auto"}), lambda *step: None)
    assert loaded.quantized.calibration.recipe == "minmax"


def test_what_is_left_without_a_range_is_calibrated(tmp_path):
    model, samples = saved_with_fake_quant(tmp_path / "net", whole=False), samples_of()
    found = quantize_model(model, samples, check=lambda tflite: read_tflite(tflite, "net"))
    _, real = predict_int8(found.tflite, samples.x)
    assert np.abs(real - predict_float(model, samples.x)).max() < 4 * 8 / 255


def keras_int8(path, mode="int8"):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    k = keras.layers
    layers = [k.Flatten(), k.Dense(10, activation="relu", name="first"), k.Dense(4, name="second")]
    model = keras.Sequential([keras.Input((8, 8, 3)), k.Conv2D(4, 3, activation="relu"), *layers])
    model.quantize(mode)
    model.save(path)
    return model


def test_int8_layers_of_keras_keep_their_integers(tmp_path):
    live = keras_int8(tmp_path / "net.keras")
    model, samples = load_model(tmp_path / "net.keras"), samples_of()
    assert [layer.parameters for layer in model.layers if layer.kind == "Dense"] == [
        144 * 10 + 10,
        10 * 4 + 4,
    ]
    found = quantize_model(model, samples)
    graph = TfliteGraph(found.tflite)
    kept = [
        graph.constant(int(operator.inputs[1]))
        for operator in graph.operators
        if graph.kind(operator) == Operator.FULLY_CONNECTED
    ]
    for integers, name in zip(kept, ("first", "second"), strict=True):
        held = {weight.name: np.asarray(weight) for weight in live.get_layer(name).weights}
        np.testing.assert_array_equal(integers, held["kernel"].T)
    assert found.agreement.mean_absolute_difference < 0.02 * np.ptp(predict_float(model, samples.x))


def test_other_integers_of_keras_are_refused(tmp_path):
    keras_int8(tmp_path / "net.keras", "int4")
    with pytest.raises(ModelNotSupported) as caught:
        load_model(tmp_path / "net.keras")
    assert caught.value.code == "E_MODEL_QUANTIZED"
    assert caught.value.details == ("first: Dense, int4", "second: Dense, int4")
