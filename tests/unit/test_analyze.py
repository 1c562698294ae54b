"""The host analysis: the reference figures to the digit, and every rule on a case counted by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.analyze import analyze_float, analyze_graph, float_activations, layer_macc
from pipeline.boards import load_board
from pipeline.load import FloatLayer, FloatModel, TensorSpec, load_model
from pipeline.read_tflite import read_tflite

MODELS = Path(__file__).parents[2] / "models" / "cifar10_cnn"


def layer(kind, inputs, output, *, name=None, reads=("input",), parameters=0, **attributes):
    shapes = inputs if inputs and isinstance(inputs[0], tuple) else (inputs,)
    return FloatLayer(name or kind, kind, tuple(reads), shapes, output, attributes, parameters)


def model_of(*layers, input_shape):
    return FloatModel(
        name="m",
        path=Path("m.keras"),
        sha256="",
        framework="",
        api="keras",
        layers=layers,
        inputs=(TensorSpec("input", input_shape),),
        outputs=(TensorSpec(layers[-1].name, layers[-1].output_shape),),
        live=None,
    )


@pytest.mark.parametrize(
    ("counted", "macc"),
    [
        (layer("Conv2D", (8, 8, 3), (8, 8, 4), kernel_size=(3, 3), use_bias=True), 9 * 3 * 4 * 64 + 4),
        (layer("Conv2D", (8, 8, 3), (4, 4, 4), kernel_size=(3, 3), use_bias=False), 9 * 3 * 4 * 16),
        (layer("Conv2D", (8, 8, 6), (8, 8, 4), kernel_size=(1, 1), groups=2, use_bias=True), 3 * 4 * 64 + 4),
        (
            layer("Conv2D", (8, 8, 3), (8, 8, 4), kernel_size=(3, 3), use_bias=True, activation="relu"),
            9 * 3 * 4 * 64 + 4 + 256,
        ),
        (
            layer(
                "DepthwiseConv2D", (8, 8, 3), (8, 8, 6), kernel_size=(3, 3), depth_multiplier=2, use_bias=True
            ),
            9 * 6 * 64 + 6,
        ),
        (
            layer(
                "SeparableConv2D", (8, 8, 3), (6, 6, 5), kernel_size=(3, 3), depth_multiplier=2, use_bias=True
            ),
            9 * 6 * 36 + 6 * 5 * 36 + 5,
        ),
        (layer("Dense", (20,), (7,), use_bias=True, activation="softmax"), 140 + 7 + 105),
        (layer("MaxPooling2D", (8, 8, 4), (4, 4, 4), pool_size=(2, 2)), 4 * 64),
        (layer("AveragePooling2D", (8, 8, 4), (2, 2, 4), pool_size=(4, 4)), 16 * 16),
        (layer("GlobalAveragePooling2D", (8, 8, 4), (4,)), 256),
        (layer("Add", ((8, 8, 4),) * 3, (8, 8, 4), reads=("a", "b", "c")), 2 * 256),
        (layer("BatchNormalization", (8, 8, 4), (8, 8, 4)), 2 * 256),
        (layer("ReLU", (8, 8, 4), (8, 8, 4)), 256),
        (layer("Activation", (10,), (10,), activation="sigmoid"), 100),
        (layer("Softmax", (10,), (10,)), 150),
        (layer("ZeroPadding2D", (8, 8, 4), (10, 10, 4)), 0),
        (layer("Dropout", (10,), (10,)), 0),
        (layer("Flatten", (2, 5), (10,)), 0),
    ],
    ids=lambda value: value.kind if isinstance(value, FloatLayer) else "",
)
def test_macc_by_hand(counted, macc):
    assert layer_macc(counted) == macc


def conv(name, source, inputs, output, size=3, stride=1, **attributes):
    return layer(
        "Conv2D", inputs, output, name=name, reads=(source,), kernel_size=(size, size), padding="same",
        strides=(stride, stride), **attributes,
    )  # fmt: skip


def activations(*layers, shape):
    return float_activations(layers, {"input": shape}, [layers[-1].name])


def test_a_convolution_needs_input_output_and_column():
    shape = (8, 8, 4)
    assert activations(conv("a", "input", shape, (8, 8, 16)), shape=shape) == 4 * (256 + 1024 + 36)


def pooled(name, source, shape):
    return layer(
        "MaxPooling2D", shape, (shape[0] // 2, shape[1] // 2, shape[2]), name=name, reads=(source,),
        pool_size=(2, 2), strides=(2, 2),
    )  # fmt: skip


def test_a_pooled_convolution_never_stores_its_whole_output():
    shape = (8, 8, 4)
    layers = (conv("a", "input", shape, (8, 8, 16)), pooled("p", "a", (8, 8, 16)))
    assert activations(*layers, shape=shape) == 4 * (256 + 256 + 36)


def test_the_models_own_input_is_never_overwritten():
    shape = (8, 8, 4)
    layers = (conv("a", "input", shape, shape), pooled("p", "a", shape))
    assert activations(*layers, shape=shape) == 4 * (256 + 64 + 36)


def test_a_pooled_convolution_writes_over_its_own_input():
    shape = (8, 8, 1)
    first = conv("a", "input", shape, (8, 8, 16))
    second = conv("b", "a", (8, 8, 16), (8, 8, 16))
    pool = layer(
        "MaxPooling2D", (8, 8, 16), (4, 4, 16), name="p", reads=("b",), pool_size=(2, 2), strides=(2, 2)
    )
    # first: input, output, column; second: input, column, one pooled row held aside
    expected = max(64 + 1024 + 9, 1024 + 144 + 4 * 16)
    assert activations(first, second, pool, shape=shape) == 4 * expected


def test_a_convolution_does_not_overwrite_rows_that_it_still_reads():
    shape = (8, 8, 1)
    first = conv("a", "input", shape, (8, 8, 16))
    second = conv("b", "a", (8, 8, 16), (8, 8, 16))  # row 1 would be written before row 2 has read it
    assert activations(first, second, shape=shape) == 4 * (1024 + 1024 + 144)


def test_a_pointwise_convolution_may_shrink_in_place():
    shape = (8, 8, 1)
    first = conv("a", "input", shape, (8, 8, 16))
    second = conv("b", "a", (8, 8, 16), (8, 8, 8), size=1)
    assert activations(first, second, shape=shape) == 4 * max(64 + 1024 + 9, 1024 + 16 + 64)


def test_a_shortcut_stays_alive_until_it_is_added():
    shape = (8, 8, 4)
    layers = (
        conv("a", "input", shape, shape),
        conv("b", "a", shape, shape),
        conv("c", "b", shape, shape),
        layer("Add", (shape, shape), shape, name="add", reads=("a", "c")),
        layer("ReLU", shape, shape, name="relu", reads=("add",)),
    )
    # at c: a waits for the addition, b is read, c is written
    assert activations(*layers, shape=shape) == 4 * (3 * 256 + 36)


def test_batch_norm_folds_behind_a_linear_layer_only():
    shape = (8, 8, 4)
    linear = conv("a", "input", shape, shape, use_bias=False, activation="linear", parameters=144)
    relu = conv("b", "n", shape, shape, use_bias=True, activation="relu", parameters=148)
    norm = layer("BatchNormalization", shape, shape, name="n", reads=("a",), parameters=8)
    behind = layer("BatchNormalization", shape, shape, name="m", reads=("b",), parameters=8)
    found = analyze_float(
        model_of(linear, norm, relu, behind, input_shape=shape), load_board("nucleo_l4r5zi")
    )
    by_name = {one.name: one for one in found.layers}
    assert (by_name["n"].macc, by_name["n"].parameters) == (0, 4)  # the bias that the convolution lacked
    assert (by_name["m"].macc, by_name["m"].parameters) == (2 * 256, 8)
    assert found.totals.parameters == 144 + 4 + 148 + 8


def test_batch_norm_does_not_fold_where_others_read_the_layer_before():
    shape = (8, 8, 4)
    linear = conv("a", "input", shape, shape, use_bias=True, activation="linear", parameters=148)
    norm = layer("BatchNormalization", shape, shape, name="n", reads=("a",), parameters=8)
    both = layer("Add", (shape, shape), shape, name="add", reads=("a", "n"))
    found = analyze_float(model_of(linear, norm, both, input_shape=shape), load_board("nucleo_l4r5zi"))
    assert [(one.macc, one.parameters) for one in found.layers[1:]] == [(2 * 256, 8), (256, 0)]


def check_reference(found):
    """The figures of the user's notes."""
    totals = found.totals
    assert totals.macc == 32_997_984
    assert totals.weights_bytes == 5_372_584
    assert totals.parameters == 1_343_146
    assert totals.activations_bytes == 143_468
    assert totals.estimated_seconds == pytest.approx(0.2749832, abs=1e-12)
    shares = {one.name: one.weights_share for one in found.layers}
    assert round(shares["dense"], 3) == 0.391
    assert round(shares["dense_1"], 3) == 0.391
    assert found.clock_hz == 120_000_000
    assert not found.fit.flash.fits
    assert found.fit.ram.fits
    assert found.fit.largest_weights[0] == ("dense", 4 * 525_312)
    assert round(found.fit.ram.needed_bytes / 1024, 2) == 148.56
    assert round(found.fit.flash.needed_bytes / 1024**2, 2) == 5.14
    assert sum(one.macc_share for one in found.layers) == pytest.approx(1)
    assert sum(one.weights_share for one in found.layers) == pytest.approx(1)


