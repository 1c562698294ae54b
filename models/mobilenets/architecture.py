"""MobileNetV1 and MobileNetV2 for pictures of 32 x 32: fewer strides, narrow, textbook order otherwise.

Every convolution is followed by batch norm and ReLU6, but the last of each inverted residual block, which
stays linear. Sources: A. G. Howard et al., "MobileNets", 2017; M. Sandler et al., "MobileNetV2", CVPR 2018.
"""

from __future__ import annotations

from typing import Any

CLASSES = 10
INPUT_SHAPE = (32, 32, 3)
# (filters at width 1, stride) of each depthwise separable convolution
SEPARABLE = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1),
    (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
# (expansion, filters at width 1, repetitions, stride of the first) of each inverted residual block
INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2), (6, 64, 3, 2), (6, 96, 2, 1))
HEAD = 256


def build_mobilenet_v1(width: float = 0.25) -> Any:
    """Untrained: input (N, 32, 32, 3) in [0, 1], output (N, 10)."""
    import keras

    x = inputs = keras.Input(INPUT_SHAPE, name="image")
    x = _convolution(x, max(8, int(32 * width)), 3, "stem")
    for index, (filters, stride) in enumerate(SEPARABLE):
        x = _depthwise(x, stride, f"depthwise_{index}")
        x = _convolution(x, max(8, int(filters * width)), 1, f"pointwise_{index}")
    return keras.Model(inputs, _classifier(x), name="mobilenet_v1")


def build_mobilenet_v2(width: float = 0.35) -> Any:
    """Untrained: input (N, 32, 32, 3) in [0, 1], output (N, 10)."""
    import keras

    def narrowed(filters: int) -> int:
        return max(8, int(filters * width + 4) // 8 * 8)

    x = inputs = keras.Input(INPUT_SHAPE, name="image")
    x = _convolution(x, narrowed(32), 3, "stem")
    index = 0
    for expansion, filters, repetitions, stride in INVERTED:
        for repetition in range(repetitions):
            y = x
            if expansion > 1:
                y = _convolution(y, x.shape[-1] * expansion, 1, f"expand_{index}")
            y = _depthwise(y, stride if repetition == 0 else 1, f"depthwise_{index}")
            y = _convolution(y, narrowed(filters), 1, f"project_{index}", activated=False)
            x = keras.layers.Add(name=f"add_{index}")([x, y]) if repetition else y
            index += 1
    x = _convolution(x, HEAD, 1, "head")
    return keras.Model(inputs, _classifier(x), name="mobilenet_v2")


def _convolution(x: Any, filters: int, window: int, name: str, *, activated: bool = True) -> Any:
    from keras import layers

    x = layers.Conv2D(filters, window, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activated else x


def _depthwise(x: Any, stride: int, name: str) -> Any:
    from keras import layers

    x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _classifier(x: Any) -> Any:
    from keras import layers

    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(CLASSES, activation="softmax", name="dense")(x)
