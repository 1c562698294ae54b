"""conv_2d_gemm against the numpy reference of CONV_2D, which is held against TFLite elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arm import ArmKernels
from hypothesis import HealthCheck, given, settings
from layers import Layer, check, make_layer

from pipeline.kernels.base import Candidate
from pipeline.kernels.cortex_m4.conv_2d_gemm import Conv2DGemm
from pipeline.operators.base import Activation
from tests.property.cases import DICE, Dice, bias_of, channel_clamp, channel_scales, fitting_scales, spread_of

pytestmark = pytest.mark.toolchain
KERNEL = Conv2DGemm()
FEW = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def candidates_of(layer: Layer) -> tuple[Candidate, ...]:
    return tuple(KERNEL.candidates(layer.op, layer.inputs, layer.output))


def is_widened(candidate: Candidate) -> bool:
    return candidate.parameters()["way"] == "conv_2d_gemm_widened_rows"


def is_scaled(candidate: Candidate) -> bool:
    return candidate.parameters()["store"] in {"conv_2d_gemm_store_scaled", "conv_2d_gemm_store_saturated"}


def draw_layer(dice: Dice, multiple: int = 1) -> Layer:
    """Any convolution: windows, strides, dilations, paddings, clamps and pools of all kinds.

    Its input channels are a multiple of this.
    """
    window = dice.pick([(1, 1), (3, 3), (dice.length(1, 5), dice.length(1, 5))])
    stride = (dice.integer(1, 3), dice.integer(1, 3))
    dilation = (dice.integer(1, 3), dice.integer(1, 3)) if dice.chance(0.3) else (1, 1)
    pads = tuple((dice.integer(0, 3), dice.integer(0, 3)) if dice.chance() else (0, 0) for _ in range(2))
    pool = (dice.integer(1, 3), dice.integer(1, 3)) if dice.chance(0.4) else None
    least = [
        (window[axis] - 1) * dilation[axis] + 1 + ((pool or (1, 1))[axis] - 1) * stride[axis]
        for axis in (0, 1)
    ]
    height, width = (max(dice.length(least[axis], least[axis] + 12) - sum(pads[axis]), 1) for axis in (0, 1))
    height, width = (max(n, least[axis] - sum(pads[axis])) for axis, n in enumerate((height, width)))
    channels, filters = multiple * dice.length(1, 13 // multiple), dice.length(1, 9)
    x = dice.array((1, height, width, channels))
    weights = np.maximum(dice.array((filters, *window, channels)), -127)
    zero = dice.zero_point()
    spread = spread_of(x, zero, weights, window[0] * window[1] * channels)
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread)
    return make_layer(
        x,
        weights,
        bias_of(dice, filters, spread),
        zeros=(zero, dice.pick([-128, dice.zero_point()])),
        scales=(x_scale, channel_scales(dice, w_scale, filters), scale),
        stride=stride,
        dilation=dilation,
        pads=pads,
        pool=pool,
        activation=dice.pick(
            [Activation.NONE, Activation.RELU, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]
        ),
        floor=channel_clamp(dice, filters, -128, 20) if dice.chance(0.4) else None,
        ceiling=channel_clamp(dice, filters, -20, 127) if dice.chance(0.4) else None,
    )


@FEW
@given(dice=DICE)
def test_any_layer(arm_kernels: ArmKernels, dice: Dice) -> None:
    layer = draw_layer(dice)
    check(arm_kernels, layer, candidates_of(layer), dice)


def typical(
    height: int = 6, width: int = 7, channels: int = 5, filters: int = 6, window: int = 3, **attributes: Any
) -> Layer:
    """A layer as trained models have them; its sums fill the output's range."""
    random = np.random.default_rng(height * width * channels)
    weights = random.normal(0, 36, (filters, window, window, channels)).round()
    scale = float(np.float32(0.05 * 0.01 * np.sqrt(window * window * channels) * 36 * 74 / 50))
    return make_layer(
        random.integers(-128, 128, (1, height, width, channels)).astype(np.int8),
        np.clip(weights, -127, 127).astype(np.int8),
        random.integers(-6000, 6000, filters).astype(np.int32),
        **{
            "pads": ((window // 2, window // 2),) * 2,
            "scales": (0.05, tuple(random.uniform(0.005, 0.02, filters)), scale),
            "zeros": (-5, -128),
            **attributes,
        },
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 9, 16, 18, 37])
def test_any_number_of_steps(arm_kernels: ArmKernels, channels: int) -> None:
    """The loops begin in the middle, or are left out, as the number of steps asks for."""
    for window in (1, 3):
        layer = typical(channels=channels, window=window)
        candidates = candidates_of(layer)
        ways = {(each.rows_per_call, is_widened(each)) for each in candidates}
        assert {widened for _, widened in ways} == {False, window > 1}
        assert len(candidates) == 3 * len(ways)
        check(arm_kernels, layer, candidates)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("filters", [1, 2, 3])
def test_narrow_maps(arm_kernels: ArmKernels, width: int, filters: int) -> None:
    """Blocks go on in the next row; what is left over at the end is made with the last pixel repeated."""
    for pool in (None, (2, 1), (3, 1)):
        layer = typical(width=width, filters=filters, pool=pool, zeros=(3, -20))
        check(arm_kernels, layer, candidates_of(layer), Dice(width, 5))


@pytest.mark.parametrize("weight", [-128, -127, 127])
@pytest.mark.parametrize("pixel", [-128, 127])
@pytest.mark.parametrize("zero", [-128, 127])
@pytest.mark.parametrize("output_zero", [-128, 3])
def test_numbers_at_the_ends_of_their_range(
    arm_kernels: ArmKernels, weight: int, pixel: int, zero: int, output_zero: int
) -> None:
    layer = make_layer(
        np.full((1, 3, 5, 64), pixel, np.int8),
        np.full((2, 3, 3, 64), weight, np.int8),
        np.array([100_000, -70_000], np.int32),
        zeros=(zero, output_zero),
        scales=(0.05, 0.01, 0.05 * 0.01 * 2**17),
    )
    candidates = candidates_of(layer)
    assert candidates
    check(arm_kernels, layer, candidates)


@pytest.mark.parametrize("pool", [None, (2, 2)])
@pytest.mark.parametrize("zero", [-128, -3, 127])
@pytest.mark.parametrize("real", [2.0**-9, 2.0**-2, 0.7 * 2**-8])
@pytest.mark.parametrize("activation", [Activation.NONE, Activation.RELU])
def test_ties(
    arm_kernels: ArmKernels, activation: Activation, real: float, zero: int, pool: tuple[int, int] | None
) -> None:
    """Sums at halves of the output's unit and beside them, set by the bias; the image is real 0."""
    random = np.random.default_rng(0)
    halves = np.append(random.integers(-130, 130, 30), np.arange(-5, 5)) + 0.5
    bias = (np.round(halves / real) + random.integers(-1, 2, len(halves))).astype(np.int32)
    layer = make_layer(
        np.full((1, 2, 2, 4), 7, np.int8),
        np.ones((len(bias), 1, 1, 4), np.int8),
        bias,
        zeros=(7, zero),
        scales=(0.5, 0.25, 0.125 / real),
        pool=pool,
        activation=activation,
    )
    candidates = candidates_of(layer)
    assert candidates
    check(arm_kernels, layer, candidates)


@pytest.mark.parametrize("zero", [-128, -7])
def test_dead_channels(arm_kernels: ArmKernels, zero: int) -> None:
    """A weights' scale of nearly 0 makes the multiplier 0, a small one a shift that no constant fits."""
    layer = typical(filters=4, scales=(0.05, (0.01, 1e-12, 0.02, 1e-8), 1.0), zeros=(4, zero))
    candidates = candidates_of(layer)
    assert any(map(is_scaled, candidates)) is (zero == -128)
    check(arm_kernels, layer, candidates)


def test_refuses_factors_of_a_half_and_more() -> None:
    """There the reference rounds once."""
    for real, taken in ((0.49, True), (0.5, False), (1.0, False), (3.0, False)):
        layer = typical(filters=1, scales=(0.5, 0.25, 0.125 / real))
        assert bool(candidates_of(layer)) is taken


@pytest.mark.parametrize(
    ("weight", "real", "scaled"),
    [
        (127, 0.9 * 2**-6, True),
        (127, 0.9 * 2**-5, True),
        (-128, 0.9 * 2**-5, False),
        (127, 0.9 * 2**-4, False),
        (2, 0.9 * 2**-4, True),
        (2, 0.9 * 2**-12, True),
        (2, 0.9 * 2**-13, False),
    ],
)
def test_scales_weights_where_they_fit(
    arm_kernels: ArmKernels, weight: int, real: float, scaled: bool
) -> None:
    """Shifts from 12 on downwards, as long as a weight times a power of two is an int16."""
    random = np.random.default_rng(weight + 128)
    layer = make_layer(
        random.integers(-128, 128, (1, 3, 7, 6)).astype(np.int8),
        np.full((3, 3, 3, 6), weight, np.int8),
        np.array([round(20 / real), 0, -90], np.int32),
        zeros=(-128, -128),
        scales=(0.5, 0.25, 0.125 / real),
        pads=((1, 1), (1, 1)),
    )
    candidates = candidates_of(layer)
    assert any(map(is_scaled, candidates)) is scaled
    check(arm_kernels, layer, candidates)


def test_does_not_scale_sums_that_could_overflow() -> None:
    """Of a shift of 6, sums are taken times 2^8."""
    for bias, scaled in ((2**22, True), (2**23, False)):
        layer = typical(filters=1, channels=1, scales=(0.05, 0.01, 0.05 * 0.01 * 2**6 / 0.9))
        x, w, b = layer.inputs
        inputs = (x, w, replace(b, data=np.array([bias], np.int32)))
        assert any(map(is_scaled, KERNEL.candidates(layer.op, inputs, layer.output))) is scaled


@pytest.mark.parametrize("width", [3, 4, 5, 8, 13])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1), (1, 2)])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_windows_from_widened_rows(
    arm_kernels: ArmKernels, width: int, stride: tuple[int, int], channels: int
) -> None:
    """Rows of any length and padding, blocks that go on in the next row, windows at odd values."""
    for window, pads in ((3, ((2, 1), (1, 3))), (5, ((0, 4), (3, 2)))):
        layer = typical(
            7, width * stride[1] + 2, channels, 3, window, stride=stride, pads=pads, zeros=(9, -128)
        )
        candidates = [each for each in candidates_of(layer) if is_widened(each)]
        assert candidates
        check(arm_kernels, layer, candidates, Dice(width, 5))


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("channels", [3, 8])
def test_single_pixels(arm_kernels: ArmKernels, width: int, channels: int) -> None:
    """Four at a time, also where a ring begins again within a block, and where less than four are left."""
    for seed, zero in enumerate((-128, 4)):
        for filters in (4, 5):
            layer = typical(7, width, channels, filters, 1, zeros=(-5, zero))
            candidates = candidates_of(layer)
            assert {each.parameters()["way"] for each in candidates} == {"conv_2d_gemm_pixels"}
            check(arm_kernels, layer, candidates[-1:], Dice(width + seed, 5))


