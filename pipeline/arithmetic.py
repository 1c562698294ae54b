"""The fixed-point arithmetic of TFLite's int8 and int16 kernels, bit for bit.

Sources: tensorflow/lite/kernels/internal/quantization_util.cc (how a real factor becomes integers),
common.cc (how they are applied) and gemmlowp's fixedpoint.h (the exponential of the softmax).
All arrays are int64 while being computed; a caller keeps every accumulator within int32.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from pipeline.tensors import Tensor

INT8_MIN, INT8_MAX = -128, 127

LARGEST_ACCUMULATOR = 2**30
"""Sums below this magnitude leave room for every rounding term in 32 bits."""


def rounding_reach(dtype: str) -> int:
    """A quotient beyond this saturates whatever the zero point; float32 holds halves up to it."""
    bounds = np.iinfo(dtype)
    return 4 * (int(bounds.max) - int(bounds.min) + 1)


def quantize_real(x: np.ndarray, scale: float, zero_point: int, dtype: str) -> np.ndarray:
    """Real numbers as integers, as TFLite's QUANTIZE has them: round(x / scale) + zero_point.

    In float32; ties away from zero; what lies beyond the type saturates. Not a number, on which TFLite
    is undefined, becomes the smallest integer.
    """
    bounds, reach = np.iinfo(dtype), float(rounding_reach(dtype))
    with np.errstate(over="ignore", invalid="ignore"):
        quotient = np.asarray(x, np.float32) / np.float32(scale)
    quotient = np.clip(np.nan_to_num(quotient, nan=-reach), -reach, reach)
    whole = np.trunc(quotient)
    # Adding a half and cutting off would round the float32 just below 0.5 up.
    rounded = whole + np.copysign(np.abs(quotient - whole) >= 0.5, quotient)
    held: np.ndarray = np.clip(rounded.astype(np.int64) + zero_point, bounds.min, bounds.max).astype(dtype)
    return held


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) with real = multiplier * 2**(shift - 31) and multiplier in [2**30, 2**31).

    Factors below about 2**-32 become (0, 0), as in TFLite.
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * 2.0**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def quantize_multipliers(reals: Iterable[float]) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers (int32) and shifts (int8) of several factors; one entry where all agree."""
    pairs = [quantize_multiplier(real) for real in reals]
    if len(set(pairs)) == 1:
        pairs = pairs[:1]
    multipliers, shifts = zip(*pairs, strict=True)
    # A shift beyond 31 fits no accumulator, which the operators refuse.
    return np.array(multipliers, np.int32), np.minimum(shifts, 31).astype(np.int8)


