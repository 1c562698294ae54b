"""RSQRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.arithmetic import (
    INT8_MAX,
    divide_by_power_of_two,
    doubling_high_product,
    quantize_multiplier,
    rescale,
)
from pipeline.operators.checks import present
from pipeline.operators.table_int16 import TableInt16
from pipeline.operators.unary import EVERY_INT8, NOT_NEGATIVE, Unary, negative
from pipeline.tensors import Tensor

SHIFT = 20
"""Fractional bits of a root before it is scaled to the output."""
INTEGER_BITS = 3
"""Of the numbers that the root is iterated in; the other 28 of 31 bits are a fraction."""
ONE = 1 << 31 - INTEGER_BITS
THREE_HALVES = ONE + ONE // 2
HALF_ROOT_OF_TWO = 1_518_500_250
"""sqrt(2) / 2 * 2**31"""
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Rsqrt(Unary):
    """y = 1 / sqrt(x); of 0 the largest integer (elementwise.cc, RsqrtEvalQuantized)"""

    tflite_name: ClassVar[str] = "RSQRT"
    supported: ClassVar[str] = NOT_NEGATIVE

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        return super(Rsqrt, self).problems(inputs, output) or negative(present(inputs[0]))

    def results(self, x: Tensor, output: Tensor) -> np.ndarray:
        factor = np.sqrt(np.float32(x.scale)) * np.float32(output.scale)
        multiplier, shift = quantize_multiplier(1.0 / float(factor))
        found = [INT8_MAX]
        for value in (EVERY_INT8 - x.zero_point)[1:].tolist():
            root, root_shift = inverse_root(value)
            scaled = rescale(np.array(1), root, SHIFT - root_shift)
            found.append(int(rescale(scaled, multiplier, shift - SHIFT)) + output.zero_point)
        return np.array(found, np.int64)


@dataclass(frozen=True, slots=True)
class RsqrtInt16(TableInt16):
    """y = 1 / sqrt(x), read from a table; of 0 the largest integer, near which the line is far off

    TFLite stops at a negative input. Here its result is the largest integer, too.
    """

    tflite_name: ClassVar[str] = "RSQRT"

    def function(self, x: np.ndarray, low: np.float32, high: np.float32) -> np.ndarray:
        found: np.ndarray = np.where(x > 0, np.float32(1) / np.sqrt(np.where(x > 0, x, 1)), high)
        return found


def inverse_root(value: int) -> tuple[int, int]:
    """(m, s) with 1 / sqrt(value) = m * 2**(-31 - s) about, of 0 < value < 2**29, in gemmlowp's integers.

    Newton's iteration from 1, of the value brought between 1/4 and 1 by powers of four (common.h,
    GetInvSqrtQuantizedMultiplierExp).
    """
    if value <= 1:
        return (1 << 31) - 1, 0
    pairs = (32 - value.bit_length() - 1) // 2 - 1
    shift = 11 - pairs
    raw = value << 2 * pairs >> 1
    half = int(divide_by_power_of_two(np.array(raw), 1))
    x = ONE
    for _ in range(ROUNDS):
        cube = _shifted(_product(_product(x, x), x), 2 * INTEGER_BITS)
        x = _shifted(_product(THREE_HALVES, x) - _product(half, cube), INTEGER_BITS)
    root = _product(x, HALF_ROOT_OF_TWO)
    return (root << -shift, 0) if shift < 0 else (root, shift)


def _product(a: int, b: int) -> int:
    return int(doubling_high_product(a, b))


def _shifted(x: int, bits: int) -> int:
    """Left, within 32 bits."""
    return min(max(x << bits, -(1 << 31)), (1 << 31) - 1)
