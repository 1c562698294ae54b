"""FULLY_CONNECTED, of one row and of many: exact, as cheap as predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from arm import ArmKernels
from held import Layer, check, measured, predicted
from hypothesis import given
from test_convolutions import bias_of, channel_scales, fitting_scales, spread_of

from pipeline.kernels.cortex_m4.fully_connected import InnerProduct
from pipeline.kernels.cortex_m4.fully_connected_bytes import FullyConnectedBytes
from pipeline.kernels.cortex_m4.fully_connected_gemm import FullyConnectedGemm
from pipeline.kernels.cortex_m4.fully_connected_pairs import FullyConnectedPairs
from pipeline.tensors import Tensor
from tests.property.cases import DICE, Dice
from tests.property.tflite_builder import Spec

WIDENED, BYTES, ROWS = FullyConnectedPairs(), FullyConnectedBytes(), FullyConnectedGemm()
KERNELS = pytest.mark.parametrize("kernel", [WIDENED, BYTES], ids=lambda kernel: kernel.name)


def dense(
    dice: Dice, rows: int, depth: int, outputs: int, activation: int = 0, outer: tuple[int, ...] | None = None
) -> Layer:
    """`outer` are the rows' dimensions, where they are kept."""
    shape = (*(outer or (rows,)), depth)
    zero, x, w = dice.zero_point(), dice.array(shape), dice.array((outputs, depth))
    spread = spread_of(x, zero, w, depth)
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread)
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = activation
    options.keepNumDims = outer is not None
    inputs = [
        Spec(shape, scale=x_scale, zero_point=zero),
        Spec((outputs, depth), scale=channel_scales(dice, w_scale, outputs), data=w),
        Spec((outputs,), "int32", x_scale * w_scale, data=bias_of(dice, outputs, spread)),
    ]
    output = Spec((*shape[:-1], outputs), scale=scale, zero_point=dice.zero_point())
    return Layer.read("FULLY_CONNECTED", options, inputs, output, [x])


@pytest.mark.toolchain
@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    depth = dice.pick([dice.integer(1, 70), 4 * dice.integer(1, 17), dice.integer(129, 300)])
    layer = dense(dice, dice.length(1, 3), depth, dice.integer(1, 23), dice.integer(0, 3))
    check(arm_kernels, WIDENED, layer, dice)
    check(arm_kernels, BYTES, layer, dice)


@pytest.mark.toolchain
@given(dice=DICE)
def test_many_rows(arm_kernels: ArmKernels, dice: Dice) -> None:
    rows = dice.length(2, 9)
    outer = dice.pick([None, (1, rows), (rows,), (1, 2, rows), (3, rows)])
    layer = dense(dice, rows, dice.length(1, 40), dice.length(1, 9), dice.integer(0, 3), outer)
    check(arm_kernels, ROWS, layer, dice)


@pytest.mark.toolchain
@KERNELS
@pytest.mark.parametrize(
    ("depth", "outputs", "tolerance"),
    [(640, 128, 0.05), (128, 128, 0.05), (128, 8, 0.05), (8, 128, 0.05), (512, 64, 0.05), (64, 10, 0.05)],
)
def test_cost(
    arm_kernels: ArmKernels, kernel: InnerProduct, depth: int, outputs: int, tolerance: float
) -> None:
    predicted(arm_kernels, kernel, dense(Dice(1, 12), 1, depth, outputs), tolerance)


@pytest.mark.toolchain
def test_cost_of_what_fills_no_word(arm_kernels: ArmKernels) -> None:
    predicted(arm_kernels, WIDENED, dense(Dice(1, 12), 1, 13, 3), 0.15)


def test_bytes_that_fill_no_word_are_refused() -> None:
    """The last word would hold bytes of something else, that may change meanwhile."""
    assert not dense(Dice(1, 12), 1, 13, 3).candidates(BYTES)
    assert dense(Dice(1, 12), 1, 12, 3).candidates(BYTES)[0].scratch_bytes == 0


