"""Train the reference network on CIFAR-10.

    python models/cifar10_cnn/train.py --data cifar10.npz

The seed fixes the initial weights, the order of the images and their augmentation. The last bits
of the result still depend on the machine, since the order of float additions does.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from architecture import CLASSES, INPUT_SHAPE, build_network  # noqa: E402  (this folder is no package)

from pipeline.errors import PipelineError  # noqa: E402
from pipeline.load.cifar10 import is_cifar10_folder, read_cifar10_training  # noqa: E402
from pipeline.load.frameworks import import_keras  # noqa: E402
from pipeline.load.sources import read_source  # noqa: E402

SEED = 20


def training_images(source: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 32, 32, 3) and labels (N,): of a file or folder, else as Keras downloads them."""
    if source is None:
        (images, labels), _ = import_keras().datasets.cifar10.load_data()
        return images, labels.reshape(-1)
    if source.is_dir() and is_cifar10_folder(source):
        return read_cifar10_training(source)
    raw = read_source(source, INPUT_SHAPE)
    images = raw.x if raw.calibration is None else raw.calibration
    if raw.labels is None or images.shape[1:] != INPUT_SHAPE or images.dtype != np.uint8:
        raise SystemExit(f"{source}: expected uint8 images (N, 32, 32, 3) with labels")
    if len(raw.labels) != len(images):
        raise SystemExit(f"{source}: holds a test set as well; give a file of the training set, as x and y")
    return images, raw.labels.reshape(-1)


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
    """Augmented, shuffled training batches; batch `i` of epoch `e` is always the same."""
    keras = import_keras()

    class Batches(keras.utils.PyDataset):  # type: ignore[misc, name-defined]
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
) -> tuple[Any, dict[str, list[float]]]:
    """Train on uint8 images (N, 32, 32, 3) and labels (N,).

    Returns the network without Dropout, in float32, and the loss and accuracy after each epoch.
    """
    keras = import_keras()
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
    one_hot = np.eye(len(CLASSES), dtype=np.float32)[labels]
    record = network.fit(
        batches(images, one_hot, batch, seed), epochs=epochs, verbose=1 if sys.stdout.isatty() else 2
    )
    keras.mixed_precision.set_global_policy("float32")
    plain = build_network()
    plain.set_weights(network.get_weights())
    return plain, record.history


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="training images: .npz with x and y, or cifar-10-batches-py (default: the Keras download)",
    )
    parser.add_argument("--epochs", type=int, default=36)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--bfloat16", action="store_true", help="compute in bfloat16 (faster where the CPU has it)"
    )
    parser.add_argument("-o", "--output", type=Path, default=HERE / "cifar10_cnn.keras")
    arguments = parser.parse_args()

    try:
        images, labels = training_images(arguments.data)
    except PipelineError as error:
        raise SystemExit(str(error)) from error
    start = time.monotonic()
    network, history = train(
        images, labels, arguments.epochs, arguments.batch, arguments.seed, arguments.bfloat16
    )
    network.save(arguments.output)
    keras = import_keras()
    record = {
        "command": shlex.join(["python", "models/cifar10_cnn/train.py", *_plain(sys.argv[1:])]),
        "images": len(images),
        "epochs": arguments.epochs,
        "batch": arguments.batch,
        "seed": arguments.seed,
        "bfloat16": arguments.bfloat16,
        "minutes": round((time.monotonic() - start) / 60),
        "keras": keras.__version__,
        "training_accuracy": [round(value, 4) for value in history["accuracy"]],
        "training_loss": [round(value, 4) for value in history["loss"]],
    }
    arguments.output.with_name("training.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"wrote {arguments.output} and training.json")
    return 0


def _plain(arguments: list[str]) -> list[str]:
    """Paths without their folders, which mean nothing on another machine."""
    return [Path(word).name if "/" in word else word for word in arguments]


if __name__ == "__main__":
    sys.exit(main())
