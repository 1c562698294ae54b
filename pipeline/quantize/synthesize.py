"""Calibration samples made out of the network itself, where there are no data.

Each batch norm remembers the mean and the standard deviation of what passed through it in training.
Starting from noise, the samples are optimized until they cause the same statistics in every batch norm.
Where the network classifies, a little cross-entropy to labels dealt out evenly keeps all outputs in use;
of images a little total variation keeps neighbouring pixels alike, as in photographs.

Such samples tell how far activations reach, which is what calibration asks. They tell nothing of accuracy.

Source: Y. Cai, Z. Yao, Z. Dong, A. Gholami, M. W. Mahoney, K. Keutzer, "ZeroQ: A Novel Zero Shot
Quantization Framework", CVPR 2020 (distilled data, section 3.1); labels and total variation added here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from pipeline.errors import ModelNotSupported
from pipeline.load import FloatModel, Preprocessing
from pipeline.load.frameworks import captured_stderr, import_keras, import_legacy_keras, import_tensorflow
from pipeline.load.keras_model import functional_graph
from pipeline.load.plausible import refuse_implausible
from pipeline.load.samples import default_preprocessing
from pipeline.progress import Progress
from pipeline.quantize.fold import clone_in_float32

IMAGES = 64
STEPS = 300
SEED = 20
# Of the distance between the smallest and the largest value of an image; of anything else, in itself.
LEARNING_RATE = 0.02
LABEL_WEIGHT = 0.1
VARIATION_WEIGHT = 0.5
WAY_OUT = "name samples such as the model was trained on: --samples data.npz; a few dozen are enough"


@dataclass(frozen=True, slots=True, eq=False)
class Synthesized:
    """Samples, and how near they come."""

    arrays: tuple[np.ndarray, ...]
    """(N, ...) for each input, as a file holds them: uint8 of images, else float32."""
    norms: int
    """Batch norms whose statistics were met."""
    mismatch_before: float
    mismatch_after: float
    """Mean over batch norms and channels of the squared distance of means and standard deviations, each in
    standard deviations; of noise, and of the samples."""


def synthesize(
    model: FloatModel,
    declared: Mapping[str, Preprocessing] = MappingProxyType({}),
    *,
    images: int = IMAGES,
    steps: int = STEPS,
    progress: Progress | None = None,
) -> Synthesized:
    """Make samples for a Keras model with batch norm; the last bits depend on the machine.

    An input with three or four channels is taken for an image of bytes that its preprocessing (by default a
    division by 255, unless the model scales by itself) turns into the model's numbers, and so is any input
    of which one is `declared`. Other inputs start as standard normal noise and have no bounds.

    Raises ModelNotSupported E_NO_STATISTICS where there is no trained batch norm, and UsageError
    E_SAMPLES_RANGE where the model was trained on numbers of another scale.
    """
    if model.api == "saved_model":
        raise ModelNotSupported(
            "a SavedModel keeps no batch norms, whose statistics samples could be made from",
            code="E_NO_STATISTICS",
            where=model.path,
            hint=f"give the .keras or .h5 file, or {WAY_OUT}",
        )
    tensorflow = import_tensorflow()
    keras = import_keras() if model.api == "keras" else import_legacy_keras()
    live = clone_in_float32(model)
    norms = [layer for layer in _layers(live) if _has_statistics(layer)]
    if not norms:
        raise ModelNotSupported(
            "the model has no trained batch norm, whose statistics samples could be made from",
            code="E_NO_STATISTICS",
            where=model.path,
            hint=WAY_OUT,
        )
    seen: list[tuple[_Statistics, Any]] = []
    for norm in norms:
        _record(norm, seen)
    borders = [
        _Border.of(model, index, declared.get(model.inputs[index].name)) for index in range(len(model.inputs))
    ]
    rng = np.random.default_rng(SEED)
    x = [tensorflow.Variable(border.noise(rng, images)) for border in borders]
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    labels = np.arange(images) % model.output_shape[-1] if _classifies(live, x) else None

    def run() -> tuple[Any, Any]:
        """(mismatch of statistics, all that is minimized)"""
        seen.clear()
        scaled = [border.scaled(value) for border, value in zip(borders, x, strict=True)]
        outputs = tensorflow.nest.flatten(live(_packed(live, scaled), training=False))
        mismatch = tensorflow.reduce_mean([held.mismatch(values) for held, values in seen])
        loss = mismatch
        if labels is not None:
            entropy = keras.losses.sparse_categorical_crossentropy(labels, outputs[0])
            loss += LABEL_WEIGHT * tensorflow.reduce_mean(entropy)
        for border, value in zip(borders, x, strict=True):
            if border.bounded:
                variation = tensorflow.image.total_variation(value) / np.prod(value.shape[1:])
                loss += VARIATION_WEIGHT * tensorflow.reduce_mean(variation)
        return mismatch, loss

    @tensorflow.function  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tensorflow.GradientTape() as tape:
            mismatch, loss = run()
        optimizer.apply_gradients(zip(tape.gradient(loss, x), x, strict=True))
        for border, value in zip(borders, x, strict=True):
            if border.bounded:
                value.assign(tensorflow.clip_by_value(value, 0.0, 1.0))
        return mismatch

    with captured_stderr():
        optimizer.build(x)
        before = float(step())
        for number in range(1, steps):
            step()
            if progress:
                progress("making samples", number + 1, steps)
        after = float(run()[0])
    if not declared and len(borders) == 1:
        # Of the wrong scale no samples come near the statistics.
        found = np.asarray(borders[0].scaled(x[0]), np.float32)
        refuse_implausible(model, found, borders[0].preprocessing.scale, str(model.path))
    arrays = tuple(border.stored(value.numpy()) for border, value in zip(borders, x, strict=True))
    return Synthesized(arrays, len(norms), before, after)


@dataclass(frozen=True, slots=True)
class _Border:
    """One input: how the optimized numbers become what the model takes, and what a file holds."""

    shape: tuple[int, ...]
    bounded: bool
    """An image: optimized from 0 to 1, stored as bytes."""
    preprocessing: Preprocessing

    @classmethod
    def of(cls, model: FloatModel, index: int, declared: Preprocessing | None) -> _Border:
        spec = model.inputs[index]
        bounded = declared is not None or (len(spec.shape) == 3 and spec.shape[-1] in (3, 4))
        bounded = bounded and len(spec.shape) == 3
        usual = default_preprocessing(model, spec) if bounded else Preprocessing()
        return cls(spec.shape, bounded, declared or usual)

    def noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """float32 (count, *shape)"""
        shape = (count, *self.shape)
        values = rng.uniform(0, 1, shape) if self.bounded else rng.normal(size=shape)
        return values.astype(np.float32)

    def scaled(self, value: Any) -> Any:
        if not self.bounded:
            return value
        value = value[..., ::-1] if self.preprocessing.bgr else value
        return value * (255 * self.preprocessing.scale) + self.preprocessing.offset

    def stored(self, value: np.ndarray) -> np.ndarray:
        return np.round(value * 255).astype(np.uint8) if self.bounded else value


def _layers(live: Any) -> Iterator[Any]:
    for layer in live.layers:
        if functional_graph(layer) is not None:
            yield from _layers(layer)
        else:
            yield layer


def _has_statistics(layer: Any) -> bool:
    """Whether it is a batch norm over the last axis that has seen data."""
    if type(layer).__name__ != "BatchNormalization":
        return False
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    return mean.ndim == 1 and not ((variance == 1).all() and (mean == 0).all())


@dataclass(frozen=True, slots=True, eq=False)
class _Statistics:
    """What a batch norm remembers of its input, float32 (channels,) each."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, norm: Any) -> _Statistics:
        return cls(
            np.asarray(norm.moving_mean, np.float32), np.sqrt(np.asarray(norm.moving_variance, np.float32))
        )

    def mismatch(self, values: Any) -> Any:
        """Squared distance of the values' mean and standard deviation, in standard deviations."""
        tensorflow = import_tensorflow()
        # Channels that hardly vary would drown all others.
        unit = np.maximum(self.deviation, 0.1 * self.deviation.mean()) + 1e-6
        mean, variance = tensorflow.nn.moments(values, axes=list(range(len(values.shape) - 1)))
        distance = tensorflow.square((mean - self.mean) / unit)
        distance += tensorflow.square((tensorflow.sqrt(variance + 1e-9) - self.deviation) / unit)
        return tensorflow.reduce_mean(distance)


def _record(norm: Any, seen: list[tuple[_Statistics, Any]]) -> None:
    """Have the layer note what it is given, each time that it runs."""
    plain, held = norm.call, _Statistics.of(norm)

    def call(inputs: Any, *arguments: Any, **options: Any) -> Any:
        seen.append((held, inputs))
        return plain(inputs, *arguments, **options)

    norm.call = call


def _packed(live: Any, values: list[Any]) -> Any:
    return import_tensorflow().nest.pack_sequence_as(functional_graph(live).input, values)


def _classifies(live: Any, x: list[Any]) -> bool:
    """Whether the single output is a distribution over classes."""
    outputs = import_tensorflow().nest.flatten(live(_packed(live, x), training=False))
    values = np.asarray(outputs[0])
    if len(outputs) != 1 or values.ndim != 2 or values.shape[1] < 2:
        return False
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3))
