"""A network of int16 activations (16x8), converted by TensorFlow: bit-exact on the host and in simulators."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.config import Settings
from pipeline.deploy import deploy
from pipeline.operators import INT16_FORMS
from pipeline.operators.convolution import Convolution
from pipeline.passes import apply_passes
from pipeline.read_tflite import read_tflite

pytestmark = [pytest.mark.tensorflow, pytest.mark.simulator, pytest.mark.toolchain]

SHAPE = (16, 16, 3)


def quiet(stage, done, total):
    pass


def network(keras):
    """Every kind of layer that has kernels of int16."""
    layers = keras.layers
    keras.utils.set_random_seed(7)
    image = keras.Input(batch_shape=(1, *SHAPE))
    x = layers.Conv2D(8, 3, padding="same", activation="relu6")(image)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, strides=2)(x))
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(8, 1)(x)]))
    x = layers.AveragePooling2D(2)(layers.MaxPooling2D(2, 1)(x))
    x = layers.MaxPooling2D(2)(layers.Conv2D(8, 3, padding="same")(layers.ZeroPadding2D(2)(x)))
    branches = [layers.Conv2D(5, 3, padding="same", activation=name)(x) for name in ("sigmoid", "tanh")]
    slope = layers.LeakyReLU(negative_slope=0.2)(layers.Conv2D(5, 3, dilation_rate=2, padding="same")(x))
    x = layers.Concatenate()([x, *branches, slope])
    x = layers.Multiply()([x, layers.Conv2D(23, 1)(x)])
    x = layers.Subtract()([x, layers.Conv2D(23, 1)(layers.Permute((2, 1, 3))(x))])
    wide = layers.Conv2DTranspose(6, 3, strides=2, padding="same")(x)
    wide = layers.UpSampling2D(interpolation="bilinear")(wide)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(wide)])
    x = layers.Reshape((1, 29))(x)
    x = layers.Dense(10)(layers.Dense(9, activation="relu")(x))
    return keras.Model(image, layers.Softmax()(layers.Flatten()(x)), name="wide")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).normal(0, 1.3, (40, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory, images):
    """The network with int16 at its border, and with float32."""
    import keras
    import tensorflow as tf

    model, found = network(keras), {}
    for border in ("int16", "float32"):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(border)
        found[border] = tmp_path_factory.mktemp(border) / "wide.tflite"
        found[border].write_bytes(converter.convert())
    return found


def test_all_layers_are_of_int16(files):
    graph = read_tflite(files["int16"].read_bytes(), "wide")
    made = {graph.tensors[node.output].dtype for node in graph.nodes}
    assert made == {"int16"}
    wide = {node.op.tflite_name for node in graph.nodes if node.op.element == "int16"}
    assert wide >= {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "SUB", "MEAN", "SOFTMAX"}
    assert wide >= {"MAX_POOL_2D", "AVERAGE_POOL_2D", "LOGISTIC", "TANH", "LEAKY_RELU", "QUANTIZE"}
    assert wide >= {"TRANSPOSE_CONV", "RESIZE_BILINEAR", "REDUCE_MAX"}
    assert wide <= INT16_FORMS.keys()


def test_padding_pooling_and_clamps_are_fused(files):
    """As of int8; that no bit changes is what the others say."""
    rewritten, _ = apply_passes(read_tflite(files["int16"].read_bytes(), "wide"))
    left = [node.op for node in rewritten.nodes]
    assert not {"PAD", "RELU", "RELU6", "MINIMUM"} & {op.tflite_name for op in left}
    assert any(isinstance(op, Convolution) and op.pool for op in left)


@pytest.mark.parametrize("board", ["host", "qemu_mps2_an386", "nucleo_l4r5zi"])
@pytest.mark.parametrize("border", ["int16", "float32"])
def test_every_output_is_exact(files, images, tmp_path, board, border):
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=images[:6])
    settings = Settings(
        model=files[border], board=board, samples=samples, output=tmp_path / "out",
        estimate_for="none", inferences=6,
    )  # fmt: skip
    deploy(settings, quiet)
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert figures["outputs"]["elements"] == 6 * 10
    assert figures["outputs"]["differing_elements"] == 0
    assert figures["model"]["inputs"][0]["bytes"] == 16 * 16 * 3 * (2 if border == "int16" else 4)


@pytest.mark.parametrize(
    ("board", "border"), [("host", "float32"), ("qemu_mps2_an386", None), ("nucleo_l4r5zi", None)]
)
def test_layers_in_int16_within_an_int8_model(images, tmp_path, board, border):
    import keras

    network(keras).save(tmp_path / "mixed.keras")
    np.savez(tmp_path / "samples.npz", x=images)
    settings = Settings(
        model=tmp_path / "mixed.keras", board=board, samples=tmp_path / "samples.npz",
        recipe="equalize+mse+int16=worst:6+bias",
        input_type=border, output_type=border, output=tmp_path / "out", estimate_for="none", inferences=4,
    )  # fmt: skip
    deploy(settings, quiet)
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert figures["quantization"]["recipe"] == settings.recipe
    assert figures["outputs"]["elements"] == 4 * 10
    assert figures["outputs"]["differing_elements"] == 0
    (kept,) = [line for line in figures["quantization"]["rewrites"] if line.startswith("kept in int16: ")]
    assert len(kept.split(", ")) == 6


def test_a_keras_model_by_the_recipe(images, tmp_path):
    import keras

    network(keras).save(tmp_path / "wide.keras")
    np.savez(tmp_path / "samples.npz", x=images)
    settings = Settings(
        model=tmp_path / "wide.keras", board="host", samples=tmp_path / "samples.npz", recipe="int16+bias",
        output=tmp_path / "out", estimate_for="none", inferences=4,
    )  # fmt: skip
    deploy(settings, quiet)
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert figures["quantization"]["recipe"] == "int16+bias"
    assert figures["outputs"]["elements"] == 4 * 10
    assert figures["outputs"]["differing_elements"] == 0
    assert figures["agreement"]["same_class"] == 1
