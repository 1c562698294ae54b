"""The fold of batch norm, held against Keras's own prediction of the model as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.load import load_model
from pipeline.quantize.fold import Fold, clamp_ends, fold_normalizations

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(("low", "high"), [(0.0, np.inf), (0.0, 6.0), (-np.inf, np.inf), (-1.0, 1.0)])
def test_a_clamp_moves_to_the_other_side_of_the_batch_norm(low, high):
    rng = np.random.default_rng(1)
    z = rng.normal(0, 8, (1000, 6))
    a = np.array([1.5, -2.0, 0.3, -0.01, 0.0, 4.0])
    c = rng.normal(size=6)
    lower, upper = clamp_ends(a, c, low, high)
    folded = a * z + c
    folded = folded if lower is None else np.maximum(folded, lower)
    folded = folded if upper is None else np.minimum(folded, upper)
    expected = [[a[j] * min(max(row[j], low), high) + c[j] for j in range(6)] for row in z]
    np.testing.assert_allclose(folded, expected, atol=1e-5)


def randomize(model, seed: int) -> None:
    """Give every weight a random value; scales of both signs, one of them zero."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if getattr(layer, "layers", None):
            randomize(layer, seed + 1)
        elif type(layer).__name__ == "BatchNormalization":
            channels = layer.moving_mean.shape[0]
            gamma = rng.normal(size=channels)
            gamma[0], gamma[1:2] = 0.0, -abs(gamma[1:2])
            statistics = [rng.normal(size=channels), rng.uniform(0.2, 3, channels)]
            affine = ([gamma] if layer.scale else []) + ([rng.normal(size=channels)] if layer.center else [])
            layer.set_weights([*affine, *statistics])
        elif layer.get_weights():
            layer.set_weights([rng.normal(0, 0.4, w.shape) for w in layer.get_weights()])


def plain(k, x):
    """The order of the reference model."""
    x = k.layers.Conv2D(6, 3, padding="same", activation="relu", name="c0")(x)
    x = k.layers.BatchNormalization(name="n0")(x)
    x = k.layers.MaxPooling2D()(x)
    x = k.layers.Conv2D(5, 3, strides=2, padding="same", activation="relu", name="c1")(x)
    x = k.layers.BatchNormalization(name="n1")(x)
    x = k.layers.Flatten()(x)
    x = k.layers.Dense(7, activation="relu", name="d0")(x)
    x = k.layers.BatchNormalization(name="n2")(x)
    return k.layers.Dense(4, activation="softmax", name="d1")(x), 3


def textbook(k, x):
    """Batch norm between a linear layer, with and without bias, and its activation."""
    x = k.layers.Conv2D(6, 3, padding="valid", use_bias=False)(x)
    x = k.layers.BatchNormalization()(x)
    x = k.layers.ReLU(6.0)(x)
    x = k.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False)(x)
    x = k.layers.BatchNormalization(scale=False)(x)
    x = k.layers.Activation("relu")(x)
    x = k.layers.SeparableConv2D(5, 3, padding="same")(x)
    x = k.layers.BatchNormalization(center=False)(x)
    x = k.layers.Conv2DTranspose(4, 3, strides=2)(x)
    x = k.layers.BatchNormalization()(x)
    x = k.layers.GlobalAveragePooling2D()(x)
    return k.layers.Dense(3)(x), 4


def separate(k, x):
    """The activation, a Dropout and a second clamp stand between the convolution and its batch norm."""
    x = k.layers.Conv2D(6, 3)(x)
    x = k.layers.ReLU()(x)
    x = k.layers.Dropout(0.5)(x)
    x = k.layers.ReLU(max_value=1.5)(x)
    x = k.layers.BatchNormalization()(x)
    x = k.layers.DepthwiseConv2D(3, activation="relu6")(x)
    x = k.layers.BatchNormalization()(x)
    return k.layers.Flatten()(x), 2


def residual(k, x):
    """Branches: a convolution that two layers read is not folded into; the others are."""
    x = k.layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    read_twice = x
    y = k.layers.BatchNormalization()(x)
    y = k.layers.Conv2D(6, 3, padding="same", activation="relu")(y)
    y = k.layers.BatchNormalization()(y)
    x = k.layers.Add()([read_twice, y])
    x = k.layers.BatchNormalization()(x)
    return k.layers.GlobalAveragePooling2D()(x), 1


