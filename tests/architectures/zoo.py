"""Architectures that people deploy, built by Keras with random weights under a fixed seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline.load.frameworks import import_keras

Build = Callable[[Any], Any]
"""Given Keras, the model."""

ARCHITECTURES: dict[str, Build] = {}
SAMPLES = 16


def architecture(build: Build) -> Build:
    """Register a builder under its name."""
    ARCHITECTURES[build.__name__] = build
    return build


def make(name: str) -> tuple[Any, dict[str, np.ndarray]]:
    """The model, and some samples for each of its inputs, by the input's name."""
    keras = import_keras()
    keras.utils.set_random_seed(7)
    rng = np.random.default_rng(7)
    model = ARCHITECTURES[name](keras)
    samples = {
        tensor.name: rng.uniform(-1, 1, (SAMPLES, *tensor.shape[1:])).astype(np.float32)
        for tensor in model.inputs
    }
    settle(keras, model, samples, rng)
    return model, samples


def settle(keras: Any, model: Any, samples: Mapping[str, np.ndarray], rng: np.random.Generator) -> None:
    """Give batch norms the statistics of the samples, as training would, and a gamma and beta of their own.

    Without them activations shrink from layer to layer until nothing is left to compare.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        channels = layer.gamma.shape
        layer.gamma.assign(rng.uniform(0.5, 1.5, channels) * rng.choice([-1, 1, 1, 1], channels))
        layer.beta.assign(rng.normal(0, 0.3, channels))
        layer.momentum = 0.0
    if norms:
        given = list(samples.values())
        model(given if len(given) > 1 else given[0], training=True)


def normalized(k: Any, x: Any, activation: str | None = "relu") -> Any:
    """Batch norm, and an activation behind it."""
    x = k.layers.BatchNormalization()(x)
    return k.layers.Activation(activation)(x) if activation else x


def convolved(
    k: Any, x: Any, filters: int, size: int = 3, strides: int = 1, activation: str | None = "relu"
) -> Any:
    """A convolution without bias, batch norm, activation."""
    x = k.layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
    return normalized(k, x, activation)


def classified(k: Any, source: Any, x: Any, classes: int = 10) -> Any:
    """Global average, dense layer, softmax."""
    x = k.layers.GlobalAveragePooling2D()(x)
    return k.Model(source, k.layers.Dense(classes, activation="softmax")(x))


@architecture
def mobilenet_v1(k: Any) -> Any:
    """MobileNetV1 0.25 at 96 x 96 (Howard et al. 2017), the size of visual wake words."""
    return k.applications.MobileNet((96, 96, 3), alpha=0.25, weights=None, classes=2)


@architecture
def mobilenet_v2(k: Any) -> Any:
    """MobileNetV2 0.35 at 96 x 96 (Sandler et al. 2018)."""
    return k.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10)


@architecture
def mobilenet_v3(k: Any) -> Any:
    """MobileNetV3 small, minimalistic: ReLU and 3 x 3 only (Howard et al. 2019)."""
    return k.applications.MobileNetV3Small(
        (96, 96, 3), alpha=0.5, minimalistic=True, weights=None, classes=10, include_preprocessing=False
    )


@architecture
def efficientnet_lite(k: Any) -> Any:
    """EfficientNet-lite's blocks: expanded, depthwise 3 x 3 or 5 x 5, projected, skip (Tan and Le 2019)."""
    source = k.Input((48, 48, 3), name="image")
    x = convolved(k, source, 8, strides=2, activation="relu6")
    for size, strides, filters in ((3, 1, 8), (5, 2, 16), (5, 1, 16), (3, 2, 24), (5, 1, 24)):
        skip = x
        x = convolved(k, x, 6 * x.shape[-1], 1, activation="relu6")
        x = k.layers.DepthwiseConv2D(size, strides, padding="same", use_bias=False)(x)
        x = normalized(k, x, "relu6")
        x = convolved(k, x, filters, 1, activation=None)
        x = k.layers.Add()([skip, x]) if skip.shape == x.shape else x
    return classified(k, source, convolved(k, x, 64, 1, activation="relu6"))


def resnet(k: Any, filters: tuple[int, ...], blocks: int) -> Any:
    """ResNet for 32 x 32 images (He et al. 2016)."""
    source = k.Input((32, 32, 3), name="image")
    x = convolved(k, source, filters[0])
    for stage, width in enumerate(filters):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            skip = x
            x = convolved(k, x, width, strides=strides)
            x = convolved(k, x, width, activation=None)
            if strides == 2:
                skip = k.layers.Conv2D(width, 1, strides, padding="same")(skip)
            x = k.layers.Activation("relu")(k.layers.Add()([skip, x]))
    return classified(k, source, x)


@architecture
def resnet8(k: Any) -> Any:
    """ResNet8, that of MLPerf Tiny."""
    return resnet(k, (16, 32, 64), 1)


