"""What the depthwise kernels share: how far a channel's sums go, and how they are rescaled and clamped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.arithmetic import doubling_high_product
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, integer


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """Each output channel besides its weights: int64 arrays of one length."""

    start: np.ndarray
    """Of the sum of weights times x, which begins with what the zero point and the bias make."""
    largest: np.ndarray
    """The magnitude that no sum exceeds, whatever the input is."""
    multiplier: np.ndarray
    shift: np.ndarray
    """To the right."""
    silent: np.ndarray
    """Whether every sum is rescaled to zero, which multiplier 0 and any shift to the right do."""
    rescaled: np.ndarray
    """The magnitude that no sum exceeds before it is shifted."""
    floor: np.ndarray
    ceiling: np.ndarray
    output_zero: int

    @classmethod
    def of(cls, p: Parameters, weights: np.ndarray) -> Channels:
        """From DEPTHWISE_CONV_2D's parameters; weights are (channels, taps), int64."""
        zero = integer(p, "input_zero")
        high, low = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
        bias = array(p, "bias").astype(np.int64)
        sums = bias + np.array(
            [low * (127 - zero) - high * (128 + zero), high * (127 - zero) - low * (128 + zero)]
        )
        multiplier, shift, floor, ceiling = (
            np.broadcast_to(array(p, name).astype(np.int64), bias.shape)
            for name in ("multiplier", "shift", "minimum", "maximum")
        )
        shift = -shift
        rescaled = np.abs(doubling_high_product(sums, multiplier)).max(axis=0)
        silent = (shift > 0) & (rescaled < 2.0 ** (shift - 1)) | (multiplier == 0)
        return cls(
            start=bias - zero * weights.sum(axis=1),
            largest=np.abs(sums).max(axis=0),
            multiplier=np.where(silent, 0, multiplier),
            shift=np.where(silent, 1, shift),
            silent=silent,
            rescaled=np.where(silent, 0, rescaled),
            floor=floor,
            ceiling=ceiling,
            output_zero=integer(p, "output_zero"),
        )

    @property
    def zero(self) -> np.ndarray:
        """The output's zero point, and what lies above the ceiling: saturation to int8 cuts there."""
        return self.output_zero + 127 - self.ceiling

    @property
    def clamps(self) -> np.ndarray:
        """(2, channels), 0 to 255: what is taken off the saturated bytes plus 128, and added again."""
        return np.stack([255 - (self.ceiling - self.floor), self.floor + 128])
