"""Depthwise 3 x 3: exact from rings and in any portions, by rows and by columns, as cheap as predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arm import ArmKernels
from held import Layer, cost_of, equal
from hypothesis import HealthCheck, given, settings
from test_convolutions import bias_of, channel_clamp, channel_scales, fitting_scales, spread_of

from pipeline.kernels.base import Candidate
from pipeline.kernels.cortex_m4.depthwise import Channels, Filters, exact_filters
from pipeline.kernels.cortex_m4.depthwise_conv_2d_3x3 import DepthwiseConv2D3x3
from pipeline.operators.base import Activation
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.operators.windows import same_pads
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import DICE, Dice

KERNEL = DepthwiseConv2D3x3()
pytestmark = pytest.mark.toolchain
many = settings(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def layer_of(
    dice: Dice,
    size: tuple[int, int],
    channels: int,
    stride: int,
    pads: tuple[int, ...],
    like_a_net: bool = False,
) -> Layer:
    """`pads` are top, bottom, left, right. `like_a_net`: with a ReLU and factors as layers have them."""
    x, w = dice.array((1, *size, channels)), dice.array((1, 3, 3, channels))
    zero = dice.zero_point()
    spread = spread_of(x, zero, w, 9)
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread)
    made_zero = dice.zero_point()
    if like_a_net:
        scale, made_zero = x_scale * w_scale * 2.0 ** dice.integer(0, 11), dice.pick([-128, -128, -100, 3])
    scales = channel_scales(dice, w_scale, channels)
    scales = scales if isinstance(scales, tuple) else (scales,)
    op = DepthwiseConv2D(
        stride=(stride, stride),
        pads=(pads[:2], pads[2:]),
        activation=Activation.RELU if like_a_net else dice.pick(list(Activation)[:4]),
        floor=None if like_a_net else channel_clamp(dice, channels, -128, 40),
        ceiling=None if like_a_net else channel_clamp(dice, channels, 41, 127),
    )
    tensors = [
        Tensor("x", x.shape, "int8", Quantization((x_scale,), (zero,))),
        Tensor("w", w.shape, "int8", Quantization(scales, (0,) * len(scales), 3), w),
        Tensor("b", (channels,), "int32", None, bias_of(dice, channels, spread)),
    ]
    output = Tensor("y", op.output_shape(tensors), "int8", Quantization((scale,), (made_zero,)))
    return Layer(op, tensors, output, [x])


def any_layer(dice: Dice) -> Layer:
    pads = tuple(dice.integer(0, 2 if dice.chance(0.2) else 1) for _ in range(4))
    size = dice.length(3, 12), dice.length(3, 12)
    return layer_of(dice, size, dice.integer(4, 17), dice.integer(1, 2), pads, dice.chance(0.6))


def check(arm: ArmKernels, layer: Layer, candidates: list[Candidate], dice: Dice) -> None:
    """These give the reference's integers: in one call, and from rings in portions of any size."""
    wanted = layer.wanted()
    for candidate in candidates:
        equal(arm.run(candidate, layer.arrays, wanted.shape), wanted, candidate)
        if candidate.streams:
            portions = layer.portions(dice, dice.integer(1, 5))
            read = max(high - low for portion in portions for low, high in portion.reads)
            rows = max(read, *(portion.count for portion in portions)) + dice.integer(0, 2)
            called = arm.run(candidate, layer.arrays, wanted.shape, portions=portions, ring_rows=rows)
            equal(called, wanted, candidate)


@many
@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    layer = any_layer(dice)
    found = list(layer.candidates(KERNEL))
    down = [candidate for candidate in found if not candidate.streams]
    if found:
        check(arm_kernels, layer, [dice.pick(found), dice.pick(found), dice.pick(down)], dice)


def filters_of(layer: Layer) -> Filters | None:
    weights = layer.tensors[1]
    assert weights is not None
    assert weights.data is not None
    p = layer.op.parameters(layer.tensors, layer.output)
    by_channel = weights.data.reshape(9, -1).T.astype(np.int64)
    return exact_filters(Channels.of(p, by_channel), by_channel)


def test_layers_of_all_kinds_are_drawn() -> None:
    found = [filters_of(any_layer(Dice(n, 8))) for n in range(200)]
    taken = [filters for filters in found if filters is not None]
    assert len(taken) > 180
    mixed = [f for f in taken if f.any_shift.any() and not f.any_shift.all()]
    scaled = [f for f in taken if not f.any_shift.any()]
    assert len(mixed) > 10
    assert len(scaled) > 40
    assert 40 < sum(bool(f.channels.clamps.any()) for f in taken) < 160