@pytest.mark.parametrize(
    ("attributes", "store"),
    [
        ({}, "saturated"),
        ({"zeros": (2, -100)}, "scaled"),
        ({"ceiling": (127, 127, 127, 127, 127, 100)}, "scaled"),
        ({"floor": (-128, -128, -128, -128, -120, -128)}, "scaled"),
        ({"activation": Activation.NONE, "zeros": (2, 4)}, "one_floor"),
    ],
    ids=str,
)
def test_results_that_are_cut_at_the_ends_of_int8_only(
    arm_kernels: ArmKernels, attributes: dict[str, Any], store: str
) -> None:
    layer = typical(**{"activation": Activation.RELU, **attributes})
    candidates = candidates_of(layer)
    assert candidates[-1].parameters()["store"] == f"conv_2d_gemm_store_{store}"
    check(arm_kernels, layer, candidates[-1:])


def test_refuses_sums_that_could_overflow() -> None:
    layer = typical(filters=1, window=1, channels=1)
    x, w, b = layer.inputs
    for bias, taken in ((2**30 - 2**16, True), (-(2**30) + 2**16, True), (2**30, False), (-(2**30), False)):
        inputs = (x, w, replace(b, data=np.array([bias], np.int32)))
        assert bool(KERNEL.candidates(layer.op, inputs, layer.output)) is taken


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((8, 12, 3, 16), {}),
        ((12, 7, 1, 17), {"window": 5, "stride": (2, 1)}),
        ((8, 8, 16, 16), {"stride": (2, 2), "zeros": (3, 5)}),
        ((9, 9, 8, 8), {"dilation": (2, 2)}),
        ((8, 8, 12, 12), {"pool": (2, 2), "floor": tuple(range(-120, -108))}),
        ((25, 5, 64, 24), {"window": 1}),
        ((32, 32, 3, 16), {"zeros": (3, 5)}),
    ],
    ids=str,
)
def test_cost(arm_kernels: ArmKernels, shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    layer = typical(*shape, **attributes)
    for candidate in candidates_of(layer)[1:]:
        portions = layer.portions([candidate.rows_per_call])
        called = arm_kernels.run(candidate, [layer.x], layer.output.shape, portions=portions, cycles=True)
        assert called.figures is not None
        assert candidate.cost.instructions == pytest.approx(called.figures.instructions, rel=0.03)
        assert candidate.cost.cycles == pytest.approx(called.figures.zero_wait_cycles, rel=0.04)


def test_a_call_writes_no_more_than_its_scratch(arm_kernels: ArmKernels) -> None:
    """One word less, and the guard behind it is hit."""
    layer = typical()
    candidate = candidates_of(layer)[0]
    short = replace(candidate, scratch_bytes=candidate.scratch_bytes - 4)
    with pytest.raises(AssertionError, match="written outside"):
        arm_kernels.run(short, [layer.x], layer.output.shape)
