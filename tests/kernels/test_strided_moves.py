"""What only picks elements: every walk through an input, as cheap as predicted."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from arm import ArmKernels
from held import Layer, check, measured, predicted
from hypothesis import given

from pipeline.kernels.cortex_m4.strided_moves import StridedMoves
from tests.property.cases import DICE, Dice
from tests.property.tflite_builder import Spec

KERNEL = StridedMoves()
pytestmark = pytest.mark.toolchain


def transposed(dice: Dice, shape: tuple[int, ...], order: tuple[int, ...]) -> Layer:
    inputs = [Spec(shape, scale=0.05), Spec((len(order),), "int32", data=np.array(order, np.int32))]
    output = Spec(tuple(shape[axis] for axis in order), scale=0.05)
    return Layer.read("TRANSPOSE", schema.TransposeOptionsT(), inputs, output, [dice.array(shape)])


def sliced(dice: Dice, shape: tuple[int, ...]) -> Layer:
    begin = [dice.integer(0, size - 1) for size in shape]
    size = [dice.integer(1, whole - first) for whole, first in zip(shape, begin, strict=True)]
    indices = [Spec((len(shape),), "int32", data=np.array(each, np.int32)) for each in (begin, size)]
    inputs = [Spec(shape, scale=0.05), *indices]
    return Layer.read(
        "SLICE", schema.SliceOptionsT(), inputs, Spec(tuple(size), scale=0.05), [dice.array(shape)]
    )


@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    rank = dice.integer(2, 5)
    shape = (1, *(dice.length(1, 7) for _ in range(rank - 2)), dice.length(1, 90))
    if dice.chance():
        order = tuple(int(axis) for axis in dice.random.permutation(rank))
        assert check(arm_kernels, KERNEL, transposed(dice, shape, order), dice)
    else:
        assert check(arm_kernels, KERNEL, sliced(dice, shape), dice)


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((1, 24, 24, 16), (0, 3, 1, 2)),
        ((1, 90, 4, 32), (0, 2, 1, 3)),
        ((1, 64, 3, 4), (0, 1, 3, 2)),
        ((1, 8, 6, 80), (0, 2, 1, 3)),
    ],
)
def test_cost(arm_kernels: ArmKernels, shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    predicted(arm_kernels, KERNEL, transposed(Dice(1, 12), shape, order), 0.08)


def test_instructions_of_an_element(arm_kernels: ArmKernels) -> None:
    layer = transposed(Dice(1, 12), (1, 24, 24, 16), (0, 3, 1, 2))
    (candidate,) = layer.candidates(KERNEL)
    assert measured(arm_kernels, candidate, layer).instructions < 5 * layer.output.elements
