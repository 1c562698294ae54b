"""Samples made of batch norms' statistics, for networks whose data are known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config import Settings
from pipeline.deploy import synthesize_samples
from pipeline.errors import ModelNotSupported, UsageError
from pipeline.load import load_model, load_samples
from pipeline.quantize import prepare_model
from pipeline.quantize.synthesize import synthesize
from pipeline.quantize.tflite_graph import TfliteGraph

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]


def picture(k, x):
    """With an inner model, whose batch norm counts as well."""
    inner = k.Sequential(
        [k.layers.Input((12, 12, 3)), k.layers.Conv2D(6, 3), k.layers.BatchNormalization()], name="stem"
    )
    x = k.layers.ReLU()(inner(x))
    x = k.layers.DepthwiseConv2D(3)(x)
    x = k.layers.BatchNormalization()(x)
    x = k.layers.ReLU()(x)
    return k.layers.Dense(4, activation="softmax")(k.layers.Flatten()(x))


def series(k, x):
    x = k.layers.Conv1D(8, 5, activation="relu")(x)
    x = k.layers.BatchNormalization()(x)
    x = k.layers.Conv1D(8, 3, activation="relu")(x)
    x = k.layers.BatchNormalization()(x)
    return k.layers.Dense(2)(k.layers.GlobalAveragePooling1D()(x))


def bare(k, x):
    return k.layers.Dense(3)(k.layers.Flatten()(x))


def trained(k, net, x, path):
    """A net with random weights whose batch norms have seen the data x."""
    k.utils.set_random_seed(3)
    source = k.Input(x.shape[1:])
    model = k.Model(source, net(k, source))

    def norms(layers):
        for layer in layers:
            if getattr(layer, "layers", None):
                yield from norms(layer.layers)
            elif type(layer).__name__ == "BatchNormalization":
                yield layer

    for norm in norms(model.layers):
        norm.momentum = 0.0
    # Twice: the second norm sees what the first one gives with its statistics in place.
    for _ in range(2):
        model(x, training=True)
    model.save(path)
    return load_model(path)


def photographs(count=64):
    """Dark pictures with one bright side."""
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 0.8, 12)[None, :, None, None] * rng.uniform(0, 1, (count, 1, 1, 3))
    return (slope + rng.uniform(0, 0.2, (count, 12, 12, 3))).astype(np.float32)


@pytest.mark.parametrize(("api", "suffix"), [("keras", ".keras"), ("tf_keras", ".h5")])
def test_images_that_cause_the_statistics(api, suffix, tmp_path):
    k = pytest.importorskip(api)
    x = photographs()
    model = trained(k, picture, x, tmp_path / f"net{suffix}")
    made = synthesize(model, images=32, steps=150)
    (found,) = made.arrays
    assert made.norms == 2
    assert made.mismatch_after < 0.2 * made.mismatch_before
    assert (found.shape, found.dtype) == ((32, 12, 12, 3), np.uint8)
    # Noise has a mean of one half; the pictures are darker, and only the statistics say so.
    assert abs(found.mean() / 255 - x.mean()) < 0.5 * (0.5 - x.mean())


def test_other_inputs_have_no_bounds(tmp_path):
    keras = pytest.importorskip("keras")
    x = np.random.default_rng(1).normal(40, 12, (64, 30, 3)).astype(np.float32)
    model = trained(keras, series, x, tmp_path / "net.keras")
    made = synthesize(model, images=16, steps=400)
    (found,) = made.arrays
    assert found.dtype == np.float32
    assert made.mismatch_after < 0.2 * made.mismatch_before


def test_a_file_beside_the_model_calibrates_it(tmp_path):
    keras = pytest.importorskip("keras")
    x = photographs()
    model = trained(keras, picture, x, tmp_path / "net.keras")
    path, made = synthesize_samples(Settings(model=model.path), None, 32, 150, lambda *step: None)
    assert path == tmp_path / "net_samples.npz"
    samples = load_samples(model)
    assert samples.offline
    assert "32 samples made from the network's batch-norm statistics" in samples.origin
    np.testing.assert_allclose(samples.x, made.arrays[0] / np.float32(255), atol=1e-6)
    np.savez(tmp_path / "real.npz", x=x)
    real = load_samples(model, tmp_path / "real.npz")
    graphs = [TfliteGraph(prepare_model(model, one).graph) for one in (samples, real)]
    for tensor in graphs[0].activations()[1:-1]:
        (low, high), (real_low, real_high) = (graph.range(tensor) for graph in graphs)
        assert 0.5 < (high - low) / (real_high - real_low) < 2


def test_a_model_on_another_scale_is_told(tmp_path):
    keras = pytest.importorskip("keras")
    model = trained(keras, picture, 255 * photographs(), tmp_path / "net.keras")
    with pytest.raises(UsageError) as caught:
        synthesize_samples(Settings(model=model.path), None, 16, 20, lambda *step: None)
    assert caught.value.code == "E_SAMPLES_RANGE"
    assert not (tmp_path / "net_samples.npz").exists()
    declared = Settings(model=model.path, preprocess="scale=1")
    _, made = synthesize_samples(declared, None, 16, 150, lambda *step: None)
    assert made.mismatch_after < 0.3 * made.mismatch_before


def test_without_batch_norm_there_is_no_way(tmp_path):
    keras = pytest.importorskip("keras")
    model = trained(keras, bare, photographs(), tmp_path / "net.keras")
    with pytest.raises(ModelNotSupported) as caught:
        synthesize(model)
    assert caught.value.code == "E_NO_STATISTICS"
    assert "--samples" in caught.value.hint


def test_a_saved_model_keeps_no_batch_norms(tmp_path):
    keras = pytest.importorskip("keras")
    model = trained(keras, picture, photographs(), tmp_path / "net.keras")
    model.live.export(tmp_path / "saved", verbose=False)
    with pytest.raises(ModelNotSupported) as caught:
        synthesize(load_model(tmp_path / "saved"))
    assert caught.value.code == "E_NO_STATISTICS"


def test_untrained_batch_norms_remember_nothing(tmp_path):
    keras = pytest.importorskip("keras")
    source = keras.Input((12, 12, 3))
    keras.Model(source, picture(keras, source)).save(tmp_path / "net.keras")
    with pytest.raises(ModelNotSupported) as caught:
        synthesize(load_model(tmp_path / "net.keras"))
    assert caught.value.code == "E_NO_STATISTICS"