@pytest.mark.tensorflow
@pytest.mark.parametrize("dropout", [(0.0, 0.0), (0.1, 0.3)])
def test_the_reference_architecture_gives_the_reference_figures(dropout, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(MODELS))
    pytest.importorskip("tensorflow")
    architecture = pytest.importorskip("architecture")
    path = tmp_path / "reference.keras"
    architecture.build_network(dropout).save(path)
    model = load_model(path)
    assert isinstance(model, FloatModel)
    check_reference(analyze_float(model, load_board("nucleo_l4r5zi")))
    sys.modules.pop("architecture", None)


@pytest.mark.tensorflow
def test_the_shipped_model_gives_the_reference_figures(reference_model):
    model = load_model(reference_model)
    assert isinstance(model, FloatModel)
    check_reference(analyze_float(model, load_board("nucleo_l4r5zi")))


@pytest.mark.tensorflow
def test_a_residual_net_of_keras_2(shared):
    """ResNet8 of MLPerf Tiny: 12.5 M products, 77,706 parameters once batch norm is folded."""
    model = load_model(shared / "models" / "mlperf_tiny" / "pretrainedResnet.h5")
    assert isinstance(model, FloatModel)
    found = analyze_float(model, load_board("nucleo_l4r5zi"))
    products = [
        442_368,
        2_359_296,
        2_359_296,
        1_179_648,
        2_359_296,
        131_072,
        1_179_648,
        2_359_296,
        131_072,
        640,
    ]
    biases = [16, 16, 16, 32, 32, 32, 64, 64, 64, 10]
    counted = [one.macc for one in found.layers if one.kind in {"Conv2D", "Dense"}]
    assert counted == [p + b + (150 if p == 640 else 0) for p, b in zip(products, biases, strict=True)]
    assert found.totals.parameters == 77_706
    # the first block's second convolution: the shortcut, its own input and output, its column
    assert found.totals.activations_bytes == 4 * (3 * 16 * 1024 + 144)


