"""BATCH_MATMUL: exact whichever operand is turned or used again, as cheap as predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arm import ArmKernels
from held import Layer, check, predicted
from hypothesis import given

from pipeline.kernels.cortex_m4.batch_matmul_gemm import BatchMatMulGemm
from pipeline.operators.batch_matmul import BatchMatMul
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import DICE, Dice, fitting_scales

KERNEL = BatchMatMulGemm()
pytestmark = pytest.mark.toolchain


def layer_of(
    op: BatchMatMul, a: np.ndarray, b: np.ndarray, zeros: tuple[int, int, int], real: float
) -> Layer:
    """`zeros` are those of a, b and the output; sums are multiplied by `real`."""
    tensors = [
        Tensor(name, each.shape, "int8", Quantization((1.0,), (zero,)))
        for name, each, zero in zip("ab", (a, b), zeros, strict=False)
    ]
    shape = op.output_shape(tensors)
    output = Tensor("y", shape, "int8", Quantization((1 / real,), zeros[2:]))
    assert op.problems(tensors, output) == []
    return Layer(op, [*tensors], output, [a, b])


def draw_layer(dice: Dice, rows: int, depth: int, columns: int) -> Layer:
    op = BatchMatMul(dice.chance(), dice.chance())
    outer = dice.pick([((), ()), ((2,), (2,)), ((3, 2), (3, 2)), ((1, 3), (2, 1)), ((), (2,)), ((2,), (1,))])
    a = dice.array((*outer[0], *((depth, rows) if op.a_transposed else (rows, depth))))
    b = dice.array((*outer[1], *((columns, depth) if op.b_transposed else (depth, columns))))
    zeros = dice.zero_point(), dice.zero_point(), dice.pick([-128, dice.zero_point()])
    w_scale, scale = fitting_scales(dice, 1.0, float(74 * 74 * np.sqrt(depth)))
    return layer_of(op, a, b, zeros, w_scale / scale)


@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    layer = draw_layer(dice, dice.length(1, 10), dice.length(1, 30), dice.length(1, 9))
    check(arm_kernels, KERNEL, layer, dice)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("depth", [1, 3, 4, 6, 8, 19])
def test_sizes(arm_kernels: ArmKernels, depth: int, columns: int, turned: bool) -> None:
    """Columns that have no partner, and values that fill no word, on either way."""
    dice = Dice(depth, 8)
    for rows in (1, 2, 3, 4, 6):
        op = BatchMatMul(rows % 2 == 0, turned)
        a = dice.array((depth, rows) if op.a_transposed else (rows, depth))
        b = dice.array((columns, depth) if turned else (depth, columns))
        assert check(arm_kernels, KERNEL, layer_of(op, a, b, (5, -7, 3), 0.01), dice) == 1


@pytest.mark.parametrize("zeros", [(-128, -128, -128), (127, -128, 0), (127, 127, 127), (-128, 127, -128)])
@pytest.mark.parametrize(("a", "b"), [(-128, -128), (-128, 127), (127, 127)])
def test_numbers_at_the_ends_of_their_range(
    arm_kernels: ArmKernels, a: int, b: int, zeros: tuple[int, int, int]
) -> None:
    layer = layer_of(
        BatchMatMul(), np.full((2, 5, 96), a, np.int8), np.full((2, 96, 3), b, np.int8), zeros, 2.0**-15
    )
    assert check(arm_kernels, KERNEL, layer, Dice(1, 8)) == 1


@pytest.mark.parametrize("zero", [-128, 0, 5])
@pytest.mark.parametrize("bits", [2, 5])
def test_ties(arm_kernels: ArmKernels, zero: int, bits: int) -> None:
    """Sums at halves of the output's unit, of both signs, and beside them."""
    column = np.arange(-127, 128, dtype=np.int8)
    layer = layer_of(
        BatchMatMul(), column[:, np.newaxis], np.array([[1, -1, 3]], np.int8), (0, 0, zero), 2.0**-bits
    )
    assert check(arm_kernels, KERNEL, layer, Dice(1, 8)) == 1


def test_what_is_refused() -> None:
    a, b = np.zeros((2, 4), np.int8), np.zeros((4, 2), np.int8)
    for real, taken in ((0.49, True), (0.5, False), (3.0, False)):
        assert bool(layer_of(BatchMatMul(), a, b, (0, 0, 0), real).candidates(KERNEL)) is taken
    layer = layer_of(BatchMatMul(), a, b, (0, 0, 0), 0.1)
    second = layer.tensors[1]
    assert second is not None
    layer.tensors[1] = replace(second, data=b)
    assert not layer.candidates(KERNEL)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shape", [(2, 20, 8, 20), (1, 16, 32, 16), (3, 9, 10, 7), (2, 5, 64, 3)], ids=str)
def test_cost(arm_kernels: ArmKernels, shape: tuple[int, int, int, int], turned: bool) -> None:
    products, rows, depth, columns = shape
    dice = Dice(1, 12)
    a = dice.array((products, rows, depth))
    b = dice.array((products, columns, depth) if turned else (products, depth, columns))
    predicted(arm_kernels, KERNEL, layer_of(BatchMatMul(False, turned), a, b, (3, -4, 5), 0.003), 0.05)


def test_a_call_writes_no_more_than_its_scratch(arm_kernels: ArmKernels) -> None:
    """One word less, and the guard behind it is hit."""
    dice = Dice(3, 8)
    layer = layer_of(BatchMatMul(True), dice.array((9, 6)), dice.array((9, 5)), (1, 2, 3), 0.01)
    (candidate,) = layer.candidates(KERNEL)
    short = replace(candidate, scratch_bytes=candidate.scratch_bytes - 4)
    with pytest.raises(AssertionError, match="written outside"):
        arm_kernels.run(short, layer.arrays, layer.output.shape)
