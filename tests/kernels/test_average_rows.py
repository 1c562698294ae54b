"""The mean of a whole map, as rows come: exact for both operators, as cheap as predicted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from arm import ArmKernels, Portion
from held import Layer
from hypothesis import given

from pipeline.kernels.cortex_m4.average_rows import AverageRows
from tests.property.cases import DICE, Dice
from tests.property.tflite_builder import Spec

KERNEL = AverageRows()
VALID = 1
pytestmark = pytest.mark.toolchain


def pooled(dice: Dice, shape: tuple[int, ...], activation: int = 0) -> Layer:
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = shape[1:3]
    options.strideH = options.strideW = 1
    options.padding = VALID
    options.fusedActivationFunction = activation
    scale, zero = dice.factor(0.005), dice.zero_point()
    output = Spec((1, 1, 1, shape[3]), scale=scale, zero_point=zero)
    x = Spec(shape, scale=scale, zero_point=zero)
    return Layer.read("AVERAGE_POOL_2D", options, [x], output, [dice.array(shape)])


def mean(dice: Dice, shape: tuple[int, ...]) -> Layer:
    options = schema.ReducerOptionsT()
    options.keepDims = dice.chance()
    scale = dice.factor()
    inputs = [
        Spec(shape, scale=scale, zero_point=dice.zero_point()),
        Spec((2,), "int32", data=np.array([1, 2], np.int32)),
    ]
    kept = (1, 1, 1, shape[3]) if options.keepDims else (1, shape[3])
    output = Spec(kept, scale=float(np.float32(scale * dice.between(0.3, 3.0))), zero_point=dice.zero_point())
    return Layer.read("MEAN", options, inputs, output, [dice.array(shape)])


def layer_of(dice: Dice, shape: tuple[int, ...]) -> Layer:
    return mean(dice, shape) if dice.chance() else pooled(dice, shape, dice.integer(0, 3))


@given(dice=DICE)
def test_exact_in_any_portions(arm_kernels: ArmKernels, dice: Dice) -> None:
    height = dice.length(1, 9)
    layer = layer_of(dice, (1, height, dice.length(1, 9), dice.length(1, 11)))
    wanted = layer.wanted()
    for candidate in layer.candidates(KERNEL):
        cuts = sorted({0, height, *(dice.integer(0, height) for _ in range(3))})
        portions = [Portion(a, b - a, ((a, b),)) for a, b in pairwise(cuts)]
        rows = max(portion.count for portion in portions)
        for how in ({}, {"portions": portions, "ring_rows": rows}):
            called = arm_kernels.run(candidate, layer.arrays, wanted.shape, **how)
            np.testing.assert_array_equal(called.output, wanted)


def test_rows_longer_than_half_words_hold(arm_kernels: ArmKernels) -> None:
    layer = pooled(Dice(3, 12), (1, 2, 700, 5))
    layer.arrays = [np.full((1, 2, 700, 5), -128, np.int8)]
    (candidate,) = layer.candidates(KERNEL)
    called = arm_kernels.run(candidate, layer.arrays, layer.wanted().shape)
    np.testing.assert_array_equal(called.output, layer.wanted())


@pytest.mark.parametrize("shape", [(1, 8, 8, 64), (1, 25, 5, 64), (1, 3, 3, 128)])
def test_cost(arm_kernels: ArmKernels, shape: tuple[int, ...]) -> None:
    """Row by row, as its input comes: what its cost is meant for."""
    layer = pooled(Dice(1, 12), shape)
    (candidate,) = layer.candidates(KERNEL)
    portions = [Portion(row, 1, ((row, row + 1),)) for row in range(shape[1])]
    called = arm_kernels.run(candidate, layer.arrays, layer.wanted().shape, portions=portions, cycles=True)
    assert called.figures is not None
    assert candidate.cost.instructions == pytest.approx(called.figures.instructions, rel=0.05)
    assert candidate.cost.cycles == pytest.approx(called.figures.zero_wait_cycles, rel=0.05)
