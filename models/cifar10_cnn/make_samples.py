"""Make calibration images out of the network's own batch-norm statistics; no data set is read.

    python models/cifar10_cnn/make_samples.py

Each batch norm remembers the mean and the standard deviation of what passed through it in training.
Starting from noise, the pixels are optimized until the images cause the same statistics in every layer;
a little cross-entropy to labels dealt out evenly keeps all outputs in use, and a little total variation
keeps neighbouring pixels alike, as in photographs.

Source: Y. Cai, Z. Yao, Z. Dong, A. Gholami, M. W. Mahoney, K. Keutzer, "ZeroQ: A Novel Zero Shot
Quantization Framework", CVPR 2020 (distilled data, section 3.1); labels and total variation added here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from architecture import CLASSES, INPUT_SHAPE  # noqa: E402  (this folder is no package)

from pipeline.load import load_model  # noqa: E402
from pipeline.load.frameworks import import_tensorflow  # noqa: E402

SEED = 20
IMAGES = 64
STEPS = 300
LEARNING_RATE = 0.02
LABEL_WEIGHT = 0.1
VARIATION_WEIGHT = 0.5
ORIGIN = "offline set: {} images made from the network's batch-norm statistics"


def make_images(network: Any, images: int, steps: int, seed: int) -> np.ndarray:
    """uint8 (images, 32, 32, 3), optimized for `steps` steps; the last bits depend on the machine."""
    tensorflow = import_tensorflow()
    import keras

    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    probe = keras.Model(network.input, [*(norm.input for norm in norms), network.output])
    wanted = [(norm.moving_mean.numpy(), np.sqrt(norm.moving_variance.numpy())) for norm in norms]
    labels = np.arange(images) % len(CLASSES)
    noise = np.random.default_rng(seed).uniform(0, 1, (images, *INPUT_SHAPE)).astype(np.float32)
    pixels = tensorflow.Variable(noise)
    optimizer = keras.optimizers.Adam(LEARNING_RATE)

    @tensorflow.function
    def step() -> Any:
        with tensorflow.GradientTape() as tape:
            *inner, probabilities = probe(pixels, training=False)
            loss = LABEL_WEIGHT * tensorflow.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(labels, probabilities)
            )
            loss += VARIATION_WEIGHT * tensorflow.reduce_mean(
                tensorflow.image.total_variation(pixels) / np.prod(INPUT_SHAPE)
            )
            for (mean, deviation), values in zip(wanted, inner, strict=True):
                seen_mean, seen_variance = tensorflow.nn.moments(values, axes=[0, 1, 2])
                loss += tensorflow.reduce_mean((seen_mean - mean) ** 2)
                loss += tensorflow.reduce_mean((tensorflow.sqrt(seen_variance + 1e-6) - deviation) ** 2)
        (gradient,) = tape.gradient(loss, [pixels])
        optimizer.apply([gradient], [pixels])
        pixels.assign(tensorflow.clip_by_value(pixels, 0.0, 1.0))
        return loss

    for number in range(1, steps + 1):
        loss = float(step())
        if number % 10 == 0 or number == steps:
            print(f"\rstep {number} of {steps}, loss {loss:.4f}", end="", flush=True)
    print()
    return np.round(pixels.numpy() * 255).astype(np.uint8)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=HERE / "cifar10_cnn.keras")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("-o", "--output", type=Path, help="default: <model>_samples.npz beside the model")
    arguments = parser.parse_args()

    output = arguments.output or arguments.model.with_name(f"{arguments.model.stem}_samples.npz")
    model = load_model(arguments.model)
    images = make_images(model.live, arguments.images, arguments.steps, arguments.seed)
    np.savez_compressed(
        output, x=images, classes=np.array(CLASSES), origin=np.array(ORIGIN.format(len(images)))
    )
    print(f"wrote {output}, {output.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
