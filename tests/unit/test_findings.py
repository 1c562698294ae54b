"""What is found to be wrong: each once where it is, and once where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.load import Preprocessing, Samples, load_model
from pipeline.quantize import find_in_inputs, find_in_layers, inspect_quantization, quantize_model
from pipeline.quantize.findings import find_other_preparation, find_out_of_range
from pipeline.quantize.inspect import ChannelRange, InspectedLayer, Inspection, Spoiled

LAYER = InspectedLayer(
    name="conv", tensor="conv/BiasAdd", operator="CONV_2D", shape=(1, 4, 4, 16), scale=0.1, zero_point=0,
    low=-12.8, high=12.7, minimum=-12.0, maximum=12.0, unused=0.1, at_low=0.001, at_high=0.001,
    floor=False, ceiling=False, clipped=0.0, own=None, total=None, channel_bias=None, weights_db=None,
    cost=0.5, cost_db=None, changed=None, channels=16, constant_channels=0, lost_channels=0, spoiled=None,
)  # fmt: skip
INPUT = replace(LAYER, name="picture", operator="INPUT", scale=1 / 255, zero_point=-128, low=0.0, high=1.0)


def inspection(*layers, predicted=(), predicted_float=(), samples=64):
    return Inspection(
        samples=samples, costed_samples=32, layers=layers, judged=(), output_db=None, explained=None,
        predicted=predicted, predicted_float=predicted_float, without_float="", unmatched=(),
    )  # fmt: skip


def found(*layers, **more):
    return [finding.code for finding in find_in_layers(inspection(*layers, **more))]


# --- layers ----------------------------------------------------------------------------------------


def test_nothing_is_found_in_a_sound_layer():
    assert found(INPUT, LAYER) == []


def test_one_class_for_everything():
    (finding,) = find_in_layers(inspection(predicted=(3,) * 20, predicted_float=tuple(range(10)) * 2))
    assert finding.code == "W_SAME_CLASS"
    assert "class 3 for all 20 samples; the float model predicts 10 different ones" in finding.problem
    (finding,) = find_in_layers(inspection(predicted=(3,) * 20, predicted_float=(3,) * 20))
    assert "so does the float model" in finding.problem
    assert "--preprocess" in finding.remedy
    (finding,) = find_in_layers(inspection(predicted=(3,) * 20))
    assert "float" not in finding.problem


@pytest.mark.parametrize("predicted", [(), (3,) * 4, (3,) * 19 + (4,)], ids=["none", "few", "two classes"])
def test_several_classes_are_nothing_remarkable(predicted):
    assert found(predicted=predicted, predicted_float=(1,) * len(predicted)) == []


def test_a_layer_that_saturates():
    (finding,) = find_in_layers(inspection(replace(LAYER, clipped=0.032, maximum=30.5)))
    assert finding.code == "W_SATURATED"
    assert finding.subject == "conv"
    assert "3.2 % of the values of layer conv lie beyond what int8 can hold there: -12.8 to 12.7" in str(
        finding
    )
    assert "30.5" in finding.problem


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({"clipped": 0.009}, []),
        ({"clipped": 0.2, "floor": True, "ceiling": True}, []),
        ({"clipped": None, "at_high": 0.02}, ["W_SATURATED"]),
        ({"clipped": None, "at_low": 0.02}, ["W_SATURATED"]),
        ({"clipped": None, "at_high": 0.02, "ceiling": True}, []),
        ({"clipped": None, "at_low": 0.6, "floor": True}, []),
        ({"clipped": None, "at_low": 0.6, "at_high": 0.02, "floor": True}, ["W_SATURATED"]),
    ],
)
def test_what_saturates_and_what_is_clamped_by_the_layer_itself(change, codes):
    assert found(replace(LAYER, **change)) == codes


def test_a_layer_that_is_dead():
    (finding,) = find_in_layers(inspection(replace(LAYER, constant_channels=16, lost_channels=16)))
    assert finding.code == "W_DEAD"
    assert "gives the same integers for all 64 samples; in float it reaches from -12 to 12" in finding.problem
    (finding,) = find_in_layers(inspection(replace(LAYER, constant_channels=16, lost_channels=0)))
    assert "in float" not in finding.problem
    (finding,) = find_in_layers(inspection(replace(LAYER, constant_channels=5, lost_channels=3)))
    assert "3 of 16 channels of layer conv never change in int8 (one step is 0.1)" in finding.problem
    assert "equalize" in finding.remedy
    shared = replace(LAYER, constant_channels=5, lost_channels=3, unused=0.97)
    (finding,) = find_in_layers(inspection(shared))
    assert "Its range, -12.8 to 12.7, is far wider than its values" in finding.remedy


def test_dead_channels_that_are_dead_in_float_too():
    assert found(replace(LAYER, constant_channels=9, lost_channels=2)) == []
    assert found(replace(LAYER, constant_channels=16, lost_channels=16), samples=4) == []


def test_channels_that_spoil_a_scale():
    wide = Spoiled((ChannelRange(7, -50.0, 40.0), ChannelRange(9, 0.0, 30.0)), 11.5)
    (finding,) = find_in_layers(inspection(replace(LAYER, spoiled=wide)))
    assert finding.code == "W_SPOILED"
    assert "Channels 7 (-50 to 40), 9 (0 to 30) of layer conv" in finding.problem
    assert "11.5 times as coarse for its other 14 channels" in finding.problem
    assert found(replace(LAYER, spoiled=replace(wide, factor=3.0))) == []
    assert found(replace(LAYER, spoiled=wide, cost=0.02)) == []
    assert found(replace(LAYER, spoiled=wide, cost=None)) == ["W_SPOILED"]


# --- inputs ----------------------------------------------------------------------------------------


def test_samples_outside_of_the_calibrated_range():
    rng = np.random.default_rng(0)
    x = rng.random((50, 8, 8, 3)).astype(np.float32)
    assert find_out_of_range(INPUT, x) is None
    x[:3] *= 2
    finding = find_out_of_range(INPUT, x)
    assert finding.code == "W_INPUT_RANGE"
    assert "input picture was calibrated for, 0 to 1: they reach from" in finding.problem
    assert finding.problem.startswith("3")  # 3 of 50, half of them beyond 1: 3 %
    # a value here and there is what calibration with a part of the data leaves
    rare = rng.random((50, 8, 8, 3))
    rare[0, 0, 0, 0] = 1.5
    assert find_out_of_range(INPUT, rare) is None


def test_samples_that_fill_little_of_the_range():
    x = np.random.default_rng(0).random((50, 8, 8, 3))
    finding = find_out_of_range(INPUT, 0.05 * x)
    assert finding.code == "W_INPUT_RANGE"
    assert "fill 5 % of the range" in finding.problem
    assert find_out_of_range(INPUT, 0.3 * x) is None


def pictures(seed, count=300):
    """Photographs as far as statistics go: smooth, of different brightness, more red than blue."""
    rng = np.random.default_rng(seed)
    light = rng.uniform(0.2, 0.7, (count, 1, 1, 1)) + np.array([0.04, 0.02, 0.0])
    return np.clip(light + rng.normal(0, 0.2, (count, 8, 8, 3)), 0, 1).astype(np.float32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: 255 * x, "for evaluation spread 25"),
        (lambda x: x / 255, "times as wide (0 to 255 against 0 to 1?)"),
        (lambda x: 127.5 * x, "(0 to 255 against -1 to 1?)"),
        (lambda x: 2 * x - 1, "times as wide (-1 to 1 against 0 to 1?)"),
        (lambda x: x - x.mean(axis=(0, 1, 2)), "means by channel 0.4"),
        (lambda x: x[..., ::-1], "red and blue seem swapped"),
    ],
    ids=["bytes", "divided twice", "bytes, centred", "centred", "mean subtracted", "blue first"],
)
def test_sets_that_are_prepared_in_different_ways(change, words):
    finding = find_other_preparation("picture", pictures(1), change(pictures(2)))
    assert finding.code == "W_PREPARATION"
    assert words in finding.problem
    assert "calibration: mean 0.4" in finding.problem
    assert finding.remedy


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: x[:20],
        lambda x: np.clip(x + 0.1, 0, 1),
        lambda x: np.clip(1.3 * x, 0, 1),
        lambda x: np.repeat(x.mean(axis=-1, keepdims=True), 3, axis=-1),
        lambda x: np.clip(x + np.array([0.0, 0.05, 0.12]), 0, 1),
    ],
    ids=["alike", "few", "brighter", "more contrast", "grey", "blue skies"],
)
def test_sets_of_one_kind(change):
    assert find_other_preparation("picture", pictures(1), change(pictures(2))) is None


def test_series_of_a_sensor_are_compared_as_well():
    rng = np.random.default_rng(3)
    first, second = rng.normal(0, 3, (200, 64, 6)), rng.normal(0, 3, (100, 64, 6))
    assert find_other_preparation("motion", first, second) is None
    assert find_other_preparation("motion", first, second / 9.81).code == "W_PREPARATION"
    assert find_other_preparation("flat", first[:, 0, 0], second[:, 0, 0] + 9.81).code == "W_PREPARATION"


def test_of_samples_that_are_prepared_otherwise_the_range_is_a_consequence():
    samples = (255 * pictures(2),)
    (finding,) = find_in_inputs(inspection(INPUT), samples, (pictures(1),))
    assert finding.code == "W_PREPARATION"
    (finding,) = find_in_inputs(inspection(INPUT), samples, None)
    assert finding.code == "W_INPUT_RANGE"
    assert find_in_inputs(inspection(INPUT), (pictures(2),), (pictures(1),)) == ()


# --- a whole model ---------------------------------------------------------------------------------


@pytest.mark.tensorflow
@pytest.mark.parametrize("reach", [1.0, 0.25], ids=["calibrated as tested", "calibrated with a quarter"])
def test_a_model_calibrated_with_smaller_values_saturates(tmp_path, reach):
    keras = pytest.importorskip("keras")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="out"),
        ]
    )
    model.save(tmp_path / "net.keras")
    x = np.random.default_rng(0).random((64, 8, 8, 3)).astype(np.float32)
    samples = Samples(x, None, None, "noise", False, Preprocessing(), calibration=reach * x)
    quantized = quantize_model(load_model(tmp_path / "net.keras"), samples)
    seen = inspect_quantization(quantized.tflite, quantized.float_tflite, (x,), names={})
    codes = {finding.code for finding in find_in_layers(seen)}
    inputs = {finding.code for finding in find_in_inputs(seen, (x,), (reach * x,))}
    assert codes == ({"W_SATURATED"} if reach < 1 else set())
    assert inputs == ({"W_PREPARATION"} if reach < 1 else set())
