"""The Winograd kernels against the numpy reference of CONV_2D, which is held against TFLite elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arm import ArmKernels
from hypothesis import HealthCheck, given, settings
from layers import SAME, check, draw_3x3, make_layer, typical

from pipeline.kernels.cortex_m4.conv_2d_winograd2 import Conv2DWinograd2
from pipeline.kernels.cortex_m4.conv_2d_winograd4 import Conv2DWinograd4
from pipeline.kernels.cortex_m4.winograd import Winograd
from pipeline.operators.base import Activation
from tests.property.cases import DICE, Dice

pytestmark = pytest.mark.toolchain
KERNELS = (Conv2DWinograd2(), Conv2DWinograd4())
EACH_KERNEL = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
FEW = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@EACH_KERNEL
@FEW
@given(dice=DICE)
def test_any_layer(arm_kernels: ArmKernels, kernel: Winograd, dice: Dice) -> None:
    tile = kernel.algorithm.tile
    layer = draw_3x3(dice, (tile + 2, tile + 2), (tile + 13, tile + 13), 40)
    candidates = kernel.candidates(layer.op, layer.inputs, layer.output)
    check(arm_kernels, layer, [dice.pick(candidates) for _ in range(2)] if candidates else [], dice)


@EACH_KERNEL
@pytest.mark.parametrize(
    ("weights", "x"),
    [
        ("same", "same"), ("checks", "checks"), ("random", "random"), ("same", "opposite"),
        ("rows", "rows"), ("columns", "columns"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zero", [-128, 127])
def test_numbers_at_the_ends_of_their_range(
    arm_kernels: ArmKernels, kernel: Winograd, weights: str, x: str, zero: int
) -> None:
    """All of 64 channels add up, in the transforms and in the sums."""

    def signs(kind: str, height: int, width: int) -> np.ndarray:
        y, z = np.indices((height, width))
        return {
            "same": np.ones((height, width)),
            "opposite": -np.ones((height, width)),
            "checks": 1 - 2.0 * ((y + z) % 2),
            "rows": 1 - 2.0 * (y % 2),
            "columns": 1 - 2.0 * (z % 2),
            "random": np.random.default_rng(1).choice([-1.0, 1.0], (height, width)),
        }[kind]

    image = np.where(signs(x, 9, 9) > 0, 127, -128).astype(np.int8)[np.newaxis, :, :, np.newaxis]
    window = (127 * signs(weights, 3, 3)).astype(np.int8)[np.newaxis, :, :, np.newaxis]
    layer = make_layer(
        np.broadcast_to(image, (1, 9, 9, 64)).copy(),
        (np.array([1, -1, 1]).reshape(3, 1, 1, 1) * np.broadcast_to(window, (3, 3, 3, 64))).astype(np.int8),
        np.array([0, 100_000, -70_000], np.int32),
        zeros=(zero, 3),
        scales=(0.05, 0.01, 0.05 * 0.01 * 2**17),
        pads=SAME,
    )
    candidates = kernel.candidates(layer.op, layer.inputs, layer.output)
    assert candidates
    check(arm_kernels, layer, candidates[:3])


@EACH_KERNEL
@pytest.mark.parametrize("pool", [None, (2, 2)])
@pytest.mark.parametrize("zero", [-128, -3, 0, 5])
@pytest.mark.parametrize("real", [2.0**-9, 2.0**-1, 0.7 * 2**-8, 1.0, 1.9, 3.5])
def test_ties_and_left_shifts(
    arm_kernels: ArmKernels, kernel: Winograd, real: float, zero: int, pool: Any
) -> None:
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
    candidates = kernel.candidates(layer.op, layer.inputs, layer.output)
    # What is left of the kernel's own bits has to be shifted out to the right.
    assert bool(candidates) == (kernel.algorithm.product_bits - 1 - math.frexp(real)[1] >= 1)
    check(arm_kernels, layer, candidates[:1])


@EACH_KERNEL
def test_dead_channels(arm_kernels: ArmKernels, kernel: Winograd) -> None:
    """A weights' scale of nearly 0 makes the multiplier 0."""
    layer = typical(filters=3, scales=(0.05, (0.01, 1e-12, 0.02), 4.0), zeros=(4, -7))
    candidates = kernel.candidates(layer.op, layer.inputs, layer.output)
    assert candidates
    check(arm_kernels, layer, candidates)


