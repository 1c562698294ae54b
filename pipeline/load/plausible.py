"""Compare samples with what the model's first batch norm saw in training."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.load.description import FloatModel
from pipeline.load.frameworks import captured_stderr, import_keras, import_legacy_keras
from pipeline.load.keras_model import functional_graph, has_fixed_batch

OFF_BY = 8.0
"""Spread of the batch norm's input over the stored one, or its inverse, that counts as a wrong scale."""
USUAL_FACTORS = (255.0, 1 / 255, 127.5, 1 / 127.5, 128.0, 1 / 128)


def refuse_implausible(model: FloatModel, x: np.ndarray, scale: float, where: str) -> None:
    """Raise UsageError E_SAMPLES_RANGE where the samples are scaled unlike the training's.

    A batch norm remembers the spread of its training inputs. Samples that lead to another order of
    magnitude there were prepared otherwise (0 to 255 for 0 to 1, most often); they would calibrate
    every range wrongly, and nothing later would notice. Models without batch norm pass. `scale` is what
    the samples were multiplied by, for the hint.
    """
    norm = _first_norm(model)
    if norm is None:
        return
    keras = import_keras() if model.api == "keras" else import_legacy_keras()
    seen_samples = x[:1] if has_fixed_batch(model.live) else x
    with captured_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras on inputs that it takes in a list or under a name
        head = keras.Model(functional_graph(model.live).input, norm.input)

        def spread_ratio(factor: float) -> float:
            seen = np.asarray(head(seen_samples * np.float32(factor), training=False), np.float64)
            spread = seen.reshape(-1, seen.shape[-1]).std(axis=0)
            stored = np.sqrt(np.asarray(norm.moving_variance, np.float64))
            alive = stored > 1e-6
            return float(np.median(spread[alive] / stored[alive])) if alive.any() else 1.0

        ratio = spread_ratio(1.0)
        if 1 / OFF_BY < ratio < OFF_BY:
            return
        better = next((f for f in USUAL_FACTORS if 0.5 < spread_ratio(f) < 2), None)
    if better is None:
        return  # statistics of a short training, data of another kind: odd, but not a wrong scale
    raise UsageError(
        f"the samples reach from {x.min():.4g} to {x.max():.4g} and lead to a spread of {ratio:.2g} times "
        f"the one that layer {norm.name} saw in training, expected about 1",
        code="E_SAMPLES_RANGE",
        where=where,
        hint=f"the model was trained on inputs {better:.4g} times as large: "
        f"--preprocess scale={scale * better:.6g}",
    )


def _first_norm(model: FloatModel) -> Any:
    """The first trained batch norm of the outer graph over the last axis, or None."""
    if model.api == "saved_model":
        return None
    for layer in model.live.layers:
        if type(layer).__name__ == "BatchNormalization":
            variance = np.asarray(layer.moving_variance)
            single = len(getattr(layer, "_inbound_nodes", ())) == 1
            trained = not (variance == 1).all()
            return layer if single and trained else None
    return None