def test_an_int8_residual_net(shared):
    """The int8 ResNet8 of MLPerf Tiny; needs no TensorFlow."""
    model = load_model(shared / "models" / "mlperf_tiny" / "pretrainedResnet_quant.tflite")
    found = analyze_graph(read_tflite(model.content, model.name), load_board("nucleo_l4r5zi"))
    assert found.kind == "int8"
    products = [
        442_368,
        2_359_296,
        2_359_296,
        1_179_648,
        2_359_296,
        131_072,
        1_179_648,
        2_359_296,
        131_072,
        640,
    ]
    assert [one.macc for one in found.layers if one.macc] == products
    assert found.totals.macc == sum(products)
    assert found.totals.parameters == 77_706  # as the float analysis counts, batch norm folded
    channels = 3 * 16 + 3 * 32 + 3 * 64 + 10
    weights = 77_706 - channels
    # a byte a weight; four for each bias and for each multiplier, and little else
    assert weights + 8 * channels <= found.totals.weights_bytes <= weights + 12 * channels + 1024
    # where the first block adds: shortcut, branch, and the input of the branch's last convolution
    assert found.totals.activations_bytes == 3 * 16 * 1024
    assert found.fit.flash.fits
    assert "nucleo_l4r5zi" in found.fit.boards_that_fit
