"""Multipliers with which one product and one shift give the integers of TFLite's rounding.

A scaled result is a monotonic function of the accumulator. It is therefore known by its thresholds: for
each result, the smallest accumulator that leads to it or beyond. Two ways of rounding agree on every
accumulator that can occur if their thresholds do: at most 255 conditions, and none on how ties are broken
where no accumulator makes that tie.
"""

from __future__ import annotations

import numpy as np

from pipeline.arithmetic import LARGEST_ACCUMULATOR, rescale_once

MOST_BITS = 20
"""Of the shift: the product, the output zero point and half a unit together stay below 2**31."""


def thresholds_once(
    results: np.ndarray, multiplier: np.ndarray, residue: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """The smallest x with rescale_once(x) >= result, int64 (factors, results); |x| <= 2**30.

    `results` ascends; multiplier, residue and shift have one entry for each factor.
    """
    multiplier, residue, shift = (
        np.asarray(each, np.int64)[:, np.newaxis] for each in (multiplier, residue, shift)
    )
    real = np.ldexp(multiplier + np.ldexp(residue.astype(np.float64), -32), (shift - 31).astype(np.int32))
    limit = float(LARGEST_ACCUMULATOR)
    with np.errstate(divide="ignore"):
        near = np.floor((results - 0.5) / real)
    found = np.clip(near, -limit, limit).astype(np.int64) - 2
    below = [rescale_once(found + i, multiplier, residue, shift) < results for i in range(5)]
    thresholds: np.ndarray = found + np.sum(below, axis=0)
    return thresholds


def fitting_multipliers(
    thresholds: np.ndarray, targets: np.ndarray, lowest: np.ndarray, highest: np.ndarray, wanted: np.ndarray
) -> np.ndarray | None:
    """For each factor the m nearest to the wanted one for which m * x >= target just from the threshold on.

    For all x from lowest to highest; m is from 0 to 2**31 - 1, lowest and highest below 2**30 in magnitude,
    targets below 2**61. None where there is no such m for a factor.
    """
    reached = np.clip(thresholds, lowest[:, np.newaxis], highest[:, np.newaxis] + 1)
    missed = reached - 1
    targets = np.broadcast_to(targets, reached.shape)
    # m * x >= t for the x that has to reach the target, m * -x >= 1 - t for the x that has to miss it.
    x = np.concatenate([reached, -missed], axis=1)
    t = np.concatenate([targets, 1 - targets], axis=1)
    applies = np.concatenate([reached <= highest[:, np.newaxis], missed >= lowest[:, np.newaxis]], axis=1)
    size = np.maximum(np.abs(x), 1)
    least = np.where(applies & (x > 0), -(-t // size), 0).max(axis=1, initial=0)
    most = np.where(applies & (x < 0), -t // size, 2**31 - 1).min(axis=1, initial=2**31 - 1)
    if (applies & (x == 0) & (t > 0)).any() or (least > most).any():
        return None
    fitting: np.ndarray = np.clip(wanted, least, most)
    return fitting
