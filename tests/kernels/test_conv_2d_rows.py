"""The direct kernel against the numpy reference of CONV_2D, which is held against TFLite elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arm import ArmKernels
from hypothesis import HealthCheck, given, settings
from layers import SAME, check, draw_3x3, make_layer, typical

from pipeline.kernels.cortex_m4.conv_2d_rows import Conv2DRows
from tests.property.cases import DICE, Dice

pytestmark = pytest.mark.toolchain
KERNEL = Conv2DRows()
FEW = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@FEW
@given(dice=DICE)
def test_any_layer(arm_kernels: ArmKernels, dice: Dice) -> None:
    layer = draw_3x3(dice, (4, 6), (14, 24), 32)
    candidates = KERNEL.candidates(layer.op, layer.inputs, layer.output)
    check(arm_kernels, layer, [dice.pick(candidates) for _ in range(2)] if candidates else [], dice)


@pytest.mark.parametrize("width", range(4, 26))
@pytest.mark.parametrize("pool", [None, (2, 2)])
def test_every_width(arm_kernels: ArmKernels, width: int, pool: Any) -> None:
    """Strips of six and four columns cover every row, and write nothing else."""
    layer = typical(4, width, 4, 2, pool=pool)
    candidates = KERNEL.candidates(layer.op, layer.inputs, layer.output)
    assert ["bytes" in each.variant for each in candidates[-2:]] == [pool is None] * 2
    check(arm_kernels, layer, [candidates[0], candidates[-1]])


@pytest.mark.parametrize("zero", [-128, 127])
@pytest.mark.parametrize("sign", [1, -1])
def test_numbers_at_the_ends_of_their_range(arm_kernels: ArmKernels, zero: int, sign: int) -> None:
    """All of 64 channels add up."""
    layer = make_layer(
        np.full((1, 6, 7, 64), 127 if sign > 0 else -128, np.int8),
        (np.array([127, -127, 127]).reshape(3, 1, 1, 1) * np.ones((3, 3, 3, 64))).astype(np.int8),
        np.array([0, 100_000, -70_000], np.int32),
        zeros=(zero, 3),
        scales=(0.05, 0.01, 0.05 * 0.01 * 2**17),
        pads=SAME,
    )
    candidates = KERNEL.candidates(layer.op, layer.inputs, layer.output)
    assert candidates
    check(arm_kernels, layer, candidates)


@pytest.mark.parametrize("pool", [None, (2, 2)])
@pytest.mark.parametrize("zero", [-128, -3, 0, 5])
@pytest.mark.parametrize("real", [2.0**-9, 2.0**-2, 0.7 * 2**-8])
def test_ties(arm_kernels: ArmKernels, real: float, zero: int, pool: Any) -> None:
    """Sums at halves of the output's unit and beside them, set by the bias; the image is real 0."""
    random = np.random.default_rng(0)
    halves = np.append(random.integers(-130, 130, 40), np.arange(-5, 5)) + 0.5
    bias = (np.round(halves / real) + random.integers(-1, 2, len(halves))).astype(np.int32)
    layer = make_layer(
        np.full((1, 4, 4, 4), 7, np.int8),
        np.ones((len(bias), 3, 3, 4), np.int8),
        bias,
        zeros=(7, zero),
        scales=(0.5, 0.25, 0.125 / real),
        pads=SAME,
        pool=pool,
    )
    candidates = KERNEL.candidates(layer.op, layer.inputs, layer.output)
    assert candidates
    check(arm_kernels, layer, [candidates[0], candidates[-1]])


@pytest.mark.parametrize(
    "attributes",
    [
        {"stride": (2, 2)},
        {"dilation": (2, 2)},
        {"pool": (3, 3)},
        {"pool": (2, 1)},
        {"channels": 6},
        {"width": 3},
    ],
    ids=str,
)
def test_refuses_what_it_was_not_made_for(attributes: dict[str, Any]) -> None:
    layer = typical(**attributes)
    assert not KERNEL.candidates(layer.op, layer.inputs, layer.output)
    layer = typical()
    assert KERNEL.candidates(layer.op, layer.inputs, layer.output)


@pytest.mark.parametrize("shape", [(8, 8, 32, 16), (9, 14, 16, 7), (8, 16, 64, 8), (4, 4, 128, 8)])
@pytest.mark.parametrize("attributes", [{}, {"pool": (2, 2)}], ids=["plain", "pooled"])
def test_cost(arm_kernels: ArmKernels, shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    layer = typical(*shape, **attributes)
    for candidate in KERNEL.candidates(layer.op, layer.inputs, layer.output):
        portions = layer.portions([candidate.rows_per_call])
        called = arm_kernels.run(candidate, [layer.x], layer.output.shape, portions=portions, cycles=True)
        assert called.figures is not None
        assert candidate.cost.instructions == pytest.approx(called.figures.instructions, rel=0.05)
        assert candidate.cost.cycles == pytest.approx(called.figures.zero_wait_cycles, rel=0.05)


def test_a_call_writes_no_more_than_its_scratch(arm_kernels: ArmKernels) -> None:
    """One word less, and the guard behind it is hit."""
    layer = typical(channels=4)
    for candidate in KERNEL.candidates(layer.op, layer.inputs, layer.output):
        short = replace(candidate, scratch_bytes=candidate.scratch_bytes - 4)
        with pytest.raises(AssertionError, match="written outside"):
            arm_kernels.run(short, [layer.x], layer.output.shape)
