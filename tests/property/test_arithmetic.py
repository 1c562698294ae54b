"""The fixed-point arithmetic against fractions, which round nothing."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.arithmetic import (
    divide_by_power_of_two,
    doubling_high_product,
    exponential,
    quantize_multiplier,
    reciprocal,
    rescale,
    rescale_once,
    round_product,
    single_rounding_multiplier,
)

INT32 = st.integers(-(2**31) + 1, 2**31 - 1)


def half_away(x: Fraction) -> int:
    return floor(abs(x) + Fraction(1, 2)) * (1 if x >= 0 else -1)


@given(a=INT32, b=INT32)
def test_doubling_high_product(a: int, b: int) -> None:
    exact = Fraction(2 * a * b, 2**32)
    assert int(doubling_high_product(np.int64(a), b)) == floor(exact + Fraction(1, 2))


@given(x=INT32, exponent=st.integers(0, 31))
def test_divide_by_power_of_two(x: int, exponent: int) -> None:
    assert int(divide_by_power_of_two(np.int64(x), exponent)) == half_away(Fraction(x, 2**exponent))


@given(real=st.floats(2.0**-31, 2.0**30))
def test_quantize_multiplier_is_the_nearest_of_31_bits(real: float) -> None:
    multiplier, shift = quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    step = Fraction(2) ** (shift - 31)
    assert abs(Fraction(real) - multiplier * step) <= step / 2


def test_quantize_multiplier_at_its_ends() -> None:
    assert quantize_multiplier(0.0) == (0, 0)
    assert quantize_multiplier(1.0) == (2**30, 1)
    assert quantize_multiplier(1.0 - 2.0**-40) == (2**30, 1)
    assert quantize_multiplier(2.0**-32) == (2**30, -31)
    assert quantize_multiplier(2.0**-33) == (0, 0)


@given(x=st.integers(-(2**25), 2**25), real=st.floats(2.0**-20, 16.0))
def test_rescale_rounds_twice(x: int, real: float) -> None:
    multiplier, shift = quantize_multiplier(real)
    once = floor(Fraction(x * 2 ** max(shift, 0) * multiplier, 2**31) + Fraction(1, 2))
    assert int(rescale(np.int64(x), multiplier, shift)) == half_away(Fraction(once, 2 ** max(-shift, 0)))


@given(
    x=st.integers(-(2**30), 2**30), real=st.floats(2.0**-20, 1.0), residue=st.integers(-(2**31), 2**31 - 1)
)
def test_rescale_once_rounds_once(x: int, real: float, residue: int) -> None:
    multiplier, shift = quantize_multiplier(real)
    exact = x * multiplier * Fraction(2) ** (shift - 31)
    assert int(rescale_once(np.int64(x), multiplier, 0, shift)) == half_away(exact)
    exact = x * (multiplier + Fraction(residue, 2**32)) * Fraction(2) ** (shift - 31)
    fraction = abs(exact) % 1
    if abs(fraction - Fraction(1, 2)) > Fraction(1, 2**28):
        assert int(rescale_once(np.int64(x), multiplier, residue, shift)) == half_away(exact)


@given(x=st.integers(-(2**31), 2**31), real=st.sampled_from([0.5, 0.25, 1 / 6, 1.5, 2.0**-9, 1e-3]))
def test_round_product_rounds_ties_away(x: int, real: float) -> None:
    assert int(round_product(np.int64(x), real)) == half_away(Fraction(x * real))


@given(
    result=st.integers(-128, 127),
    x=st.integers(2**16, 2**26),
    off=st.integers(-3, 3).map(lambda k: k * 2.0**-46),
    zero=st.integers(-128, 127),
)
def test_single_rounding_multiplier_beside_near_ties(result: int, x: int, off: float, zero: int) -> None:
    """A factor that puts some sum next to a tie, closer than 31 bits can tell apart: right, or refused."""
    real = abs((result + 0.5) / x) * (1.0 + off)
    assume(2.0**-31 < real < 1.0)
    found = single_rounding_multiplier(real, -128 - zero, 127 - zero)
    assume(found is not None)
    agrees(found, real, zero, x)


@given(seed=st.integers(0, 2**32 - 1), bits=st.integers(8, 29))
def test_scales_as_converters_make_them_have_a_multiplier(seed: int, bits: int) -> None:
    """However large the sums that fill the output's range."""
    random = np.random.default_rng(seed)
    x, w, room = (float(np.float32(v)) for v in random.uniform(0.001, 1.0, 3))
    real = x * w / float(np.float32(x * w * 2.0**bits / 128 * (0.5 + room / 2)))
    agrees(single_rounding_multiplier(real, -128, 127), real, 0, seed)


def agrees(found: tuple[int, int, int] | None, real: float, zero: int, seed: int) -> None:
    """The integers' rounding is float64's, beside the steps of the result and anywhere."""
    assert found is not None
    steps = np.round((np.arange(-130, 130) + 0.5) / real)
    steps = steps[np.abs(steps) < 2**30 - 60].astype(np.int64)
    sums = np.concatenate([(steps[:, np.newaxis] + np.arange(-3, 4)).ravel(), np.arange(-300, 301)])
    sums = np.concatenate([sums, np.random.default_rng(seed).integers(-(2**30), 2**30, 300)])
    got = np.clip(rescale_once(sums, *found) + zero, -128, 127)
    np.testing.assert_array_equal(got, np.clip(round_product(sums, real) + zero, -128, 127))


def test_the_nearest_multiplier_alone_would_not_do() -> None:
    """One sum lies on a tie by less than 31 bits show, and the nearest factor lies below it."""
    x = 3 * 5 * 7 * 11 * 13 * 17
    real = 0.5 / x * (1.0 + 2.0**-46)
    nearest = quantize_multiplier(real)
    assert int(round_product(np.int64(x), real)) == 1
    assert int(rescale_once(np.int64(x), nearest[0], 0, nearest[1])) == 0
    found = single_rounding_multiplier(real, -128, 127)
    assert found is not None
    assert found[1] != 0
    assert int(rescale_once(np.int64(x), *found)) == 1


def test_single_rounding_multiplier_refuses_rather_than_errs() -> None:
    """3/22 ties for every odd multiple of 11, and float64 rounds some of them up and some down."""
    assert single_rounding_multiplier(1.5 / 11, -128, 127) is None


@given(x=st.integers(-(2**31), 0))
def test_exponential_is_close(x: int) -> None:
    exact = np.exp(x / 2.0**26) * 2.0**31
    assert abs(float(exponential(np.int64(x))) - exact) <= 2.0**31 * 1e-6


@given(x=st.integers(2**19, 2**31 - 1))
def test_reciprocal_is_close(x: int) -> None:
    scale, bits = reciprocal(x)
    assert abs(scale / 2.0**31 / 2.0**bits * (x / 2.0**19) - 1.0) < 1e-7
