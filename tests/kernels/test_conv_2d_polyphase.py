"""conv_2d_polyphase against the numpy reference of CONV_2D, which is held against TFLite elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arm import ArmKernels
from hypothesis import HealthCheck, given, settings
from layers import Layer, check, make_layer

from pipeline.kernels.base import Candidate
from pipeline.kernels.cortex_m4.conv_2d_polyphase import Conv2DPolyphase
from pipeline.operators.base import Activation
from tests.property.cases import DICE, Dice, bias_of, channel_clamp, channel_scales, fitting_scales, spread_of

pytestmark = pytest.mark.toolchain
KERNEL = Conv2DPolyphase()
FEW = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
SAME = ((0, 1), (0, 1))


def candidates_of(layer: Layer) -> tuple[Candidate, ...]:
    return tuple(KERNEL.candidates(layer.op, layer.inputs, layer.output))


def draw_layer(dice: Dice) -> Layer:
    """Any layer that the kernel is made for."""
    pads = dice.pick([SAME, ((1, 1), (1, 1)), ((0, 0), (0, 0)), ((2, 0), (3, 1)), ((0, 4), (1, 5))])
    least = [max(low - sum(pads[axis]), 1) for axis, low in enumerate((3, 5))]
    height, width = (dice.length(low, low + 14) for low in least)
    channels, filters = 4 * dice.length(1, 10), dice.length(2, 9)
    x = dice.array((1, height, width, channels))
    weights = np.maximum(dice.array((filters, 3, 3, channels)), -127)
    zero = dice.zero_point()
    spread = spread_of(x, zero, weights, 9 * channels)
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread)
    return make_layer(
        x,
        weights,
        bias_of(dice, filters, spread),
        zeros=(zero, dice.pick([-128, dice.zero_point()])),
        scales=(x_scale, channel_scales(dice, w_scale, filters), scale),
        stride=(2, 2),
        pads=pads,
        activation=dice.pick(
            [Activation.NONE, Activation.RELU, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]
        ),
        floor=channel_clamp(dice, filters, -128, 20) if dice.chance(0.4) else None,
    )


@FEW
@given(dice=DICE)
def test_any_layer(arm_kernels: ArmKernels, dice: Dice) -> None:
    layer = draw_layer(dice)
    check(arm_kernels, layer, candidates_of(layer), dice)


def typical(
    height: int = 9, width: int = 12, channels: int = 16, filters: int = 6, **attributes: Any
) -> Layer:
    """A layer as trained models have them; its sums fill the output's range."""
    random = np.random.default_rng(height * width * channels)
    weights = random.normal(0, 36, (filters, 3, 3, channels)).round()
    scale = float(np.float32(0.05 * 0.01 * np.sqrt(9 * channels) * 36 * 74 / 50))
    return make_layer(
        random.integers(-128, 128, (1, height, width, channels)).astype(np.int8),
        np.clip(weights, -127, 127).astype(np.int8),
        random.integers(-6000, 6000, filters).astype(np.int32),
        **{
            "stride": (2, 2),
            "pads": SAME,
            "scales": (0.05, tuple(random.uniform(0.005, 0.02, filters)), scale),
            "zeros": (-5, -128),
            **attributes,
        },
    )


@pytest.mark.parametrize("channels", [4, 8, 12, 16, 20, 32, 36, 64])
def test_any_number_of_steps(arm_kernels: ArmKernels, channels: int) -> None:
    """The loop begins where the number of steps asks for, for runs of three lengths."""
    layer = typical(channels=channels, zeros=(3, -20))
    candidates = candidates_of(layer)
    assert candidates
    check(arm_kernels, layer, candidates)


@pytest.mark.parametrize("width", [4, 5, 6, 7, 9, 15])
@pytest.mark.parametrize("filters", [2, 3])
def test_narrow_maps(arm_kernels: ArmKernels, width: int, filters: int) -> None:
    """Blocks go on in the next row of tiles; tiles begin earlier where they would hang over; single rows."""
    for height in (3, 5, 10):
        layer = typical(height, width, filters=filters)
        check(arm_kernels, layer, candidates_of(layer), Dice(width, 5))


