"""The reference network: six convolutions and three dense layers for CIFAR-10.

Every convolution is followed by its ReLU and then by batch normalisation, in this order, so the
normalisation cannot be folded into the convolution by the textbook formula: see
`pipeline/quantize.py` for the exact fold.
"""

from __future__ import annotations

from typing import Any

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

INPUT_SHAPE = (32, 32, 3)

# (filters, a 2x2 max-pooling follows)
CONVOLUTIONS = ((32, False), (32, True), (64, False), (64, True), (128, True), (128, True))


def build_network(dropout: tuple[float, float] = (0.0, 0.0)) -> Any:
    """Build the network, uninitialised by training: input (N, 32, 32, 3) in [0, 1], output (N, 10).

    `dropout` gives the rates behind each pooling and behind each hidden dense layer. At 0 no
    Dropout layer is made; weights move between the two forms in order, because Dropout has none.
    """
    import keras
    from keras import layers

    after_pool, after_dense = dropout
    x = inputs = keras.Input(INPUT_SHAPE, name="image")
    for index, (filters, pooled) in enumerate(CONVOLUTIONS):
        suffix = f"_{index}" if index else ""
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv2d{suffix}")(x)
        x = layers.BatchNormalization(name=f"batch_normalization{suffix}")(x)
        if pooled:
            x = layers.MaxPooling2D(name=f"max_pooling2d_{index}")(x)
            if after_pool:
                x = layers.Dropout(after_pool)(x)
    x = layers.Flatten(name="flatten")(x)
    for units, name in ((1024, "dense"), (512, "dense_1")):
        x = layers.Dense(units, activation="relu", name=name)(x)
        if after_dense:
            x = layers.Dropout(after_dense)(x)
    # float32 also where training runs in mixed precision
    outputs = layers.Dense(len(CLASSES), activation="softmax", name="dense_2", dtype="float32")(x)
    return keras.Model(inputs, outputs, name="cifar10_cnn")
