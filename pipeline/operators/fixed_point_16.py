"""Sigmoid and tanh on 16 bits, as TFLite's integer LSTM has them.

Source: gemmlowp's fixedpoint.h, of which these are the int16 forms: products are rounded to 16 bits, ties
away from zero, and sums are kept within 16 bits by the algorithm. Arrays are int64 while being computed.
"""

from __future__ import annotations

import numpy as np

LOWEST, HIGHEST = -32768, 32767
ONE_EIGHTH, ONE = 1 << 12, 1 << 13
"""With 15 fractional bits, and with 13."""
EXP_OF_MINUS_ONE_EIGHTH, ONE_THIRD = 28918, 10923
# exp(-2**exponent) with 15 fractional bits
POWERS = ((-2, 25520), (-1, 19875), (0, 12055), (1, 4435), (2, 600), (3, 11), (4, 0))
# 48/17 and -32/17 with 13 fractional bits: the straight line nearest to 1/x over [1/2, 1]
LINE = 23130, -15420


def product(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """a * b / 2**15, ties away from zero; saturating."""
    ab = a * b
    rounded = _toward_zero(ab + np.where(ab >= 0, 1 << 14, 1 - (1 << 14)), 15)
    found: np.ndarray = np.minimum(rounded, HIGHEST)
    return found


def divided(x: np.ndarray, exponent: int) -> np.ndarray:
    """x / 2**exponent, ties away from zero; 1 <= exponent."""
    rounded: np.ndarray = (((x - (x < 0)) >> (exponent - 1)) + 1) >> 1
    return rounded


def logistic(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) with 15 fractional bits, of x with 12."""
    large = _scaled_up(_reciprocal(_exp(-np.abs(x), 3)), 1)
    found: np.ndarray = np.where(x == 0, 1 << 14, np.where(x > 0, large, HIGHEST - large))
    return found


def tanh(x: np.ndarray, integer_bits: int) -> np.ndarray:
    """tanh(x) with 15 fractional bits, of x with 15 - integer_bits; 0 <= integer_bits <= 6."""
    # exp(2 x): the same integers mean twice as much with one integer bit more.
    large = _scaled_up(_reciprocal(_exp(-np.abs(x), integer_bits + 1)) - ONE, 2)
    found: np.ndarray = np.where(x == 0, 0, np.sign(x) * large)
    return found


def _exp(x: np.ndarray, integer_bits: int) -> np.ndarray:
    """exp(x) with 15 fractional bits, of x <= 0 with 15 - integer_bits."""
    x = np.maximum(x, LOWEST)
    fraction_bits = 15 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    rest = (x & (quarter - 1)) - quarter
    # A Taylor series around -1/8 for the part in [-1/4, 0), and a factor for each bit of what is left.
    z = _scaled_up(rest, integer_bits) + ONE_EIGHTH
    z2 = product(z, z)
    z3, z4 = product(z2, z), product(z2, z2)
    series = z + divided(product(divided(z4, 2) + z3, ONE_THIRD) + z2, 1)
    found = np.minimum(EXP_OF_MINUS_ONE_EIGHTH + product(series, EXP_OF_MINUS_ONE_EIGHTH), HIGHEST)
    for exponent, factor in POWERS:
        if exponent < integer_bits:
            found = np.where((rest - x) >> (fraction_bits + exponent) & 1, product(found, factor), found)
    if integer_bits > 5:
        found = np.where(x < -(1 << (20 - integer_bits)), 0, found)
    return np.where(x == 0, HIGHEST, found)


def _reciprocal(a: np.ndarray) -> np.ndarray:
    """2 / (1 + a) with 13 fractional bits, of a in [0, 1) with 15: three of Newton's steps."""
    half = (a + HIGHEST + 1) >> 1
    found = LINE[0] + product(half, LINE[1])
    for _ in range(3):
        found = found + _scaled_up(product(found, ONE - product(half, found)), 2)
    return found


def _scaled_up(x: np.ndarray, exponent: int) -> np.ndarray:
    clipped: np.ndarray = np.clip(x << exponent, LOWEST, HIGHEST)
    return clipped


def _toward_zero(x: np.ndarray, exponent: int) -> np.ndarray:
    return np.where(x < 0, -(-x >> exponent), x >> exponent)
