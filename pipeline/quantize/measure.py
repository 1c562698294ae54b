"""What recipes cost in accuracy, measured: the float model and the integers on the same samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.load import Progress, Samples
from pipeline.quantize.convert import Prepared, apply_recipe
from pipeline.quantize.recipe import Recipe
from pipeline.quantize.tflite_graph import Operator, TfliteGraph, run_graph
from pipeline.tensors import Values

SQUASHING = frozenset({Operator.SOFTMAX, Operator.LOGISTIC, Operator.TANH})
WITHIN_DB = 0.25
"""Recipes so near to the best are as good, and the one with the fewest cures is taken."""
CANDIDATES = tuple(
    Recipe(ranges=ranges, equalize=equalized, correct_bias=corrected)
    for equalized in (False, True)
    for ranges in ("minmax", "percentile", "mse")
    for corrected in (False, True)
)


@dataclass(frozen=True, slots=True, eq=False)
class Cured:
    """One recipe's file, and how far it is from the float model."""

    recipe: Recipe
    tflite: bytes
    words: tuple[str, ...]
    sqnr_db: float
    """10 log10 of the float outputs' mean square by that of their difference to the int8 ones, both taken
    before a last softmax, sigmoid or tanh, which would hide what it squashes."""
    same_class: float
    """Share of samples for which both predict the same class."""
    accuracy: float | None
    """Of int8, where the samples have labels."""
    seconds: float
    """That the recipe took to apply."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Recipes side by side, in the order in which they were tried."""

    samples: int
    float_accuracy: float | None
    cured: tuple[Cured, ...]

    @property
    def best(self) -> Cured:
        """Of those that come as near to float as the best does, within a quarter dB, the simplest."""
        top = max(one.sqnr_db for one in self.cured)
        near = [one for one in self.cured if one.sqnr_db >= top - WITHIN_DB]
        return min(near, key=lambda one: (one.recipe.cures, -one.sqnr_db))


def compare_recipes(
    prepared: Prepared,
    samples: Samples,
    recipes: Iterable[Recipe] = CANDIDATES,
    *,
    check: Callable[[bytes], object] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Apply each recipe and run it on the samples, with TFLite's reference kernels as the target does.

    Raises as `apply_recipe`.
    """
    recipes = list(recipes)
    graph = TfliteGraph(prepared.graph)
    watched = watched_output(graph)
    expected = np.stack([values[watched] for values in run_graph(prepared.graph, samples.x, [watched])])
    classes = _classes(expected)
    cured = []
    for number, recipe in enumerate(recipes):
        if progress:
            progress("trying cures", number, len(recipes))
        start = time.monotonic()
        _, tflite, words = apply_recipe(prepared, recipe, check=check)
        seconds = time.monotonic() - start
        real = _run_to(tflite, graph.name(watched), samples.x)
        found = _classes(real)
        accuracy = None if samples.labels is None else float((found == samples.labels).mean())
        same = float((found == classes).mean())
        cured.append(Cured(recipe, tflite, words, sqnr_db(expected, real), same, accuracy, seconds))
    if progress:
        progress("trying cures", len(recipes), len(recipes))
    float_accuracy = None if samples.labels is None else float((classes == samples.labels).mean())
    return Comparison(len(samples.x), float_accuracy, tuple(cured))


def watched_output(graph: TfliteGraph) -> int:
    """The tensor whose values are compared: the output, or what a last squashing operator reads."""
    output = int(graph.subgraph.outputs[0])
    for operator in graph.operators:
        if int(operator.outputs[0]) == output and graph.kind(operator) in SQUASHING:
            return int(operator.inputs[0])
    return output


def sqnr_db(expected: np.ndarray, real: np.ndarray) -> float:
    """Signal to quantization noise in dB; infinite where nothing differs."""
    noise = float(np.square(real.astype(np.float64) - expected).mean())
    signal = float(np.square(expected.astype(np.float64)).mean())
    return float("inf") if noise == 0 else 10 * float(np.log10(max(signal, 1e-300) / noise))


def _classes(values: np.ndarray) -> np.ndarray:
    """int64 (N,)"""
    classes: np.ndarray = values.reshape(len(values), -1).argmax(axis=1)
    return classes


def _run_to(tflite: bytes, name: str, x: Values) -> np.ndarray:
    """float32 (N, ...): the real values of a named tensor of an int8 file, by the reference kernels."""
    tensors = TfliteGraph(tflite)
    wanted = next(tensor for tensor in tensors.made() if tensors.name(tensor) == name)
    return np.stack([values[wanted] for values in run_graph(tflite, x, [wanted], reference=True)])
