"""The mean along any neighbouring axes: exact, as cheap as predicted."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from arm import ArmKernels
from held import Layer, check, measured, predicted
from hypothesis import given

from pipeline.kernels.cortex_m4.mean_axes import MeanAxes
from tests.property.cases import DICE, Dice
from tests.property.tflite_builder import Spec

KERNEL = MeanAxes()
pytestmark = pytest.mark.toolchain


def layer_of(dice: Dice, shape: tuple[int, ...], axes: list[int]) -> Layer:
    options = schema.ReducerOptionsT()
    options.keepDims = dice.chance()
    scale = dice.factor()
    inputs = [
        Spec(shape, scale=scale, zero_point=dice.zero_point()),
        Spec((len(axes),), "int32", data=np.array(axes, np.int32)),
    ]
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    made = tuple(kept if options.keepDims else np.delete(kept, axes).tolist())
    output = Spec(
        made, scale=float(np.float32(scale * dice.between(0.02, 3.0))), zero_point=dice.zero_point()
    )
    return Layer.read("MEAN", options, inputs, output, [dice.array(shape)])


@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    rank = dice.integer(2, 4)
    shape = (1, *(dice.length(1, 11) for _ in range(rank - 1)))
    first = dice.integer(1, rank - 1)
    axes = list(range(first, dice.integer(first, rank - 1) + 1))
    assert check(arm_kernels, KERNEL, layer_of(dice, shape, axes), dice)


@pytest.mark.parametrize(("shape", "axes"), [((1, 2, 2051), [2]), ((1, 700, 5), [1])])
@pytest.mark.parametrize("value", [-128, 127])
def test_sums_longer_than_half_words_hold(
    arm_kernels: ArmKernels, shape: tuple[int, ...], axes: list[int], value: int
) -> None:
    layer = layer_of(Dice(3, 12), shape, axes)
    layer.arrays = [np.full(shape, value, np.int8)]
    assert check(arm_kernels, KERNEL, layer, Dice(3, 12))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((1, 256, 16), [2]), ((1, 60, 90), [2]), ((1, 256, 12), [1]), ((1, 16, 16, 32), [1, 2])],
)
def test_cost(arm_kernels: ArmKernels, shape: tuple[int, ...], axes: list[int]) -> None:
    predicted(arm_kernels, KERNEL, layer_of(Dice(1, 12), shape, axes), 0.08)


def test_instructions_of_an_element(arm_kernels: ArmKernels) -> None:
    layer = layer_of(Dice(1, 12), (1, 8, 400), [2])
    (candidate,) = layer.candidates(KERNEL)
    assert measured(arm_kernels, candidate, layer).instructions < 2 * 8 * 400
