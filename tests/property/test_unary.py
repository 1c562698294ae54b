"""Operators on single elements, over all 256 inputs, against TFLite's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given

from tests.property.c_kernels import Kernels
from tests.property.cases import DICE, Dice, check
from tests.property.tflite_builder import Spec

SHAPE = (1, 4, 8, 8)
EVERY_INT8 = np.arange(-128, 128, dtype=np.int8).reshape(SHAPE)


def check_unary(
    kernels: Kernels, name: str, options: Any, scales: tuple[float, float], zeros: tuple[int, int]
) -> None:
    x, y = (Spec(SHAPE, scale=float(np.float32(s)), zero_point=z) for s, z in zip(scales, zeros, strict=True))
    check(kernels, name, options, [x], y, [EVERY_INT8])


@given(dice=DICE)
def test_logistic(kernels: Kernels, dice: Dice) -> None:
    scales = dice.factor(1e-3, 2.0), 1 / 256
    check_unary(kernels, "LOGISTIC", None, scales, (dice.zero_point(), -128))


@given(dice=DICE)
def test_tanh(kernels: Kernels, dice: Dice) -> None:
    scales = dice.factor(1e-3, 2.0), dice.pick([1 / 128, 1 / 128, 0.005, 0.02])
    check_unary(kernels, "TANH", None, scales, (dice.zero_point(), dice.pick([0, 0, dice.zero_point()])))


@given(dice=DICE)
def test_exp(kernels: Kernels, dice: Dice) -> None:
    x = dice.factor(1e-3, 0.05)
    scales = x, dice.pick([1 / 256, float(np.exp(x * dice.integer(1, 128))) / 128])
    check_unary(kernels, "EXP", None, scales, (dice.zero_point(), dice.zero_point()))


@given(dice=DICE)
def test_log(kernels: Kernels, dice: Dice) -> None:
    x = dice.factor(1e-5, 2.0)
    ends = abs(np.log(x)), abs(np.log(255 * x))
    scale = float(max(ends)) / dice.between(50.0, 300.0)
    check_unary(kernels, "LOG", None, (x, scale), (-128, dice.zero_point()))


@given(dice=DICE)
def test_gelu(kernels: Kernels, dice: Dice) -> None:
    options = schema.GeluOptionsT()
    options.approximate = dice.chance()
    x = dice.factor(1e-3, 1.0)
    scales = x, x * dice.between(0.2, 2.0)
    check_unary(kernels, "GELU", options, scales, (dice.zero_point(), dice.zero_point()))


@given(dice=DICE)
def test_rsqrt(kernels: Kernels, dice: Dice) -> None:
    x = dice.factor(1e-5, 2.0)
    scale = float(np.sqrt(1 / x)) / dice.between(20.0, 300.0)
    check_unary(kernels, "RSQRT", None, (x, scale), (-128, dice.zero_point()))


@given(dice=DICE)
def test_sqrt(kernels: Kernels, dice: Dice) -> None:
    """Squares have whole roots: what is cut off there is a rounding of float32."""
    x = dice.pick([dice.factor(1e-5, 2.0), 2.0 ** (2 * dice.integer(-6, 0)), 0.01, 0.0625])
    scale = dice.pick([float(np.sqrt(x)), float(np.sqrt(255 * x)) / dice.between(20.0, 300.0)])
    check_unary(kernels, "SQRT", None, (x, scale), (-128, dice.zero_point()))


@given(dice=DICE)
def test_leaky_relu(kernels: Kernels, dice: Dice) -> None:
    options = schema.LeakyReluOptionsT()
    options.alpha = dice.pick([0.0, 0.01, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, dice.between(0.0, 1.0)])
    x = dice.factor(1e-3, 2.0)
    scales = x, x * dice.pick([1.0, 0.5, 3.0, dice.between(0.2, 2.0)])
    check_unary(kernels, "LEAKY_RELU", options, scales, (dice.zero_point(), dice.zero_point()))


@given(dice=DICE)
def test_abs(kernels: Kernels, dice: Dice) -> None:
    x = dice.factor(1e-3, 2.0)
    scales = x, x * dice.pick([1.0, 0.5, 2.0, 3.0, dice.between(0.2, 2.0)])
    check_unary(kernels, "ABS", None, scales, (dice.zero_point(), dice.zero_point()))


@given(dice=DICE)
def test_hard_swish(kernels: Kernels, dice: Dice) -> None:
    x = dice.factor(1e-3, 20.0)
    scales = x, x * dice.pick([1.0, 0.5, 0.01, 3.0, dice.between(0.2, 2.0)])
    check_unary(kernels, "HARD_SWISH", None, scales, (dice.zero_point(), dice.zero_point()))


@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_leaky_relu_where_every_half_is_a_tie(kernels: Kernels, alpha: float) -> None:
    options = schema.LeakyReluOptionsT()
    options.alpha = alpha
    for ratio in (2.0, 1.0, 4.0, 2 / 3, 2 / 5):
        check_unary(kernels, "LEAKY_RELU", options, (0.05, 0.05 * ratio), (3, -7))
