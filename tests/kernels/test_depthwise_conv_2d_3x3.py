"""Depthwise 3 x 3: exact from rings and in any portions, as cheap as predicted."""

from __future__ import annotations

import numpy as np
import pytest
from arm import ArmKernels
from cases import DICE, Dice
from held import Layer, check, measured, predicted
from hypothesis import given
from test_convolutions import bias_of, channel_clamp, channel_scales, fitting_scales, spread_of

from pipeline.kernels.cortex_m4.depthwise_conv_2d_3x3 import DepthwiseConv2D3x3
from pipeline.operators.base import Activation
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.tensors import Quantization, Tensor

KERNEL = DepthwiseConv2D3x3()
pytestmark = pytest.mark.toolchain


def layer_of(dice: Dice, size: tuple[int, int], channels: int, stride: int, pads: tuple[int, ...]) -> Layer:
    """`pads` are top, bottom, left, right."""
    x, w = dice.array((1, *size, channels)), dice.array((1, 3, 3, channels))
    zero = dice.zero_point()
    spread = spread_of(x, zero, w, 9)
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread)
    scales = channel_scales(dice, w_scale, channels)
    scales = scales if isinstance(scales, tuple) else (scales,)
    op = DepthwiseConv2D(
        stride=(stride, stride),
        pads=(pads[:2], pads[2:]),
        activation=dice.pick(list(Activation)[:4]),
        floor=channel_clamp(dice, channels, -128, 40),
        ceiling=channel_clamp(dice, channels, 41, 127),
    )
    tensors = [
        Tensor("x", x.shape, "int8", Quantization((x_scale,), (zero,))),
        Tensor("w", w.shape, "int8", Quantization(scales, (0,) * len(scales), 3), w),
        Tensor("b", (channels,), "int32", None, bias_of(dice, channels, spread)),
    ]
    output = Tensor("y", op.output_shape(tensors), "int8", Quantization((scale,), (dice.zero_point(),)))
    return Layer(op, tensors, output, [x])


@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    pads = tuple(dice.integer(0, 1) for _ in range(4))
    size = (dice.length(3, 12), dice.length(3, 12))
    check(arm_kernels, KERNEL, layer_of(dice, size, 4 * dice.integer(1, 4), dice.integer(1, 2), pads), dice)


def test_most_layers_have_a_candidate() -> None:
    taken = [bool(layer_of(Dice(n, 8), (5, 5), 8, 1, (1, 1, 1, 1)).candidates(KERNEL)) for n in range(100)]
    assert sum(taken) > 60


@pytest.mark.parametrize(
    ("size", "channels", "stride"), [((25, 5), 64, 1), ((24, 24), 32, 1), ((48, 48), 8, 2), ((6, 6), 128, 1)]
)
def test_cost(arm_kernels: ArmKernels, size: tuple[int, int], channels: int, stride: int) -> None:
    seed = next(n for n in range(99) if _plain(Dice(n, 12), size, channels, stride))
    predicted(arm_kernels, KERNEL, layer_of(Dice(seed, 12), size, channels, stride, (1, 1, 1, 1)), 0.06)


def _plain(dice: Dice, size: tuple[int, int], channels: int, stride: int) -> bool:
    """A layer that the kernel takes, without ceilings."""
    layer = layer_of(dice, size, channels, stride, (1, 1, 1, 1))
    return (
        bool(layer.candidates(KERNEL))
        and layer.op.ceiling is None
        and layer.op.activation in {Activation.NONE, Activation.RELU}
    )


def test_a_product_takes_fewer_than_five_instructions(arm_kernels: ArmKernels) -> None:
    seed = next(n for n in range(99) if _plain(Dice(n, 12), (24, 24), 32, 1))
    layer = layer_of(Dice(seed, 12), (24, 24), 32, 1, (1, 1, 1, 1))
    figures = measured(arm_kernels, layer.candidates(KERNEL)[0], layer)
    assert figures.instructions < 5 * 9 * np.prod(layer.output.shape)