@pytest.mark.parametrize("value", [-128, 127])
def test_the_largest_sums(arm_kernels: ArmKernels, value: int) -> None:
    """All weights and bytes at one end, with shifts at both ends of what is scaled."""
    for shift in (2, 3, 9, 10):
        layer = net_layer((4, 5), 4, 1, shift=shift)
        weights = np.full((1, 3, 3, 4), 127, np.int8)
        weights[..., 1::2] = -127
        layer.tensors[1] = replace(layer.tensors[1], data=weights)
        layer.arrays[0] = np.full((1, 4, 5, 4), value, np.int8)
        filters = filters_of(layer)
        assert filters is not None
        assert filters.any_shift.all() == (shift not in range(3, 10))
        check(arm_kernels, layer, list(layer.candidates(KERNEL)), Dice(1, 4))


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_weights_so_small_that_they_could_be_scaled(arm_kernels: ArmKernels, shift: int) -> None:
    """Without a shift to the right the reference rounds once."""
    layer = net_layer((6, 7), 8, 1, shift=shift)
    weights = np.random.default_rng(2).integers(-2, 3, (1, 3, 3, 8), np.int8)
    layer.tensors[1] = replace(layer.tensors[1], data=weights)
    layer.tensors[2] = replace(layer.tensors[2], data=np.arange(-8, 8, 2, np.int32))
    check(arm_kernels, layer, list(layer.candidates(KERNEL))[:2], Dice(1, 4))


def net_layer(
    size: tuple[int, int], channels: int, stride: int, shift: int = 7, window: int = 3, dilation: int = 1
) -> Layer:
    """As networks have them: SAME padding, a ReLU that saturates, one factor of about 2**-shift."""
    rng = np.random.default_rng(1)
    op = DepthwiseConv2D(
        stride=(stride, stride),
        dilation=(dilation, dilation),
        pads=same_pads(size, (window, window), (stride, stride)),
        activation=Activation.RELU,
    )
    scale = 0.75 * 2.0**-shift
    tensors = [
        Tensor("x", (1, *size, channels), "int8", Quantization((1.0,), (3,))),
        Tensor(
            "w", (1, window, window, channels), "int8", Quantization((scale,), (0,)),
            rng.integers(-127, 128, (1, window, window, channels), np.int8),
        ),
        Tensor("b", (channels,), "int32", None, rng.integers(-900, 900, channels, np.int32)),
    ]  # fmt: skip
    output = Tensor("y", op.output_shape(tensors), "int8", Quantization((1.0,), (-128,)))
    return Layer(op, tensors, output, [rng.integers(-128, 128, (1, *size, channels), np.int8)])


@pytest.mark.parametrize(
    "layer",
    [
        net_layer((8, 8), 8, 3),
        net_layer((8, 8), 3, 1),
        net_layer((8, 8), 8, 1, window=5),
        net_layer((8, 8), 8, 1, dilation=2),
        net_layer((8, 8), 8, 1, shift=-1),
    ],
    ids=["stride 3", "3 channels", "5 x 5", "dilated", "scaled up"],
)
def test_refused(layer: Layer) -> None:
    assert layer.candidates(KERNEL) == ()


@pytest.mark.parametrize(
    ("size", "channels", "stride"),
    [((25, 5), 64, 1), ((24, 24), 16, 1), ((24, 24), 8, 2), ((6, 6), 64, 1), ((3, 3), 128, 1)],
)
def test_cost(arm_kernels: ArmKernels, size: tuple[int, int], channels: int, stride: int) -> None:
    """Of a ReLU, and with filters of any shift and clamps."""
    for shift in (7, 11):
        layer = net_layer(size, channels, stride, shift)
        if shift > 7:
            layer.output = replace(layer.output, quantization=Quantization((1.0,), (-100,)))
        found = layer.candidates(KERNEL)
        for candidate in (found[-1], Dice(channels + shift, 8).pick(found)):
            figures = cost_of(arm_kernels, candidate, layer)
            assert candidate.cost.instructions == pytest.approx(figures.instructions, rel=0.05)
            assert candidate.cost.cycles == pytest.approx(figures.zero_wait_cycles, rel=0.05)


def test_cycles_of_a_product(arm_kernels: ArmKernels) -> None:
    """Whole maps, filters in RAM: at most so many cycles and instructions for each multiplication."""
    for size, channels, stride, cycles, instructions in (
        ((25, 5), 64, 1, 2.15, 1.75),
        ((24, 24), 32, 1, 2.05, 1.7),
        ((24, 24), 16, 2, 3.4, 2.9),
    ):
        layer = net_layer(size, channels, stride)
        best = min(layer.candidates(KERNEL), key=lambda c: c.cost.cycles + c.flash_read_bytes)
        figures = cost_of(arm_kernels, best, layer)
        products = 9 * np.prod(layer.output.shape)
        assert figures.cycles < cycles * products
        assert figures.instructions < instructions * products