def doubling_high_product(a: np.ndarray | int, b: np.ndarray | int) -> np.ndarray:
    """The upper half of 2*a*b, ties rounded up (gemmlowp's SaturatingRoundingDoublingHighMul)."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    high: np.ndarray = np.minimum((product + 2**30) >> 31, 2**31 - 1)
    return high


def divide_by_power_of_two(x: np.ndarray, exponent: np.ndarray | int) -> np.ndarray:
    """x / 2**exponent, ties rounded away from zero (gemmlowp's RoundingDivideByPOT)."""
    x = np.asarray(x, np.int64)
    half = (np.int64(1) << np.asarray(exponent, np.int64)) >> 1
    quotient: np.ndarray = (x + half - ((x < 0) & (half > 0))) >> np.asarray(exponent, np.int64)
    return quotient


def rescale(x: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int) -> np.ndarray:
    """x * multiplier * 2**(shift - 31), rounded twice: after the product, and after the shift to the right.

    What MultiplyByQuantizedMultiplier does where TFLITE_SINGLE_ROUNDING is not set.
    """
    shift = np.asarray(shift, np.int64)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    return divide_by_power_of_two(doubling_high_product(np.asarray(x, np.int64) << left, multiplier), right)


def reduced_multipliers(reals: Iterable[float]) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers of 15 bits (int16) and shifts (int8) for `rescale_sum`; one entry where all agree."""
    multipliers, shifts = quantize_multipliers(reals)
    reduced = np.minimum((multipliers.astype(np.int64) + 2**15) >> 16, 2**15 - 1)
    return reduced.astype(np.int16), shifts


def rescale_sum(x: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int) -> np.ndarray:
    """x * multiplier * 2**(shift - 15), rounded once, ties up; |x| < 2**47 and shift <= 14.

    What MultiplyByQuantizedMultiplier does with 64 bits: of the factor, it keeps 15.
    """
    total = 15 - np.asarray(shift, np.int64)
    product = np.asarray(x, np.int64) * np.asarray(multiplier, np.int64)
    scaled: np.ndarray = (product + (np.int64(1) << (total - 1))) >> total
    return scaled


def rescale_once(
    x: np.ndarray, multiplier: np.ndarray | int, residue: np.ndarray | int, shift: np.ndarray | int
) -> np.ndarray:
    """x * (multiplier + residue / 2**32) * 2**(shift - 31), rounded once, ties away from zero.

    |x| < 2**30 and shift <= 30.
    """
    x, total = np.asarray(x, np.int64), 31 - np.asarray(shift, np.int64)
    product = x * np.asarray(multiplier, np.int64) + (x * np.asarray(residue, np.int64) >> 32)
    rounded: np.ndarray = (product + (np.int64(1) << (total - 1)) - (product < 0)) >> total
    return rounded


def round_product(x: np.ndarray, real: np.ndarray | float) -> np.ndarray:
    """round(x * real) in float64, ties away from zero: the definition `rescale_once` must reproduce."""
    product = np.asarray(x, np.float64) * real
    whole = np.trunc(product)
    rounded: np.ndarray = whole + np.sign(product) * (np.abs(product - whole) >= 0.5)
    return rounded.astype(np.int64)


def single_rounding_multiplier(real: float, smallest: int, largest: int) -> tuple[int, int, int] | None:
    """(multiplier, residue, shift) for which rescale_once(x) == round_product(x, real), all |x| < 2**30.

    Only results from `smallest` to `largest` have to agree; beyond, both lie on the same side, since
    both are monotonic. That leaves one step of x for each result, and each step is compared exactly.
    A factor of 31 bits does for nearly every layer, its residue of 32 further bits for the others. None
    for (nearly) exact ratios of small integers, whose many ties float64 rounds now up, now down.
    """
    multiplier, shift = quantize_multiplier(real)
    if multiplier == 0:
        return 0, 0, 0
    if shift > 30:
        return None
    results = np.arange(smallest, largest + 2, dtype=np.int64)
    steps = np.floor((results - 0.5) / real)
    steps = steps[np.abs(steps) < LARGEST_ACCUMULATOR].astype(np.int64)
    x = (steps[:, np.newaxis] + np.arange(-2, 4)).ravel()
    wanted = np.clip(round_product(x, real), smallest - 1, largest + 1)
    residue = int(math.ldexp(math.ldexp(real, 31 - shift) - multiplier, 32))
    # One unit in float64's last place more or less: where it rounds a product onto a tie.
    for candidate in (0, residue, residue + 2**10, residue - 2**10):
        got = np.clip(rescale_once(x, multiplier, candidate, shift), smallest - 1, largest + 1)
        if abs(candidate) < 2**31 and np.array_equal(got, wanted):
            return multiplier, candidate, shift
    return None


def activation_range(activation: str, output: Tensor) -> tuple[int, int]:
    """The integers between which a fused activation keeps an output, inclusive.

    TFLite divides in float32 and rounds ties away from zero (kernel_util.cc).
    """
    low, high = {
        "RELU": (0.0, None),
        "RELU6": (0.0, 6.0),
        "RELU_N1_TO_1": (-1.0, 1.0),
    }.get(activation, (None, None))

    def quantized(real: float) -> int:
        quotient = float(np.float32(real) / np.float32(output.scale))
        return output.zero_point + int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))

    bounds = np.iinfo(output.dtype)
    minimum = int(bounds.min) if low is None else max(int(bounds.min), quantized(low))
    maximum = int(bounds.max) if high is None else min(int(bounds.max), quantized(high))
    return minimum, maximum


def exponential(x: np.ndarray) -> np.ndarray:
    """exp(x / 2**26) * 2**31 for x <= 0, in gemmlowp's integers (exp_on_negative_values, 5 integer bits)."""
    x = np.asarray(x, np.int64)
    quarter = 2**24
    remainder = (x & (quarter - 1)) - quarter
    # A Taylor series of the fourth order around -1/8, in Q0.31.
    a = (remainder << 5) + 2**28
    a2 = doubling_high_product(a, a)
    a3 = doubling_high_product(a2, a)
    a4 = doubling_high_product(a2, a2)
    third = doubling_high_product(divide_by_power_of_two(a4, 2) + a3, 715827883)
    series = a + divide_by_power_of_two(third + a2, 1)
    result = 1895147668 + doubling_high_product(series, 1895147668)
    # exp(-1/4), exp(-1/2), exp(-1) ... exp(-16) for the bits above the quarter.
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for bit, factor in enumerate(factors, start=24):
        applies = ((remainder - x) >> bit) & 1
        result = np.where(applies == 1, doubling_high_product(result, factor), result)
    return np.where(x == 0, 2**31 - 1, result)


def reciprocal(x: int) -> tuple[int, int]:
    """(r, bits) with 1 / (x / 2**19) = r / 2**31 / 2**bits, in three Newton steps (common.h)."""
    headroom = 32 - x.bit_length()
    fraction = (x << headroom) - 2**31
    half_denominator = (fraction + 2**31) // 2
    estimate = 1515870810 + int(doubling_high_product(half_denominator, -1010580540))
    for _ in range(3):
        error = 2**29 - int(doubling_high_product(half_denominator, estimate))
        step = int(doubling_high_product(estimate, error)) << 2
        estimate += min(max(step, -(2**31)), 2**31 - 1)
    return min(estimate << 1, 2**31 - 1), 12 - headroom
