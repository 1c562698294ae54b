"""What recipes cost in accuracy, measured: the float model and the integers on the same samples."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from pipeline.load import Samples, TensorSpec
from pipeline.load.samples import spread
from pipeline.metrics import predicted_classes
from pipeline.progress import Progress
from pipeline.quantize.convert import Check, Prepared, apply_recipe
from pipeline.quantize.mixed import costly_layers
from pipeline.quantize.recipe import CALIBRATION_SAMPLES, EPOCHS, RANGES, Recipe
from pipeline.quantize.tflite_graph import TfliteGraph, run_graph, watched_outputs

WITHIN_DB = 0.25
"""Recipes so near to the best are as good, and the one with the fewest cures is taken."""
WIDE_SAMPLES = 1_000
"""On so many a recipe with int16 is measured: TFLite has no fast kernels for it."""
IN_INT16 = (1, 2, 4)
"""So many layers in int16 are worth a try."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How near a file's outputs are to the float model's."""

    sqnr_db: float
    """10 log10 of the float outputs' mean square by that of their difference to the int8 ones, both taken
    before a last softmax, sigmoid or tanh, that would hide what it squashes; of several outputs the worst."""
    same_class: float | None
    """Share of samples for which both predict the same class; of several outputs, that of each. None where
    no output names one: each is one value that is no sigmoid's."""
    accuracy: float | None
    """Of the file, where the samples have labels."""
    float_accuracy: float | None
    """Of the float model on the same samples."""
    samples: int


@dataclass(frozen=True, slots=True, eq=False)
class FloatRun:
    """The float model's outputs on some samples: what files are held against."""

    samples: Samples
    specs: tuple[TensorSpec, ...]
    """Of the model's outputs."""
    outputs: tuple[np.ndarray, ...]
    """float32 (N, ...) each: of the tensors that are compared."""

    def take(self, count: int) -> FloatRun:
        """The same on at most `count` of the samples, evenly spaced."""
        chosen = spread(len(self.samples), count)
        outputs = tuple(output[chosen] for output in self.outputs)
        return replace(self, samples=self.samples.take(count), outputs=outputs)

    @property
    def accuracy(self) -> float | None:
        return self._accuracy(_classes(self.outputs[0]))

    def _accuracy(self, classes: np.ndarray) -> float | None:
        labels = self.samples.labels
        return None if labels is None else float((classes == labels).mean())

    def hold_against(self, tflite: bytes) -> Fidelity:
        """Run a file on the samples, with TFLite's fast kernels.

        They differ from the reference, which the target gives, by units here and there: ten times as many
        samples in the same time tell more about accuracy.
        """
        real = _run(tflite, self.samples)
        same = [
            _classes(a) == _classes(b)
            for spec, a, b in zip(self.specs, self.outputs, real, strict=True)
            if spec.classes != 1
        ]
        return Fidelity(
            sqnr_db=min(sqnr_db(*pair) for pair in zip(self.outputs, real, strict=True)),
            same_class=float(np.logical_and.reduce(same).mean()) if same else None,
            accuracy=self._accuracy(_classes(real[0])),
            float_accuracy=self.accuracy,
            samples=len(self.samples),
        )


def run_float_graph(prepared: Prepared, samples: Samples) -> FloatRun:
    """Run the float graph on all samples."""
    return FloatRun(samples, prepared.model.outputs, _run(prepared.graph, samples))


def _run(content: bytes, samples: Samples) -> tuple[np.ndarray, ...]:
    watched = watched_outputs(TfliteGraph(content))
    runs = list(run_graph(content, samples.x, watched))
    return tuple(np.stack([values[tensor] for values in runs]) for tensor in watched)


@dataclass(frozen=True, slots=True, eq=False)
class Cured:
    """One recipe's file, and how near it is to the float model."""

    recipe: Recipe
    float_tflite: bytes | None
    """What it was made of; None where the model has ranges of its own."""
    tflite: bytes
    words: tuple[str, ...]
    fidelity: Fidelity
    seconds: float
    """That the recipe took to apply."""


def candidates(
    prepared: Prepared, epochs: int = EPOCHS, count: int = CALIBRATION_SAMPLES
) -> tuple[Recipe, ...]:
    """All recipes of int8 that are worth a try; with fine-tuning where there are training samples.

    int16 comes nearer to float than any of them, and costs more on the target than all: nobody but the
    user can say whether it is worth that. Of a model with ranges of its own only the plain one, which
    keeps them.
    """
    if TfliteGraph(prepared.graph).has_own_ranges:
        return (Recipe(samples=count),)
    recipes = tuple(
        Recipe(ranges=ranges, samples=count, equalize=equalized, correct_bias=corrected)
        for equalized in (False, True)
        for ranges in RANGES
        for corrected in (False, True)
    )
    if prepared.training is None:
        return recipes
    return recipes + tuple(
        Recipe(samples=count, equalize=equalized, epochs=epochs) for equalized in (False, True)
    )


def with_costly_layers(prepared: Prepared, cured: Cured, check: Check) -> tuple[Recipe, ...]:
    """An int8 recipe with the layer in int16 that costs most, with the first two, and so on.

    None of a recipe that trains: it teaches weights the roundings of int8.
    """
    if cured.float_tflite is None or cured.recipe.epochs:
        return ()
    costly = costly_layers(cured.tflite, cured.float_tflite, prepared.x, check(cured.tflite))
    counts = [count for count in IN_INT16 if count <= len(costly)]
    return tuple(replace(cured.recipe, layers=costly[:count]) for count in counts)


def compare_recipes(
    prepared: Prepared,
    run: FloatRun,
    recipes: Iterable[Recipe],
    *,
    check: Check | None = None,
    progress: Progress | None = None,
) -> tuple[Cured, ...]:
    """Apply each recipe, in order, and hold its file against the float model; with int16 on fewer samples.

    Raises as `apply_recipe`.
    """
    recipes = list(recipes)
    cured = []
    for number, recipe in enumerate(recipes):
        if progress:
            progress("trying cures", number, len(recipes))
        start = time.monotonic()
        floats, tflite, words = apply_recipe(prepared, recipe, check=check)
        seconds = time.monotonic() - start
        held = run.take(WIDE_SAMPLES) if recipe.is_wide else run
        cured.append(Cured(recipe, floats, tflite, words, held.hold_against(tflite), seconds))
    if progress:
        progress("trying cures", len(recipes), len(recipes))
    return tuple(cured)


def best_of(cured: Iterable[Cured]) -> Cured:
    """Of those that come as near to float as the best does, within a quarter dB, the simplest."""
    cured = list(cured)
    top = max(one.fidelity.sqnr_db for one in cured)
    near = [one for one in cured if one.fidelity.sqnr_db >= top - WITHIN_DB]
    return min(near, key=lambda one: (one.recipe.cures, one.recipe.wide_layers, -one.fidelity.sqnr_db))


def sqnr_db(expected: np.ndarray, real: np.ndarray) -> float:
    """Signal to quantization noise in dB; infinite where nothing differs."""
    noise = float(np.square(real.astype(np.float64) - expected).mean())
    signal = float(np.square(expected.astype(np.float64)).mean())
    return float("inf") if noise == 0 else 10 * float(np.log10(max(signal, 1e-300) / noise))


def _classes(values: np.ndarray) -> np.ndarray:
    """int64 (N,): what values before a squashing operator name; a sigmoid makes one half of 0."""
    return predicted_classes(values, half=0.0)
