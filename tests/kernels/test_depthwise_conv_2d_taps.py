"""Depthwise convolutions of any kind: exact from rings and in any portions, as cheap as predicted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from arm import ArmKernels
from held import Layer, check, measured
from hypothesis import HealthCheck, given, settings
from test_convolutions import bias_of, channel_clamp, channel_scales, fitting_scales, spread_of

from pipeline.kernels.cortex_m4.depthwise_conv_2d_taps import DepthwiseConv2DTaps
from pipeline.operators.base import Activation
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.operators.windows import Pads, same_pads
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import DICE, Dice

KERNEL = DepthwiseConv2DTaps()
pytestmark = pytest.mark.toolchain


def any_layer(dice: Dice) -> Layer:
    """Few or many channels, one output of each or several, any window that fits."""
    window = dice.integer(1, 5), dice.integer(1, 5)
    dilation = dice.pick([(1, 1), (1, 1), (2, 1), (1, 3)])
    pads = tuple((dice.integer(0, 2), dice.integer(0, 2)) for _ in range(2))
    size = tuple(
        max((taps - 1) * step + 1 - sum(pad), 1) + dice.length(0, 6)
        for taps, step, pad in zip(window, dilation, pads, strict=True)
    )
    channels, outputs = dice.pick([(dice.integer(1, 13), 1), (dice.integer(1, 4), dice.integer(2, 4))])
    shape = (1, *size, channels)
    return layer_of(dice, shape, window, outputs, dice.integer(1, 3), dilation, (pads[0], pads[1]))


def layer_of(
    dice: Dice, shape: tuple[int, ...], window: tuple[int, int], outputs: int, stride: int,
    dilation: tuple[int, int], pads: Pads,
) -> Layer:  # fmt: skip
    """`outputs` of each input channel; sometimes pooled."""
    channels = shape[3] * outputs
    x, w = dice.array(shape), dice.array((1, *window, channels))
    zero = dice.zero_point()
    spread = spread_of(x, zero, w, window[0] * window[1])
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread)
    scales = channel_scales(dice, w_scale, channels)
    scales = scales if isinstance(scales, tuple) else (scales,)
    op = DepthwiseConv2D(
        stride=(stride, dice.integer(1, 2) if stride < 3 else stride),
        dilation=dilation,
        pads=pads,
        activation=dice.pick(list(Activation)[:4]),
        floor=channel_clamp(dice, channels, -128, 40),
        ceiling=channel_clamp(dice, channels, 41, 127),
    )
    tensors = [
        Tensor("x", x.shape, "int8", Quantization((x_scale,), (zero,))),
        Tensor("w", w.shape, "int8", Quantization(scales, (0,) * len(scales), 3), w),
        Tensor("b", (channels,), "int32", None, bias_of(dice, channels, spread)),
    ]
    height, width = op.output_shape(tensors)[1:3]
    if dice.chance(0.3):
        op = replace(op, pool=(dice.integer(1, min(2, height)), dice.integer(1, min(3, width))))
    output = Tensor("y", op.output_shape(tensors), "int8", Quantization((scale,), (dice.zero_point(),)))
    return Layer(op, tensors, output, [x])


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    check(arm_kernels, KERNEL, any_layer(dice), dice)


def test_layers_of_all_kinds_are_drawn() -> None:
    layers = [any_layer(Dice(n, 8)) for n in range(200)]
    taken = [layer for layer in layers if layer.candidates(KERNEL)]
    assert len(taken) > 180
    features = [layer.candidates(KERNEL)[0].features for layer in taken]
    for name in ("pooled", "clamped", "copied_bytes", "few_channels", "moved_taps"):
        assert 20 < sum(name in each for each in features) < 195, name


def test_layers_that_are_scaled_up_are_refused() -> None:
    layer = layer_of(Dice(1, 8), (1, 8, 8, 8), (3, 3), 1, 1, (1, 1), ((1, 1), (1, 1)))
    assert layer.candidates(KERNEL)
    layer.output = replace(layer.output, quantization=Quantization((1e-6,), (0,)))
    assert layer.candidates(KERNEL) == ()


@pytest.mark.parametrize(
    ("size", "channels", "window", "outputs"),
    [((12, 12), 36, (5, 5), 1), ((16, 16), 8, (3, 3), 2), ((10, 10), 3, (3, 3), 1), ((16, 16), 1, (5, 5), 8)],
)
def test_cost(
    arm_kernels: ArmKernels, size: tuple[int, int], channels: int, window: tuple[int, int], outputs: int
) -> None:
    pads = same_pads(size, window, (1, 1))
    layers = (
        layer_of(Dice(seed, 12), (1, *size, channels), window, outputs, 1, (1, 1), pads) for seed in range(40)
    )
    layer = next(layer for layer in layers if layer.candidates(KERNEL))
    candidate = layer.candidates(KERNEL)[-1]
    figures = measured(arm_kernels, candidate, layer)
    assert candidate.cost.instructions == pytest.approx(figures.instructions, rel=0.05)
    assert candidate.cost.cycles == pytest.approx(figures.zero_wait_cycles, rel=0.05)