def elsewhere(k, x):
    """Positions that do not fold: behind a pooling, zero padding, tanh, a leaky ReLU; on the input."""
    x = k.layers.BatchNormalization()(x)
    x = k.layers.Conv2D(4, 3, activation="relu")(x)
    x = k.layers.MaxPooling2D()(x)
    x = k.layers.BatchNormalization()(x)
    x = k.layers.Conv2D(4, 3, activation="relu")(x)
    x = k.layers.ZeroPadding2D()(x)
    x = k.layers.BatchNormalization()(x)
    x = k.layers.Conv2D(4, 3, activation="tanh")(x)
    x = k.layers.BatchNormalization()(x)
    return k.layers.Flatten()(x), 0


def shared(k, x):
    """A convolution that is called twice keeps its weights."""
    twice = k.layers.Conv2D(3, 3, padding="same", activation="relu")
    x = k.layers.BatchNormalization()(twice(x))
    x = k.layers.BatchNormalization()(twice(x))
    return k.layers.Flatten()(x), 0


def nested(k, x):
    """A model within the model, folded inside."""
    inner = k.Sequential(
        [
            k.layers.Input((12, 12, 3)),
            k.layers.Conv2D(5, 3, activation="relu"),
            k.layers.BatchNormalization(),
        ],
        name="stem",
    )
    x = inner(x)
    x = k.layers.Conv2D(4, 3)(x)
    x = k.layers.BatchNormalization()(x)
    return k.layers.Flatten()(x), 2


def normalized(k, x):
    """Layer and group normalizations, with and without gain and offset; one channel a group at the last."""
    x = k.layers.Conv2D(6, 3)(x)
    x = k.layers.LayerNormalization(epsilon=0.1)(x)
    x = k.layers.GroupNormalization(3, scale=False)(x)
    x = k.layers.Conv2D(4, 3)(x)
    x = k.layers.GroupNormalization(-1)(x)
    x = k.layers.LayerNormalization(center=False)(k.layers.Flatten()(x))
    if not hasattr(k.layers, "RMSNormalization"):  # Keras 2
        return x, 4
    return k.layers.RMSNormalization()(x), 5


def repeated(k, x):
    """Upsampling of maps, by one factor and by two, and of a sequence; what is interpolated stays."""
    x = k.layers.UpSampling2D(2)(k.layers.Conv2D(3, 3)(x))
    x = k.layers.UpSampling2D((1, 3))(k.layers.Conv2D(2, 3)(x))
    x = k.layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = k.layers.Reshape((-1, 6))(x)
    return k.layers.Flatten()(k.layers.UpSampling1D(2)(x)), 0


NETS = (plain, textbook, separate, residual, elsewhere, shared, nested, normalized, repeated)


def saved_model(k, net, folder: Path, suffix: str) -> tuple[Path, int]:
    x = k.Input((12, 12, 3))
    outputs, folds = net(k, x)
    model = k.Model(x, outputs)
    randomize(model, 3)
    path = folder / f"{net.__name__}{suffix}"
    model.save(path)
    return path, folds


@pytest.mark.parametrize(("api", "suffix"), [("keras", ".keras"), ("tf_keras", ".h5")])
@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_folded_net_predicts_what_keras_predicts(net, api, suffix, tmp_path):
    k = pytest.importorskip(api)
    path, folds = saved_model(k, net, tmp_path, suffix)
    original = k.models.load_model(path, compile=False)
    x = np.random.default_rng(0).normal(size=(16, 12, 12, 3)).astype(np.float32)
    expected = original.predict(x, verbose=0)

    rewritten = fold_normalizations(load_model(path))

    assert len(rewritten.folds) == folds
    left = [layer for layer in all_layers(rewritten.live) if type(layer).__name__ == "BatchNormalization"]
    had = [layer for layer in all_layers(original) if type(layer).__name__ == "BatchNormalization"]
    assert len(left) == len(had) - sum(isinstance(fold, Fold) for fold in rewritten.folds)
    np.testing.assert_allclose(
        np.asarray(rewritten.live(x, training=False)), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )


def all_layers(model):
    for layer in model.layers:
        yield from all_layers(layer) if getattr(layer, "layers", None) else [layer]


def test_both_signs_give_both_clamps(tmp_path):
    keras = pytest.importorskip("keras")
    path, _ = saved_model(keras, plain, tmp_path, ".keras")
    fold = fold_normalizations(load_model(path)).folds[0]
    assert fold.norm == "n0"
    assert fold.into == "c0"
    assert "MAXIMUM and MINIMUM" in str(fold)