@EACH_KERNEL
@pytest.mark.parametrize(
    "attributes",
    [{"stride": (2, 2)}, {"dilation": (2, 2)}, {"pool": (3, 3)}, {"pool": (2, 1)}],
    ids=str,
)
def test_refuses_what_it_was_not_made_for(kernel: Winograd, attributes: dict[str, Any]) -> None:
    layer = typical(**attributes)
    assert kernel.candidates(layer.op, layer.inputs, layer.output) == ()
    layer = typical()
    assert kernel.candidates(layer.op, layer.inputs, layer.output)


@EACH_KERNEL
def test_refuses_sums_that_could_overflow(kernel: Winograd) -> None:
    layer = typical(filters=1)
    x, w, b = layer.inputs
    assert b.data is not None
    reach = 2 ** (31 - kernel.algorithm.product_bits)
    for bias, taken in ((reach * 3 // 4, True), (-reach * 3 // 4, True), (reach, False), (-reach, False)):
        inputs = (x, w, replace(b, data=np.array([bias], np.int32)))
        assert bool(kernel.candidates(layer.op, inputs, layer.output)) is taken


@EACH_KERNEL
@pytest.mark.parametrize("shape", [(8, 8, 32, 32), (9, 14, 16, 7), (16, 16, 64, 16)])
@pytest.mark.parametrize(
    "attributes",
    [{}, {"zeros": (3, 5)}, {"zeros": (3, 5), "activation": Activation.RELU}, {"pool": (2, 2)}],
    ids=["plain", "signed", "clamped", "pooled"],
)
def test_cost(
    arm_kernels: ArmKernels, kernel: Winograd, shape: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    layer = typical(*shape, **attributes)
    candidate = kernel.candidates(layer.op, layer.inputs, layer.output)[0]
    portions = layer.portions([candidate.rows_per_call])
    called = arm_kernels.run(candidate, [layer.x], layer.output.shape, portions=portions, cycles=True)
    assert called.figures is not None
    assert candidate.cost.instructions == pytest.approx(called.figures.instructions, rel=0.05)
    assert candidate.cost.cycles == pytest.approx(called.figures.zero_wait_cycles, rel=0.05)


@EACH_KERNEL
def test_weights_in_ram_wait_for_no_flash(arm_kernels: ArmKernels, kernel: Winograd) -> None:
    """Copied there or made there when the target starts, which is no part of the run."""
    layer = typical()
    candidates = kernel.candidates(layer.op, layer.inputs, layer.output)
    flash, *in_ram = [candidates[0], *(each for each in candidates if each.ram_bytes)]
    assert len(in_ram) == 2
    read = arm_kernels.run(flash, [layer.x], layer.output.shape, cycles=True).figures
    assert read is not None
    for candidate in in_ram:
        figures = arm_kernels.run(candidate, [layer.x], layer.output.shape, cycles=True).figures
        assert figures is not None
        assert figures.zero_wait_cycles == read.zero_wait_cycles
        assert figures.data_stall_cycles < 0.1 * read.data_stall_cycles


@EACH_KERNEL
def test_a_call_writes_no_more_than_its_scratch(arm_kernels: ArmKernels, kernel: Winograd) -> None:
    """One word less, and the guard behind it is hit."""
    layer = typical(channels=4)
    candidate = kernel.candidates(layer.op, layer.inputs, layer.output)[0]
    short = replace(candidate, scratch_bytes=candidate.scratch_bytes - 4)
    with pytest.raises(AssertionError, match="written outside"):
        arm_kernels.run(short, [layer.x], layer.output.shape)
