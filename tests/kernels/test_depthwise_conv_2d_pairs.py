"""Depthwise convolutions of pairs: exact for any window, in any portions; as cheap as predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arm import ArmKernels
from held import Layer, cost_of, equal
from hypothesis import HealthCheck, given, settings
from test_convolutions import bias_of, channel_clamp, channel_scales, fitting_scales, spread_of

from pipeline.kernels.base import Candidate
from pipeline.kernels.cortex_m4.depthwise_conv_2d_pairs import DepthwiseConv2DPairs
from pipeline.operators.base import Activation
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.operators.windows import Pads, same_pads
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import DICE, Dice

KERNEL = DepthwiseConv2DPairs()
pytestmark = pytest.mark.toolchain


def layer_of(
    dice: Dice, size: tuple[int, int], channels: int, window: tuple[int, int], stride: tuple[int, int],
    pads: Pads, like_a_net: bool = False,
) -> Layer:  # fmt: skip
    """`like_a_net`: with a ReLU and factors as layers have them."""
    x, w = dice.array((1, *size, channels)), dice.array((1, *window, channels))
    zero = dice.zero_point()
    spread = spread_of(x, zero, w, window[0] * window[1])
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread)
    made_zero = dice.zero_point()
    if like_a_net:
        scale, made_zero = x_scale * w_scale * 2.0 ** dice.integer(0, 11), dice.pick([-128, -128, -100, 3])
    scales = channel_scales(dice, w_scale, channels)
    scales = scales if isinstance(scales, tuple) else (scales,)
    clamped = not like_a_net and dice.chance()
    op = DepthwiseConv2D(
        stride=stride,
        pads=pads,
        activation=Activation.RELU if like_a_net else dice.pick(list(Activation)[:4]),
        floor=channel_clamp(dice, channels, -128, 40) if clamped else None,
        ceiling=channel_clamp(dice, channels, 41, 127) if clamped else None,
    )
    tensors = [
        Tensor("x", x.shape, "int8", Quantization((x_scale,), (zero,))),
        Tensor("w", w.shape, "int8", Quantization(scales, (0,) * len(scales), 3), w),
        Tensor("b", (channels,), "int32", None, bias_of(dice, channels, spread)),
    ]
    output = Tensor("y", op.output_shape(tensors), "int8", Quantization((scale,), (made_zero,)))
    return Layer(op, tensors, output, [x])


def any_layer(dice: Dice) -> Layer:
    """Any window that fits, often of one line, with padding on any side."""
    most = dice.pick([5, 12])
    window = dice.pick([(1, dice.integer(1, most)), (dice.integer(1, most), 1)] + 3 * [
        (dice.integer(1, most), dice.integer(1, most))
    ])  # fmt: skip
    pads = tuple((dice.integer(0, 3), dice.integer(0, 3)) for _ in range(2))
    size = tuple(max(taps - sum(pad), 1) + dice.length(0, 8) for taps, pad in zip(window, pads, strict=True))
    stride = dice.integer(1, 4), dice.pick([1, 1, 2, 2, 3, 4])
    return layer_of(dice, size, dice.integer(4, 11), window, stride, (pads[0], pads[1]), dice.chance(0.6))


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


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    layer = any_layer(dice)
    found = list(layer.candidates(KERNEL))
    down = [candidate for candidate in found if not candidate.streams]
    if found:
        check(arm_kernels, layer, [dice.pick(found), dice.pick(found), *down[:1]], dice)


def test_layers_of_all_kinds_are_drawn() -> None:
    layers = [any_layer(Dice(n, 8)) for n in range(200)]
    taken = [layer for layer in layers if layer.candidates(KERNEL)]
    assert len(taken) > 150
    found = [candidate for layer in taken for candidate in layer.candidates(KERNEL)]
    drawn = [candidate.parameters() for candidate in found]
    for name in ("down", "pairs_along"):
        assert 0.1 < np.mean([each[name] for each in drawn]) < 0.9, name
    assert 0.1 < np.mean([each["clamps"] is not None for each in drawn]) < 0.9
    # A loop for each number of words and both strides; weights are widened by as many, or one by one.
    assert len({each["runs"] for each in drawn}) == 10
    assert len({each["widen"] for each in drawn}) == 5
    scaled = [candidate.features.get("runs_any_shift", 0) == 0 for candidate in found]
    assert 0.1 < np.mean(scaled) < 0.9


def net_layer(
    size: tuple[int, int], channels: int, window: tuple[int, int], stride: tuple[int, int] = (1, 1),
    shift: int = 7, dilation: tuple[int, int] = (1, 1),
) -> Layer:  # fmt: skip
    """As networks have them: SAME padding, a ReLU that saturates, one factor of about 2**-shift."""
    rng = np.random.default_rng(1)
    op = DepthwiseConv2D(
        stride=stride, dilation=dilation, pads=same_pads(size, window, stride), activation=Activation.RELU
    )
    scale = 0.75 * 2.0**-shift
    tensors = [
        Tensor("x", (1, *size, channels), "int8", Quantization((1.0,), (3,))),
        Tensor(
            "w", (1, *window, channels), "int8", Quantization((scale,), (0,)),
            rng.integers(-127, 128, (1, *window, channels), np.int8),
        ),
        Tensor("b", (channels,), "int32", None, rng.integers(-900, 900, channels, np.int32)),
    ]  # fmt: skip
    output = Tensor("y", op.output_shape(tensors), "int8", Quantization((1.0,), (-128,)))
    return Layer(op, tensors, output, [rng.integers(-128, 128, (1, *size, channels), np.int8)])


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("window", [(5, 5), (1, 12), (12, 1)])
def test_the_largest_sums(arm_kernels: ArmKernels, value: int, window: tuple[int, int]) -> None:
    """All weights and bytes at one end, with shifts at both ends of what is scaled."""
    for shift in (2, 3, 9, 10):
        layer = net_layer((5, 6), 4, window, shift=shift)
        weights = np.full((1, *window, 4), 127, np.int8)
        weights[..., 1::2] = -127
        layer.tensors[1] = replace(layer.tensors[1], data=weights)
        layer.arrays[0] = np.full((1, 5, 6, 4), value, np.int8)
        found = list(layer.candidates(KERNEL))
        assert all(("runs_any_shift" in each.features) == (shift not in range(3, 10)) for each in found)
        check(arm_kernels, layer, found[::3], Dice(1, 4))


@pytest.mark.parametrize(
    "layer",
    [
        net_layer((8, 8), 8, (3, 3)),
        net_layer((8, 8), 8, (5, 5), (3, 3)),
        net_layer((8, 8), 3, (5, 5)),
        net_layer((8, 8), 8, (5, 5), dilation=(2, 2)),
        net_layer((8, 8), 8, (5, 5), shift=-1),
    ],
    ids=["3 x 3", "stride 3", "3 channels", "dilated", "scaled up"],
)
def test_refused(layer: Layer) -> None:
    assert not layer.candidates(KERNEL)


@pytest.mark.parametrize(
    ("size", "channels", "window", "stride"),
    [
        ((24, 24), 16, (5, 5), (1, 1)), ((12, 12), 48, (5, 5), (2, 2)), ((6, 6), 64, (5, 5), (1, 1)),
        ((14, 14), 12, (7, 7), (1, 1)), ((1, 62), 32, (1, 5), (1, 1)), ((12, 12), 24, (5, 1), (1, 1)),
    ],
)  # fmt: skip
def test_cost(
    arm_kernels: ArmKernels, size: tuple[int, int], channels: int, window: tuple[int, int],
    stride: tuple[int, int],
) -> None:  # fmt: skip
    """Of a ReLU, and with filters of any shift and clamps."""
    for shift in (7, 11):
        layer = net_layer(size, channels, window, stride, shift)
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
        ((24, 24), 16, 1, 1.9, 1.57),
        ((12, 12), 32, 1, 2.0, 1.65),
        ((24, 24), 16, 2, 2.45, 2.05),
    ):
        layer = net_layer(size, channels, (5, 5), (stride, stride))
        best = min(layer.candidates(KERNEL), key=lambda c: c.cost.cycles + c.flash_read_bytes)
        figures = cost_of(arm_kernels, best, layer)
        products = 25 * np.prod(layer.output.shape)
        assert figures.cycles < cycles * products
        assert figures.instructions < instructions * products
