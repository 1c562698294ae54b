"""What the depthwise kernels share: how far a channel's sums go, and how they are rescaled and clamped."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.arithmetic import doubling_high_product
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, integer

CHANNELS_AT_ONCE = 4
FRACTION = 10
"""Bits behind the point where a scaled result is rounded; as in depthwise_macros.h."""
ANY_SHIFT = 0x80
"""Marks a channel that is not scaled; likewise."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """All channels, and the form in which each is rescaled; int64 arrays."""

    weights: np.ndarray
    """(channels, taps)"""
    channels: Channels
    any_shift: np.ndarray
    """Whether sums are only doubled, and shifted by a register; else they are scaled by 2**exponent."""
    shift: np.ndarray
    """To the right."""

    @property
    def exponent(self) -> np.ndarray:
        return np.where(self.any_shift, 1, FRACTION + 1 - self.shift)

    @property
    def start(self) -> np.ndarray:
        """Of the scaled sums, as uint32."""
        start: np.ndarray = (self.channels.start << self.exponent).astype(np.uint32)
        return start

    @property
    def forms(self) -> np.ndarray:
        """The exponent of each channel, or ANY_SHIFT and its shift; as uint8."""
        return np.where(self.any_shift, ANY_SHIFT + self.shift, self.exponent).astype(np.uint8)


def exact_filters(of: Channels, weights: np.ndarray, may_scale: bool = True) -> Filters | None:
    """The filters, where the kernels give the reference's integers for every input; else None.

    Sums, scaled as they are, what they are rescaled to, and what is added to that have to fit int32,
    whatever the input is. `weights` are (channels, taps), int64.
    """
    shift = np.where(of.silent, FRACTION - 1, of.shift)
    exponent = np.clip(FRACTION + 1 - shift, 0, 31)
    # Without a shift to the right there is one rounding only; the other form can do without, but for its
    # care for halves below zero.
    halves_hidden = of.floor >= of.output_zero
    scaled = (
        may_scale
        & halves_hidden
        & (shift >= 1)
        & (exponent >= 2)
        & (np.abs(weights).max(axis=1) << exponent <= np.iinfo(np.int16).max)
        & (of.largest < 2.0 ** (31 - exponent))
    )
    added = np.abs(2 * of.zero + 1) * 2.0**shift
    fits = (of.largest < 2**30) & (added < 2**31) & (added / 2 + of.rescaled + 1 < 2**31)
    exact = scaled | (shift >= np.where(halves_hidden, 0, 1)) & (shift <= 31) & fits
    return Filters(weights, of, ~scaled, shift) if exact.all() else None


def whole_words(count: int) -> int:
    """Bytes, with what fills the last word."""
    return math.ceil(count / 4) * 4


def in_words(content: bytes) -> np.ndarray:
    """Bytes as int32, the last word filled with zeros."""
    return np.frombuffer(content.ljust(whole_words(len(content)), b"\0"), np.int32)
