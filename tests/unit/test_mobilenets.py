"""The small MobileNets that the project ships: what int8 costs them, and what the cures win back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.bench.cures import uneven
from pipeline.load import load_model, load_samples
from pipeline.quantize import Recipe, compare_recipes, parse_recipe, prepare_model, run_float_graph
from pipeline.quantize.ranges import observe
from pipeline.quantize.tflite_graph import TfliteGraph

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]
FOLDER = Path(__file__).parents[2] / "models" / "mobilenets"
COUNT = 600


@pytest.fixture(params=["v1", "v2"])
def case(request, shared):
    """The float graph, and the float model's run on test images."""
    model = load_model(FOLDER / f"mobilenet_{request.param}.keras")
    samples = load_samples(model, shared / "data" / "cifar10" / "test.npz", limit=COUNT)
    training = load_samples(model, shared / "data" / "cifar10" / "train.npz", limit=200)
    prepared = prepare_model(model, replace(samples, calibration=training.x), count=200)
    return prepared, run_float_graph(prepared, samples)


def fidelity(prepared, run, text):
    (tried,) = compare_recipes(prepared, run, [parse_recipe(text)])
    return tried.fidelity


def test_correcting_biases_betters_a_trained_mobilenet(case):
    prepared, run = case
    assert run.accuracy > 0.68
    plain, cured = (fidelity(prepared, run, text) for text in ("minmax", "equalize+bias"))
    assert cured.sqnr_db > plain.sqnr_db + 0.8
    assert cured.same_class > plain.same_class


def test_equalization_wins_back_what_uneven_channels_cost(case):
    """The same function with its channels up to a thousand times apart, as a training may leave them."""
    prepared, run = case
    spoiled = uneven(prepared)
    peaks = [held.channel_peaks for held in observe(TfliteGraph(spoiled.graph), spoiled.x[:20]).values()]
    spreads = [float(each.max() / each.min()) for each in peaks if each.min() > 0]
    assert sum(spread > 200 for spread in spreads) > 15
    again = run_float_graph(spoiled, run.samples)
    np.testing.assert_allclose(again.outputs[0], run.outputs[0], atol=1e-3)  # the function is the same
    lost, won = (fidelity(spoiled, run, text) for text in ("minmax", "equalize+bias"))
    assert lost.accuracy < run.accuracy - 0.1
    assert won.accuracy > run.accuracy - 0.02
    assert won.sqnr_db > fidelity(prepared, run, str(Recipe())).sqnr_db
