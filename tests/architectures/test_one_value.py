"""A network with one output value: the probability of a class, or a number that names none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.config import Settings
from pipeline.deploy import deploy
from pipeline.load.frameworks import import_keras

pytestmark = [pytest.mark.tensorflow, pytest.mark.toolchain]


def quiet(stage, done, total):
    pass


def saved(folder, activation):
    """A network that tells bright images from dark ones, and 40 of them."""
    keras = import_keras()
    keras.utils.set_random_seed(5)
    rng = np.random.default_rng(5)
    labels = np.arange(40) % 2
    x = (
        rng.normal(0, 0.2, (40, 8, 8, 1)).astype(np.float32)
        + np.where(labels, 0.4, -0.4)[:, None, None, None]
    )
    x[::7] *= -1  # some are labelled wrongly
    image = keras.Input((8, 8, 1))
    y = keras.layers.Conv2D(4, 3, activation="relu")(image)
    y = keras.layers.Dense(1, activation=activation, kernel_initializer="ones")(keras.layers.Flatten()(y))
    model = keras.Model(image, y)
    model.layers[1].set_weights([np.tile([0.1, -0.1, 0.2, -0.05], (3, 3, 1, 1)), np.zeros(4)])
    weights = np.tile([[0.2], [-0.2], [0.1], [-0.2]], (36, 1))
    model.layers[-1].set_weights([weights, np.zeros(1)])
    model.save(folder / "bright.keras")
    np.savez(folder / "bright.npz", x=x, y=labels)
    return Settings(
        model=folder / "bright.keras", samples=folder / "bright.npz", board="host", output=folder / "out",
        inferences=40, timed_runs=1, estimate_for="none", preprocess="scale=1",
    )  # fmt: skip


def test_a_sigmoid_is_held_against_labels(tmp_path):
    settings = saved(tmp_path, "sigmoid")
    report, _ = deploy(settings, quiet)
    data = np.load(tmp_path / "bright.npz")
    right = (data["x"].mean(axis=(1, 2, 3)) > 0) == data["y"]
    assert 0.5 < right.mean() < 1
    found = {each.subject: each.accuracy for each in report.accuracy}
    assert found == dict.fromkeys(("float model", "quantized model", "target"), pytest.approx(right.mean()))
    assert report.agreement.same_class == 1
    assert np.shape(report.accuracy[2].confusion) == (2, 2)
    assert np.sum(report.accuracy[2].confusion) == 40


def test_a_number_names_no_class(tmp_path):
    report, _ = deploy(saved(tmp_path, None), quiet)
    assert report.accuracy == ()
    assert report.agreement.same_class is None
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "names no class" in json.dumps(figures)