@pytest.mark.toolchain
@pytest.mark.parametrize(("kernel", "instructions", "cycles"), [(WIDENED, 0.94, 1.34), (BYTES, 1.06, 1.41)])
def test_cost_of_a_product(
    arm_kernels: ArmKernels, kernel: InnerProduct, instructions: float, cycles: float
) -> None:
    layer = dense(Dice(1, 12), 1, 640, 128)
    figures = measured(arm_kernels, layer.candidates(kernel)[0], layer)
    assert figures.instructions < instructions * 640 * 128
    assert figures.zero_wait_cycles < cycles * 640 * 128


def with_factor(multiplier: float, weights: np.ndarray, zero: int = 3, rows: int = 1) -> Layer:
    """A dense layer whose sums are multiplied by this."""
    inputs = [
        Spec((rows, weights.shape[1]), scale=1.0, zero_point=zero),
        Spec(weights.shape, scale=multiplier, data=weights),
        None,
    ]
    x = np.random.default_rng(2).integers(-128, 128, (rows, weights.shape[1]), np.int8)
    output = Spec((rows, weights.shape[0]), scale=1.0, zero_point=-2)
    return Layer.read("FULLY_CONNECTED", schema.FullyConnectedOptionsT(), inputs, output, [x])


@pytest.mark.toolchain
@pytest.mark.parametrize("bits", [3, 7, 12])
def test_ties_of_powers_of_two(arm_kernels: ArmKernels, bits: int) -> None:
    """Every sum that lies at a half and beside it, of either sign: one weight of 1, many biases."""
    ties = np.arange(-100, 100) * 2**bits + 2 ** (bits - 1)
    bias = np.concatenate([ties - 1, ties, ties + 1]).astype(np.int32)
    weights = np.ones((len(bias), 1), np.int8)
    layer = with_factor(2.0**-bits, weights, 0)
    assert layer.tensors[1] is not None
    layer.tensors[2] = Tensor("bias", bias.shape, "int32", None, bias)
    layer.arrays = [np.zeros((1, 1), np.int8)]
    assert check(arm_kernels, WIDENED, layer, Dice(1, 1)) > 0
    x, weights, _ = layer.tensors
    assert x is not None
    layer.tensors[0], layer.arrays = replace(x, shape=(2, 1)), [np.zeros((2, 1), np.int8)]
    layer.output = replace(layer.output, shape=(2, len(bias)))
    assert check(arm_kernels, ROWS, layer, Dice(1, 1)) == 3


@pytest.mark.toolchain
@pytest.mark.parametrize("weight", [-127, 127])
@pytest.mark.parametrize("pixel", [-128, 127])
@pytest.mark.parametrize("bits", [2, 9, 15])
def test_rows_of_numbers_at_the_ends_of_their_range(
    arm_kernels: ArmKernels, weight: int, pixel: int, bits: int
) -> None:
    layer = with_factor(2.0**-bits, np.full((3, 90), weight, np.int8), rows=5)
    layer.arrays = [np.full((5, 90), pixel, np.int8)]
    assert check(arm_kernels, ROWS, layer, Dice(1, 1)) == 3


def test_rows_whose_sums_or_factors_leave_no_room_are_refused() -> None:
    weights = np.ones((2, 8), np.int8)
    for factor, taken in ((0.49, True), (0.5, False), (2.0, False)):
        assert bool(with_factor(factor, weights, rows=2).candidates(ROWS)) is taken
    assert not with_factor(0.1, weights).candidates(ROWS)


@pytest.mark.toolchain
@pytest.mark.parametrize("shape", [(16, 32, 64), (50, 24, 10), (9, 13, 5), (2, 64, 30)], ids=str)
def test_cost_of_many_rows(arm_kernels: ArmKernels, shape: tuple[int, int, int]) -> None:
    predicted(arm_kernels, ROWS, dense(Dice(1, 12), *shape, outer=(1, shape[0])), 0.05)


def test_what_cannot_be_proved_is_refused() -> None:
    weights = np.random.default_rng(1).integers(-127, 128, (4, 64), np.int8)
    assert layer_is_accepted(0.01, weights)
    # No room for half a unit below the result.
    assert not layer_is_accepted(0.4, weights)


def layer_is_accepted(factor: float, weights: np.ndarray) -> bool:
    return bool(with_factor(factor, weights).candidates(WIDENED))
