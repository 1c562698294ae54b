"""Train the small MobileNets on CIFAR-10, for a few minutes each.

    python models/mobilenets/train.py v1 --data train.npz

They are made to show what int8 costs a MobileNet, not to be the best ones: eight epochs reach 71 to 74 %.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from architecture import build_mobilenet_v1, build_mobilenet_v2

HERE = Path(__file__).resolve().parent
BUILDERS = {"v1": build_mobilenet_v1, "v2": build_mobilenet_v2}
SEED = 1
BATCH = 128


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("version", choices=sorted(BUILDERS))
    parser.add_argument("--data", type=Path, required=True, help=".npz with x, uint8 (N, 32, 32, 3), and y")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument(
        "-o", "--output", type=Path, help="default: mobilenet_<version>.keras beside this file"
    )
    arguments = parser.parse_args()

    import keras

    keras.utils.set_random_seed(SEED)
    with np.load(arguments.data) as data:
        x, y = data["x"], data["y"].astype(np.int64)
    network = BUILDERS[arguments.version]()
    steps = arguments.epochs * (len(x) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps, warmup_target=4e-3, warmup_steps=steps // 10)
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-2),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    rng = np.random.default_rng(0)
    for epoch in range(arguments.epochs):
        order = rng.permutation(len(x))
        for number in range(len(x) // BATCH):
            chosen = order[number * BATCH : (number + 1) * BATCH]
            loss, accuracy = network.train_on_batch(augment(x[chosen], rng), y[chosen])
        print(f"epoch {epoch + 1} of {arguments.epochs}: loss {loss:.3f}, accuracy {accuracy:.3f}")
    output = arguments.output or HERE / f"mobilenet_{arguments.version}.keras"
    network.save(output, include_optimizer=False)
    print(f"wrote {output}")
    return 0


def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32 of bytes, a batch at a time: mirrored or not, shifted by up to three pixels."""
    batch = images.astype(np.float32) / 255
    if rng.random() < 0.5:
        batch = batch[:, :, ::-1]
    padded = np.pad(batch, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    top, left = rng.integers(0, 7, 2)
    shifted: np.ndarray = padded[:, top : top + 32, left : left + 32]
    return shifted


if __name__ == "__main__":
    raise SystemExit(main())
