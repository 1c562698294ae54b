"""CONV_2D and a residual as a product of matrices: exact over the residual and beside it, from rings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from added import check_added, with_residual
from arm import ArmKernels
from held import Layer, equal, predicted
from hypothesis import given, settings
from layers import make_layer
from test_conv_2d_gemm import FEW, draw_layer, typical

from pipeline.graph import Graph, Node
from pipeline.kernels.cortex_m4.conv_2d_gemm_add import Conv2DGemmAdd
from pipeline.lower import lower_program
from pipeline.operators.add import Add
from pipeline.operators.base import Activation
from pipeline.operators.conv_2d import Conv2D
from pipeline.operators.relu import Relu
from pipeline.plan import plan_schedule
from pipeline.schedule import Machine, schedule_layers
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import DICE, Dice

KERNEL = Conv2DGemmAdd()
LINEAR: dict[str, Any] = {"activation": Activation.NONE, "zeros": (-5, 4)}
pytestmark = pytest.mark.toolchain


def draw(dice: Dice) -> Layer:
    layer = draw_layer(dice, 4 if dice.chance(0.9) else 1)
    plain = dict.fromkeys(("floor", "ceiling", "pool")) if dice.chance(0.9) else {}
    op = replace(layer.op, activation=Activation.NONE, **plain)
    output = replace(layer.output, shape=op.output_shape(layer.inputs))
    return with_residual(dice, replace(layer, op=op, output=output))


@settings(FEW, max_examples=50)
@given(dice=DICE)
def test_any_layer(arm_kernels: ArmKernels, dice: Dice) -> None:
    check_added(arm_kernels, KERNEL, draw(dice), dice)


def test_many_layers_have_candidates() -> None:
    """Those with an even number of channels and no clamp, but for a few scales."""
    layers = [draw(Dice(seed, 5)) for seed in range(60)]
    even = [layer for layer in layers if layer.output.shape[3] % 2 == 0]
    taken = [layer for layer in layers if layer.candidates(KERNEL)]
    assert len(taken) > 0.4 * len(even)
    assert all(layer.output.shape[3] % 2 == 0 and layer.op.convolution.pool is None for layer in taken)
    assert all(layer.arrays[0].shape[3] % 4 == 0 for layer in taken)


@pytest.mark.parametrize("seed", range(2))
def test_all_pairs_of_a_result_and_a_residual(arm_kernels: ArmKernels, seed: int) -> None:
    """The convolution's results are each int8, beside each residual."""
    every = np.arange(-128, 128, dtype=np.int8)
    convolution = make_layer(
        np.repeat(every, 256 * 4).reshape(1, 128, 512, 4),
        64 * np.eye(2, 4, dtype=np.int8).reshape(2, 1, 1, 4),
        np.zeros(2, np.int32),
        zeros=(3, 3),
        scales=(0.05, 0.25 / 64, 0.0125),
    )
    layer = with_residual(Dice(seed, 5), convolution)
    layer.arrays[1] = np.repeat(np.tile(every, 256), 2).reshape(1, 128, 512, 2)
    made = convolution.expected()
    assert len(set(zip(made[..., 0].ravel(), layer.arrays[1][..., 0].ravel(), strict=True))) > 60_000
    for candidate in layer.candidates(KERNEL):
        equal(arm_kernels.run(candidate, layer.arrays, made.shape, over=1), layer.wanted(), candidate)


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("pixel", [-128, 127])
@pytest.mark.parametrize("residual", [-128, 127])
def test_numbers_at_the_ends_of_their_range(
    arm_kernels: ArmKernels, weight: int, pixel: int, residual: int
) -> None:
    for seed, zero in enumerate((-128, 127)):
        convolution = make_layer(
            np.full((1, 3, 5, 64), pixel, np.int8),
            np.full((2, 3, 3, 64), weight, np.int8),
            np.array([100_000, -70_000], np.int32),
            zeros=(zero, zero),
            scales=(0.05, 0.01, 0.05 * 0.01 * 2**17),
        )
        layer = with_residual(Dice(seed, 5), convolution)
        layer.arrays[1] = np.full(layer.output.shape, residual, np.int8)
        check_added(arm_kernels, KERNEL, layer, Dice(seed, 5))


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((12, 12, 48, 8, 1), {}),
        ((6, 6, 96, 16, 1), {}),
        ((8, 8, 16, 32, 1), {"stride": (2, 2)}),
        ((8, 8, 8, 8), {}),
    ],
    ids=str,
)
def test_cost(arm_kernels: ArmKernels, shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    convolution = typical(*shape, **LINEAR, **attributes)
    # The factors of some scales are no line.
    layer = next(
        layer for seed in range(20) if (layer := with_residual(Dice(seed, 5), convolution)).candidates(KERNEL)
    )
    predicted(arm_kernels, KERNEL, layer, 0.05)


def network(kernel_height: int) -> Graph:
    """x -> RELU r; ADD(CONV_2D(x), r)."""
    random = np.random.default_rng(0)
    zeros = {"x": -128, "r": -128, "c": 4, "y": -128}
    x, r, c, y = (
        Tensor(name, (1, 12, 12, 16), "int8", Quantization((0.05,), (zero,))) for name, zero in zeros.items()
    )
    shape = (16, kernel_height, 1, 16)
    w = Tensor("w", shape, "int8", Quantization((0.01,), (0,)), random.integers(-127, 128, shape, np.int8))
    pads = ((kernel_height // 2, kernel_height // 2), (0, 0))
    nodes = (
        Node("relu", Relu(), ("x",), "r"),
        Node("convolution", Conv2D(pads=pads), ("x", "w"), "c"),
        Node("add", Add(), ("c", "r"), "y"),
    )
    tensors = {tensor.name: tensor for tensor in (x, r, c, y, w)}
    return Graph("residual", tensors, nodes, ("x",), ("y",))


@pytest.mark.parametrize("kernel_height", [1, 3])
def test_a_schedule_fuses_what_it_saves_time_by(kernel_height: int) -> None:
    """On a core without the DSP extension the two stay apart; so does what something else reads as well."""
    graph = network(kernel_height)
    fast = schedule_layers(graph, Machine(("cortex_m4", "portable"), 1 << 30, 1 << 30), "time")
    assert [node.op.tflite_name for step in fast.steps for node in step.nodes] == ["RELU", "CONV_2D"]
    assert "c" not in fast.graph.tensors
    layer = lower_program(fast, plan_schedule(fast)).calls[-1].layers[-1]
    assert (layer.kernel, layer.fused) == ("conv_2d_gemm_add", ("ADD",))
    portable = schedule_layers(graph, Machine(("portable",), 1 << 30, 1 << 30), "time")
    assert portable.graph is graph
    read_twice = replace(graph, outputs=("y", "c"))
    apart = schedule_layers(read_twice, Machine(("cortex_m4", "portable"), 1 << 30, 1 << 30), "time")
    assert apart.graph is read_twice
