"""Maps joined and stretched row by row: exact from rings and in any portions, as cheap as predicted."""

from __future__ import annotations

import numpy as np
import pytest
from arm import ArmKernels
from held import Layer, check, predicted
from hypothesis import HealthCheck, given, settings

from pipeline.kernels.cortex_m4.concatenation_rows import MOST_INPUTS, ConcatenationRows
from pipeline.kernels.cortex_m4.select_rows import SelectRows
from pipeline.operators.concatenation import Concatenation
from pipeline.operators.mirror_pad import MirrorPad
from pipeline.operators.resize_nearest_neighbor import ResizeNearestNeighbor
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import DICE, Dice

JOINING, SELECTING = ConcatenationRows(), SelectRows()
SCALE = Quantization((0.1,), (3,))
pytestmark = pytest.mark.toolchain
exactly = settings(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def joined(dice: Dice, axis: int, shapes: list[tuple[int, ...]]) -> Layer:
    op = Concatenation(axis)
    inputs = [Tensor(f"x{i}", shape, "int8", SCALE) for i, shape in enumerate(shapes)]
    output = Tensor("y", op.output_shape(inputs), "int8", SCALE)
    assert op.problems(inputs, output) == []
    return Layer(op, list(inputs), output, [dice.array(shape) for shape in shapes])


def selected(dice: Dice, op: ResizeNearestNeighbor | MirrorPad, shape: tuple[int, ...]) -> Layer:
    x, second = Tensor("x", shape, "int8", SCALE), Tensor("s", (2,), "int32", None, np.zeros(2, np.int32))
    output = Tensor("y", op.output_shape([x, second]), "int8", SCALE)
    assert op.problems([x, second], output) == []
    return Layer(op, [x, second], output, [dice.array(shape)])


@exactly
@given(dice=DICE)
def test_joined_exactly(arm_kernels: ArmKernels, dice: Dice) -> None:
    height, width, channels = dice.integer(1, 6), dice.integer(1, 7), dice.integer(1, 40)
    axis, count = dice.pick([2, 3]), dice.integer(2, MOST_INPUTS)
    lengths = [dice.integer(1, 37) for _ in range(count)]
    shapes = [(1, height, n, channels) if axis == 2 else (1, height, width, n) for n in lengths]
    assert check(arm_kernels, JOINING, joined(dice, axis, shapes), dice) == 1


def test_rows_that_do_not_lie_beside_each_other_are_left_to_others() -> None:
    dice = Dice(1, 8)
    shape = (1, 4, 4, 8)
    assert joined(dice, 1, [shape, shape]).candidates(JOINING) == ()
    assert joined(dice, 1, [(1, 8), (1, 4)]).candidates(JOINING) == ()
    assert joined(dice, 3, [shape] * (MOST_INPUTS + 1)).candidates(JOINING) == ()


@exactly
@given(dice=DICE)
def test_selected_exactly(arm_kernels: ArmKernels, dice: Dice) -> None:
    shape = 1, dice.integer(2, 7), dice.integer(2, 7), dice.integer(1, 40)
    if dice.chance():
        options = dice.pick([(False, False), (True, False), (False, True)])
        op = ResizeNearestNeighbor((dice.integer(1, 15), dice.integer(1, 15)), *options)
    else:
        reflect = dice.chance()
        before, behind = ([dice.integer(0, size - reflect) for size in shape[1:3]] for _ in range(2))
        pads = ((0, 0), *zip(before, behind, strict=True), (0, 0))
        op = MirrorPad(pads, reflect)
    assert check(arm_kernels, SELECTING, selected(dice, op, shape), dice) == 1


@pytest.mark.parametrize("channels", [(16, 16), (24, 8, 4), (3, 5)])
def test_cost_of_joining(arm_kernels: ArmKernels, channels: tuple[int, ...]) -> None:
    layer = joined(Dice(2, 8), 3, [(1, 12, 10, n) for n in channels])
    predicted(arm_kernels, JOINING, layer, 0.05)


@pytest.mark.parametrize("channels", [32, 8, 3])
def test_cost_of_selecting(arm_kernels: ArmKernels, channels: int) -> None:
    layer = selected(Dice(2, 8), ResizeNearestNeighbor((16, 24)), (1, 8, 12, channels))
    predicted(arm_kernels, SELECTING, layer, 0.05)
