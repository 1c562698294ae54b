"""Pooling of any window: exact from rings and in any portions, as cheap as predicted."""

from __future__ import annotations

import numpy as np
import pytest
from arm import ArmKernels
from held import Layer, check
from hypothesis import HealthCheck, given, settings

from pipeline.kernels.cortex_m4.pool_rows import PoolRows
from pipeline.operators.average_pool_2d import AveragePool2D
from pipeline.operators.base import Activation
from pipeline.operators.max_pool_2d import MaxPool2D
from pipeline.operators.windows import same_pads
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import DICE, Dice

KERNEL = PoolRows()
KINDS = (MaxPool2D, AveragePool2D)
pytestmark = pytest.mark.toolchain


def layer_of(
    dice: Dice, kind: type[MaxPool2D | AveragePool2D], shape: tuple[int, ...], window: tuple[int, int],
    stride: tuple[int, int], same: bool,
) -> Layer:  # fmt: skip
    pads = same_pads(shape[1:3], window, stride) if same else ((0, 0), (0, 0))
    op = kind(window, stride, pads, dice.pick(list(Activation)[:4]))
    quantization = Quantization((dice.factor(0.005),), (dice.zero_point(),))
    x = Tensor("x", shape, "int8", quantization)
    output = Tensor("y", op.output_shape([x]), "int8", quantization)
    return Layer(op, [x], output, [dice.array(shape)])


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    window = dice.integer(1, 4), dice.integer(1, 4)
    shape = 1, window[0] + dice.length(0, 6), window[1] + dice.length(0, 6), dice.integer(1, 21)
    stride = dice.integer(1, 3), dice.integer(1, 3)
    layer = layer_of(dice, dice.pick(KINDS), shape, window, stride, dice.chance())
    assert check(arm_kernels, KERNEL, layer, dice) == 1


@pytest.mark.parametrize("value", [-128, 127])
def test_the_largest_sums(arm_kernels: ArmKernels, value: int) -> None:
    layer = layer_of(Dice(1, 8), AveragePool2D, (1, 16, 17, 9), (16, 16), (1, 1), same=False)
    layer.arrays = [np.full((1, 16, 17, 9), value, np.int8)]
    assert check(arm_kernels, KERNEL, layer, Dice(1, 8)) == 1


def test_means_of_larger_windows_are_refused() -> None:
    shape, window = (1, 17, 17, 8), (17, 16)
    assert layer_of(Dice(1, 8), AveragePool2D, shape, window, (1, 1), same=False).candidates(KERNEL) == ()
    assert layer_of(Dice(1, 8), MaxPool2D, shape, window, (1, 1), same=False).candidates(KERNEL)


def test_the_mean_of_a_whole_map_does_not_stream() -> None:
    """Else it would keep a group from the kernel that takes rows one by one."""
    for height, streams in ((8, False), (9, True)):
        layer = layer_of(Dice(1, 8), AveragePool2D, (1, height, 8, 8), (8, 8), (1, 1), same=False)
        assert [candidate.streams for candidate in layer.candidates(KERNEL)] == [streams]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [20, 5, 3])
def test_cost(arm_kernels: ArmKernels, kind: type[MaxPool2D | AveragePool2D], channels: int) -> None:
    layer = layer_of(Dice(2, 8), kind, (1, 8, 12, channels), (3, 3), (2, 2), same=True)
    (candidate,) = layer.candidates(KERNEL)
    figures = arm_kernels.run(candidate, layer.arrays, layer.output.shape, cycles=True).figures
    assert figures is not None
    assert candidate.cost.instructions == pytest.approx(figures.instructions, rel=0.05)
    assert candidate.cost.cycles == pytest.approx(figures.zero_wait_cycles, rel=0.05)