@architecture
def resnet20(k: Any) -> Any:
    """ResNet20."""
    return resnet(k, (16, 32, 64), 3)


@architecture
def densenet(k: Any) -> Any:
    """Dense blocks: batch norm first, every layer reads all before it (Huang et al. 2017)."""
    source = k.Input((32, 32, 3), name="image")
    x = k.layers.Conv2D(16, 3, padding="same", use_bias=False)(source)
    for block in range(2):
        for _ in range(3):
            grown = k.layers.Conv2D(32, 1, use_bias=False)(normalized(k, x))
            grown = k.layers.Conv2D(8, 3, padding="same", use_bias=False)(normalized(k, grown))
            x = k.layers.Concatenate()([x, grown])
        if not block:
            x = k.layers.Conv2D(20, 1, use_bias=False)(normalized(k, x))
            x = k.layers.AveragePooling2D(2)(x)
    return classified(k, source, normalized(k, x))


@architecture
def ds_cnn(k: Any) -> Any:
    """Depthwise separable convolutions over a spectrogram (Zhang et al. 2017): keyword spotting."""
    source = k.Input((49, 10, 1), name="spectrogram")
    x = k.layers.Conv2D(64, (10, 4), 2, padding="same")(source)
    x = normalized(k, x)
    for _ in range(4):
        x = normalized(k, k.layers.DepthwiseConv2D(3, padding="same")(x))
        x = normalized(k, k.layers.Conv2D(64, 1)(x))
    x = k.layers.AveragePooling2D(x.shape[1:3])(k.layers.Dropout(0.4)(x))
    return k.Model(source, k.layers.Dense(12, activation="softmax")(k.layers.Flatten()(x)))


@architecture
def cnn_1d(k: Any) -> Any:
    """Convolutions over 128 readings of a three-axis accelerometer: activity recognition."""
    source = k.Input((128, 3), name="acceleration")
    x = k.layers.Conv1D(16, 5, activation="relu")(source)
    x = k.layers.MaxPooling1D(2)(k.layers.BatchNormalization()(x))
    x = k.layers.SeparableConv1D(32, 5, padding="same", activation="relu")(x)
    x = k.layers.Conv1D(32, 3, dilation_rate=2, padding="causal", activation="relu")(x)
    x = k.layers.GlobalMaxPooling1D()(x)
    return k.Model(source, k.layers.Dense(6, activation="softmax")(x))


@architecture
def autoencoder(k: Any) -> Any:
    """Dense layers around a bottleneck of eight, with batch norm: anomaly detection."""
    x = source = k.Input((640,), name="frames")
    for units in (128, 128, 8, 128, 128):
        x = normalized(k, k.layers.Dense(units)(x))
    return k.Model(source, k.layers.Dense(640)(x))


@architecture
def unet(k: Any) -> Any:
    """U-Net with transposed convolutions and skips (Ronneberger et al. 2015): a mask for each pixel."""
    x = source = k.Input((48, 48, 1), name="image")
    skips = []
    for filters in (8, 16):
        x = convolved(k, convolved(k, x, filters), filters)
        skips.append(x)
        x = k.layers.MaxPooling2D()(x)
    x = convolved(k, x, 32)
    for filters, skip in ((16, skips[1]), (8, skips[0])):
        x = k.layers.Conv2DTranspose(
            filters, 2 if filters == 16 else 3, 2, padding="same", activation="relu"
        )(x)
        x = convolved(k, k.layers.Concatenate()([x, skip]), filters)
    return k.Model(source, k.layers.Conv2D(1, 1, activation="sigmoid")(x))


@architecture
def lstm(k: Any) -> Any:
    """An LSTM over 16 readings of six sensors: gestures."""
    source = k.Input((16, 6), name="motion")
    x = k.layers.LSTM(12)(source)
    return k.Model(source, k.layers.Dense(5, activation="softmax")(x))


@architecture
def gru(k: Any) -> Any:
    """Two GRUs, one upon the other, over twelve readings: a forecast."""
    source = k.Input((12, 4), name="readings")
    x = k.layers.GRU(10)(k.layers.GRU(8, return_sequences=True)(source))
    return k.Model(source, k.layers.Dense(2)(x))


@architecture
def two_inputs(k: Any) -> Any:
    """An image and readings of sensors, joined: two inputs."""
    image = k.Input((24, 24, 1), name="image")
    readings = k.Input((6,), name="readings")
    x = convolved(k, convolved(k, image, 8, strides=2), 16, strides=2)
    x = k.layers.GlobalAveragePooling2D()(x)
    joined = k.layers.Concatenate()([x, k.layers.Dense(8, activation="relu")(readings)])
    x = k.layers.Dense(16, activation="relu")(joined)
    return k.Model([image, readings], k.layers.Dense(4, activation="softmax")(x))


