"""Classification figures: accuracy, confusion matrix, precision, recall, F1, and agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.tensors import Values, arrays_of

FLOAT_MODEL = "float model"
QUANTIZED_MODEL = "quantized model"
"""On this computer, by TFLite's kernels."""
TARGET = "target"


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class of a classification report, as scikit-learn's `classification_report` defines it."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, eq=False)
class Classification:
    """Predictions held against labels."""

    subject: str
    """What predicted: `FLOAT_MODEL`, `QUANTIZED_MODEL` or `TARGET`."""
    accuracy: float
    macro_f1: float
    confusion: np.ndarray
    """(classes, classes) int64: rows are the true class, columns the predicted one."""
    classes: tuple[ClassFigures, ...]

    @property
    def samples(self) -> int:
        return int(self.confusion.sum())


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two models agree on the same samples, labels or not."""

    samples: int
    same_class: float | None
    """Share of samples for which both predict the same class; None where no output names one."""
    mean_absolute_difference: float
    """Of the real-valued outputs."""
    largest_difference: float


def predicted_classes(scores: np.ndarray, half: float = 0.5) -> np.ndarray:
    """int64 (N,): the class that each row of real scores (N, ...) names.

    The index of the largest; of one score only, a sigmoid's, class 1 where it is `half` at least.
    """
    flat = scores.reshape(len(scores), -1)
    found: np.ndarray = flat.argmax(axis=1) if flat.shape[1] > 1 else (flat[:, 0] >= half).astype(np.int64)
    return found


def classify(
    subject: str, predicted: np.ndarray, labels: np.ndarray, classes: Sequence[str] | None, count: int
) -> Classification:
    """Hold predicted class numbers (N,) against true ones (N,); `count` classes, named where names are known.

    precision = TP / (TP + FP), recall = TP / (TP + FN), F1 = 2 TP / (2 TP + FP + FN); 0 where a
    denominator is 0. The macro F1 is the mean over the classes that occur, as labels or predictions.
    """
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (labels.astype(np.int64), predicted.astype(np.int64)), 1)
    hits = np.diagonal(confusion)
    support, claimed = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = _ratio(2 * hits, support + claimed)
    occurring = support + claimed > 0
    names = tuple(classes) if classes is not None else tuple(str(index) for index in range(count))
    precision, recall = _ratio(hits, claimed), _ratio(hits, support)
    return Classification(
        subject=subject,
        accuracy=float(hits.sum() / max(1, confusion.sum())),
        macro_f1=float(f1[occurring].mean()) if occurring.any() else 0.0,
        confusion=confusion,
        classes=tuple(
            ClassFigures(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, name in enumerate(names)
        ),
    )


def compare_predictions(first: Values, second: Values, naming: Sequence[bool] | None = None) -> Agreement:
    """How far two models' real-valued outputs (N, ...) agree; classes are those of `predicted_classes`.

    Of several outputs, the same class means that of each; differences are over all values. `naming` says
    of each output whether it names a class; all do where it is left out.
    """
    pairs = [
        (a.reshape(len(a), -1), b.reshape(len(b), -1))
        for a, b in zip(arrays_of(first), arrays_of(second), strict=True)
    ]
    same = [
        predicted_classes(a) == predicted_classes(b)
        for (a, b), names in zip(pairs, naming or [True] * len(pairs), strict=True)
        if names
    ]
    difference = np.concatenate(
        [np.abs(a.astype(np.float64) - b.astype(np.float64)) for a, b in pairs], axis=1
    )
    return Agreement(
        samples=len(first),
        same_class=float(np.logical_and.reduce(same).mean()) if same else None,
        mean_absolute_difference=float(difference.mean()),
        largest_difference=float(difference.max()),
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """float64, 0 where the denominator is 0."""
    ratio = np.zeros(len(numerator))
    np.divide(numerator, denominator, out=ratio, where=denominator != 0)
    return ratio
