"""TRANSPOSE_CONV by phases: exact from rings and in any portions, at any stride and padding; its cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arm import ArmKernels
from held import Layer, check, predicted
from hypothesis import HealthCheck, given, settings

from pipeline.kernels.cortex_m4.transpose_conv_gemm import TransposeConvGemm
from pipeline.operators.base import Activation
from pipeline.operators.transpose_conv import TransposeConv
from pipeline.operators.windows import same_pads
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import DICE, Dice, bias_of, channel_scales, fitting_scales, spread_of

KERNEL = TransposeConvGemm()
pytestmark = pytest.mark.toolchain


def layer_of(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None,
    *,
    size: tuple[int, int],
    zeros: tuple[int, int] = (0, -128),
    scales: tuple[float, float | tuple[float, ...], float] = (0.05, 0.01, 1.0),
    **attributes: Any,
) -> Layer:
    """`zeros` are those of input and output, `scales` of input, weights and output."""
    op = TransposeConv(size, **attributes)
    shape = (1, *size, len(weights))
    weights_scale = scales[1] if isinstance(scales[1], tuple) else (scales[1],)
    tensors: list[Tensor | None] = [
        Tensor("shape", (4,), "int32", None, np.array(shape, np.int32)),
        Tensor("w", weights.shape, "int8", Quantization(weights_scale, (0,) * len(weights_scale)), weights),
        Tensor("x", x.shape, "int8", Quantization((scales[0],), zeros[:1])),
        None if bias is None else Tensor("b", bias.shape, "int32", None, bias),
    ]
    output = Tensor("y", shape, "int8", Quantization(scales[2:], zeros[1:]))
    assert op.problems(tensors, output) == []
    return Layer(op, tensors, output, [x])


def draw_layer(dice: Dice) -> Layer:
    """Any: windows smaller than their strides, outputs that end before the last window or behind it."""
    window = dice.length(1, 5), dice.length(1, 5)
    stride = dice.integer(1, 4), dice.integer(1, 4)
    height, width = dice.length(1, 6), dice.length(1, 8)
    size = (
        max(height * stride[0] + dice.integer(-2, 5), 1),
        max(width * stride[1] + dice.integer(-2, 5), 1),
    )
    pads = tuple((dice.integer(0, 4), 0) for _ in range(2))
    channels, filters = dice.length(1, 9), dice.length(1, 9)
    zero, x = dice.zero_point(), dice.array((1, height, width, channels))
    weights = np.maximum(dice.array((filters, *window, channels)), -127)
    taps = channels * max(1, window[0] // stride[0]) * max(1, window[1] // stride[1])
    spread = spread_of(x, zero, weights, taps)
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread)
    return layer_of(
        x,
        weights,
        bias_of(dice, filters, spread) if dice.chance(0.7) else None,
        size=size,
        zeros=(zero, dice.pick([-128, dice.zero_point()])),
        scales=(x_scale, channel_scales(dice, w_scale, filters), scale),
        stride=stride,
        pads=pads,
        activation=dice.pick([*Activation][:4]),
    )


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(dice=DICE)
def test_any_layer(arm_kernels: ArmKernels, dice: Dice) -> None:
    check(arm_kernels, KERNEL, draw_layer(dice), dice)


def typical(
    shape: tuple[int, int, int] = (6, 7, 8),
    filters: int = 6,
    window: int = 3,
    stride: int = 2,
    **attributes: Any,
) -> Layer:
    """A layer as trained models have them, padded as SAME; its sums fill the output's range."""
    random = np.random.default_rng(sum(shape))
    size = (shape[0] * stride, shape[1] * stride)
    weights = random.normal(0, 36, (filters, window, window, shape[2])).round()
    scale = float(np.float32(0.05 * 0.01 * np.sqrt(max(window**2 // stride**2, 1) * shape[2]) * 36 * 74 / 50))
    return layer_of(
        random.integers(-128, 128, (1, *shape)).astype(np.int8),
        np.clip(weights, -127, 127).astype(np.int8),
        random.integers(-6000, 6000, filters).astype(np.int32),
        **{
            "size": size,
            "stride": (stride, stride),
            "pads": same_pads(size, (window, window), (stride, stride)),
            "scales": (0.05, tuple(random.uniform(0.005, 0.02, filters)), scale),
            "zeros": (-5, -128),
            **attributes,
        },
    )


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("filters", [1, 2, 3])
def test_blocks_that_end_early(arm_kernels: ArmKernels, width: int, filters: int) -> None:
    for channels in (1, 3, 4):
        layer = typical((3, width, channels), filters, zeros=(3, -20))
        assert check(arm_kernels, KERNEL, layer, Dice(width, 5)) == 6


@pytest.mark.parametrize("zero", [-128, 127])
@pytest.mark.parametrize("output_zero", [-128, 3])
@pytest.mark.parametrize("pixel", [-128, 127])
def test_numbers_at_the_ends_of_their_range(
    arm_kernels: ArmKernels, pixel: int, zero: int, output_zero: int
) -> None:
    for weight in (-128, 127):
        layer = layer_of(
            np.full((1, 3, 5, 64), pixel, np.int8),
            np.full((2, 3, 3, 64), weight, np.int8),
            np.array([100_000, -70_000], np.int32),
            size=(6, 10),
            stride=(2, 2),
            zeros=(zero, output_zero),
            scales=(0.05, 0.01, 0.05 * 0.01 * 2**15),
        )
        assert check(arm_kernels, KERNEL, layer, Dice(1, 8))


def test_phases_without_taps_give_the_bias(arm_kernels: ArmKernels) -> None:
    layer = typical((3, 4, 5), window=1, stride=3, zeros=(4, 7), activation=Activation.NONE)
    wanted = layer.wanted()
    assert (wanted[:, 1::3] == wanted[:, 1:2, :1]).all()
    assert check(arm_kernels, KERNEL, layer, Dice(1, 8))


def test_refuses_factors_of_a_half_and_more_and_sums_that_could_overflow() -> None:
    for real, taken in ((0.49, True), (0.5, False), (3.0, False)):
        assert bool(typical(filters=1, scales=(0.5, 0.25, 0.125 / real)).candidates(KERNEL)) is taken
    layer = typical(filters=1)
    bias = layer.tensors[3]
    assert bias is not None
    for value, taken in ((2**30 - 2**20, True), (2**30, False)):
        layer.tensors[3] = replace(bias, data=np.array([value], np.int32))
        assert bool(layer.candidates(KERNEL)) is taken


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((8, 8, 32), {"filters": 16}),
        ((12, 12, 16), {"filters": 8, "window": 2}),
        ((6, 10, 5), {"filters": 3, "window": 5}),
        ((8, 8, 24), {"filters": 12, "window": 4, "zeros": (3, 5)}),
        ((10, 10, 8), {"filters": 10, "stride": 1}),
    ],
    ids=str,
)
def test_cost(arm_kernels: ArmKernels, shape: tuple[int, int, int], attributes: dict[str, Any]) -> None:
    predicted(arm_kernels, KERNEL, typical(shape, **attributes), 0.05)


def test_a_call_writes_no_more_than_its_scratch(arm_kernels: ArmKernels) -> None:
    """One word less, and the guard behind it is hit."""
    layer = typical()
    candidate = layer.candidates(KERNEL)[0]
    short = replace(candidate, scratch_bytes=candidate.scratch_bytes - 4)
    with pytest.raises(AssertionError, match="written outside"):
        arm_kernels.run(short, layer.arrays, layer.output.shape)