@architecture
def two_outputs(k: Any) -> Any:
    """A trunk with two heads, a class and a box: two outputs, one of which reads what the other writes."""
    image = k.Input((32, 32, 3), name="image")
    x = convolved(k, convolved(k, image, 16, strides=2), 24, strides=2)
    x = k.layers.GlobalAveragePooling2D()(x)
    scores = k.layers.Dense(5, activation="softmax", name="scores")(x)
    box = k.layers.Dense(4, name="box")(k.layers.Concatenate()([x, scores]))
    return k.Model(image, [scores, box])


@architecture
def squeeze_excite(k: Any) -> Any:
    """MobileNetV3's own blocks: hard-swish, 5 x 5, squeeze and excitation (Howard et al. 2019)."""

    def block(x: Any, filters: int, stride: int, expansion: int) -> Any:
        y = k.layers.Conv2D(x.shape[-1] * expansion, 1, use_bias=False)(x)
        y = k.layers.Activation("hard_swish")(k.layers.BatchNormalization()(y))
        y = k.layers.DepthwiseConv2D(5, stride, padding="same", use_bias=False)(y)
        y = k.layers.Activation("hard_swish")(k.layers.BatchNormalization()(y))
        gate = k.layers.GlobalAveragePooling2D(keepdims=True)(y)
        gate = k.layers.Conv2D(max(4, y.shape[-1] // 4), 1, activation="relu")(gate)
        gate = k.layers.Conv2D(y.shape[-1], 1, activation="hard_sigmoid")(gate)
        y = k.layers.Conv2D(filters, 1, use_bias=False)(k.layers.Multiply()([y, gate]))
        y = k.layers.BatchNormalization()(y)
        return k.layers.Add()([x, y]) if x.shape == y.shape else y

    source = k.Input((48, 48, 3), name="image")
    x = k.layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(source)
    x = k.layers.Activation("hard_swish")(k.layers.BatchNormalization()(x))
    for filters, stride, expansion in ((16, 2, 1), (24, 2, 4), (24, 1, 4)):
        x = block(x, filters, stride, expansion)
    x = k.layers.Dense(32, activation="hard_swish")(k.layers.GlobalAveragePooling2D()(x))
    return k.Model(source, k.layers.Dense(5, activation="softmax")(x))


@architecture
def tcn(k: Any) -> Any:
    """A temporal convolutional network: causal and dilated, layer normalization (Bai et al. 2018)."""
    source = k.Input((64, 4), name="readings")
    x = k.layers.Conv1D(16, 1)(source)
    for dilation in (1, 2, 4, 8):
        y = k.layers.Conv1D(16, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
        y = k.layers.LayerNormalization()(y)
        y = k.layers.Conv1D(16, 3, padding="causal", dilation_rate=dilation)(y)
        x = k.layers.Activation("relu")(k.layers.Add()([x, y]))
    return k.Model(source, k.layers.Dense(3, activation="softmax")(x[:, -1, :]))


@architecture
def transformer(k: Any) -> Any:
    """A transformer's encoder: attention of two heads, GELU, layer normalization (Vaswani et al. 2017)."""
    source = k.Input((20, 12), name="readings")
    x = k.layers.Dense(16)(source)
    x = k.layers.LayerNormalization()(k.layers.Add()([x, k.layers.MultiHeadAttention(2, 8)(x, x)]))
    y = k.layers.Dense(16)(k.layers.Dense(32, activation="gelu")(x))
    x = k.layers.LayerNormalization()(k.layers.Add()([x, y]))
    x = k.layers.GlobalAveragePooling1D()(x)
    return k.Model(source, k.layers.Dense(4, activation="softmax")(x))


@architecture
def shufflenet(k: Any) -> Any:
    """Convolutions in groups whose channels are shuffled, group normalization (Zhang et al. 2018)."""

    def shuffled(x: Any, groups: int) -> Any:
        height, width, channels = x.shape[1:]
        x = k.layers.Reshape((height, width, groups, channels // groups))(x)
        return k.layers.Reshape((height, width, channels))(k.layers.Permute((1, 2, 4, 3))(x))

    source = k.Input((32, 32, 3), name="image")
    x = convolved(k, source, 12, strides=2)
    for _ in range(2):
        y = k.layers.Conv2D(12, 1, groups=3)(x)
        y = k.layers.Activation("relu")(k.layers.GroupNormalization(3)(y))
        y = k.layers.DepthwiseConv2D(3, padding="same")(shuffled(y, 3))
        x = k.layers.Activation("relu")(k.layers.Add()([x, k.layers.Conv2D(12, 1, groups=3)(y)]))
    x = k.layers.GlobalAveragePooling2D()(x)
    return k.Model(source, k.layers.Dense(6, activation="softmax")(x))