@pytest.mark.parametrize("weights", ["same", "checks", "columns", "random"])
@pytest.mark.parametrize("x", ["same", "checks", "rows", "random"])
@pytest.mark.parametrize("zero", [-128, 127])
def test_numbers_at_the_ends_of_their_range(arm_kernels: ArmKernels, weights: str, x: str, zero: int) -> None:
    """All of 64 channels add up, in differences of pixels, in sums of weights and in their products."""

    def signs(kind: str, height: int, width: int) -> np.ndarray:
        y, z = np.indices((height, width))
        return {
            "same": np.ones((height, width)),
            "checks": 1 - 2.0 * ((y + z) // 2 % 2),
            "rows": 1 - 2.0 * (y // 2 % 2),
            "columns": 1 - 2.0 * (z % 2),
            "random": np.random.default_rng(1).choice([-1.0, 1.0], (height, width)),
        }[kind]

    image = np.where(signs(x, 9, 9) > 0, 127, -128).astype(np.int8)[np.newaxis, :, :, np.newaxis]
    window = np.where(signs(weights, 3, 3) > 0, 127, -128).astype(np.int8)[np.newaxis, :, :, np.newaxis]
    layer = make_layer(
        np.broadcast_to(image, (1, 9, 9, 64)).copy(),
        np.broadcast_to(window, (3, 3, 3, 64)).copy(),
        np.array([0, 100_000, -70_000], np.int32),
        zeros=(zero, 3),
        scales=(0.05, 0.01, 0.05 * 0.01 * 2**17),
        stride=(2, 2),
        pads=((1, 1), (1, 1)),
    )
    candidates = candidates_of(layer)
    assert candidates
    check(arm_kernels, layer, candidates)


@pytest.mark.parametrize("zero", [-128, -3, 127])
@pytest.mark.parametrize("real", [2.0**-9, 2.0**-2, 0.7 * 2**-8])
@pytest.mark.parametrize("activation", [Activation.NONE, Activation.RELU])
def test_ties(arm_kernels: ArmKernels, activation: Activation, real: float, zero: int) -> None:
    """Sums at halves of the output's unit and beside them, set by the bias; the image is real 0."""
    random = np.random.default_rng(0)
    halves = np.append(random.integers(-130, 130, 30), np.arange(-5, 5)) + 0.5
    bias = (np.round(halves / real) + random.integers(-1, 2, len(halves))).astype(np.int32)
    layer = make_layer(
        np.full((1, 5, 5, 4), 7, np.int8),
        np.ones((len(bias), 3, 3, 4), np.int8),
        bias,
        zeros=(7, zero),
        scales=(0.5, 0.25, 0.125 / real),
        stride=(2, 2),
        activation=activation,
    )
    candidates = candidates_of(layer)
    assert candidates
    check(arm_kernels, layer, candidates)


@pytest.mark.parametrize(
    "attributes",
    [
        {"stride": (2, 1)},
        {"channels": 6},
        {"filters": 1},
        {"width": 2},
        {"dilation": (1, 2)},
        {"pool": (2, 2)},
        {"filters": 2, "ceiling": (100, 90)},
        {"filters": 1, "scales": (0.5, 0.25, 0.1)},
    ],
    ids=str,
)
def test_leaves_others_alone(attributes: dict[str, Any]) -> None:
    assert candidates_of(typical())
    assert not candidates_of(typical(**attributes))


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((32, 32, 16, 32), {}),
        ((16, 16, 32, 64), {"zeros": (3, 5)}),
        ((23, 13, 12, 9), {"pads": ((1, 1), (1, 1))}),
        ((7, 7, 64, 10), {"pads": ((0, 0), (0, 0))}),
    ],
    ids=str,
)
def test_cost(arm_kernels: ArmKernels, shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    layer = typical(*shape, **attributes)
    for candidate in candidates_of(layer):
        if not candidate.in_ram:
            continue
        portions = layer.portions([candidate.rows_per_call])
        called = arm_kernels.run(candidate, [layer.x], layer.output.shape, portions=portions, cycles=True)
        assert called.figures is not None
        assert candidate.cost.instructions == pytest.approx(called.figures.instructions, rel=0.03)
        assert candidate.cost.cycles == pytest.approx(called.figures.zero_wait_cycles, rel=0.03)


def test_a_call_writes_no_more_than_its_scratch(arm_kernels: ArmKernels) -> None:
    """One word less, and the guard behind it is hit."""
    layer = typical()
    candidate = candidates_of(layer)[0]
    short = replace(candidate, scratch_bytes=candidate.scratch_bytes - 4)
    with pytest.raises(AssertionError, match="written outside"):
        arm_kernels.run(short, [layer.x], layer.output.shape)
