"""Train the reference network on CIFAR-10.

    python models/cifar10_cnn/train.py --data cifar10.npz

The seed fixes the initial weights, the order of the images and their augmentation. The last bits
of the result still depend on the machine, since the order of float additions does.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from architecture import build_network  # noqa: E402  (this folder is no package)

SEED = 20


def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift each image by up to 4 pixels (mirrored edges), flip half of them, erase a square.

    (N, 32, 32, 3) to the same shape; the erased square is 8x8 and filled with mid-grey.
    """
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    tops, lefts = rng.integers(0, 9, (2, count))
    flips = rng.random(count) < 0.5
    rows = tops[:, None] + np.arange(height)
    columns = lefts[:, None] + np.arange(width)
    columns[flips] = columns[flips, ::-1]
    shifted = padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    for image, top, left in zip(shifted, *rng.integers(-4, 29, (2, count)), strict=True):
        image[max(top, 0) : top + 8, max(left, 0) : left + 8] = 0.5
    return shifted


def batches(images: np.ndarray, labels: np.ndarray, batch: int, seed: int) -> Any:
    """Augmented, shuffled training batches as a Keras data set; batch `i` of epoch `e` is always the same."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__(workers=1)
            self.epoch = 0
            self.on_epoch_end()

        def on_epoch_end(self) -> None:
            self.order = np.random.default_rng((seed, self.epoch)).permutation(len(images))
            self.epoch += 1

        def __len__(self) -> int:
            return len(images) // batch

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = self.order[index * batch : (index + 1) * batch]
            rng = np.random.default_rng((seed, self.epoch, index))
            return augment(images[chosen].astype(np.float32) / 255, rng), labels[chosen]

    return Batches()


def train(
    images: np.ndarray, labels: np.ndarray, epochs: int, batch: int, seed: int, bfloat16: bool
) -> Any:
    """Train on uint8 images (N, 32, 32, 3) and labels (N,); returns the network without Dropout, in float32."""
    import keras

    keras.utils.set_random_seed(seed)
    if bfloat16:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    network = build_network(dropout=(0.1, 0.3))
    steps = epochs * (len(images) // batch)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps, warmup_target=2e-3, warmup_steps=steps // epochs
    )
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=5e-3),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
        metrics=["accuracy"],
        jit_compile=False,
    )
    one_hot = np.eye(10, dtype=np.float32)[labels]
    interactive = sys.stdout.isatty()
    network.fit(
        batches(images, one_hot, batch, seed), epochs=epochs, verbose=1 if interactive else 2
    )
    keras.mixed_precision.set_global_policy("float32")
    plain = build_network()
    plain.set_weights(network.get_weights())
    return plain


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="training images: a file or folder (default: the Keras download)")
    parser.add_argument("--epochs", type=int, default=36)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--bfloat16", action="store_true", help="compute in bfloat16 (faster where the CPU has it)")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "cifar10_cnn.keras")
    arguments = parser.parse_args()

    with np.load(arguments.data) as archive:
        images, labels = archive["x"], archive["y"].reshape(-1)
    network = train(images, labels, arguments.epochs, arguments.batch, arguments.seed, arguments.bfloat16)
    network.save(arguments.output)
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
