"""ADD row by row: exact for all scales that it takes, from rings and in place, as cheap as predicted."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from arm import ArmKernels
from held import Layer, check, measured, predicted
from hypothesis import given

from pipeline.kernels.cortex_m4.add_rows import AddRows
from tests.property.cases import DICE, Dice
from tests.property.tflite_builder import Spec

KERNEL = AddRows()
pytestmark = pytest.mark.toolchain


def layer_of(dice: Dice, shape: tuple[int, ...], activation: int = 0) -> Layer:
    a = dice.factor()
    b = dice.pick([a, float(np.float32(a * dice.between(0.02, 50.0))), float(np.float32(a / 4))])
    out = float(np.float32(max(a, b) * dice.pick([1.0, 2.0, dice.between(0.3, 4.0)])))
    arrays = [dice.array(shape), dice.array(shape)]
    options = schema.AddOptionsT()
    options.fusedActivationFunction = activation
    inputs = [Spec(shape, scale=scale, zero_point=dice.zero_point()) for scale in (a, b)]
    output = Spec(shape, scale=out, zero_point=dice.zero_point())
    return Layer.read("ADD", options, inputs, output, arrays)


@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    shape = (1, dice.length(1, 6), dice.length(1, 6), dice.length(1, 7))
    check(arm_kernels, KERNEL, layer_of(dice, shape, dice.pick([0, 0, 1])), dice)


def test_most_layers_have_a_candidate() -> None:
    taken = [bool(layer_of(Dice(seed, 5), (1, 2, 2, 4)).candidates(KERNEL)) for seed in range(100)]
    assert sum(taken) > 80


@pytest.mark.parametrize("seed", range(3))
def test_all_pairs_of_operands(arm_kernels: ArmKernels, seed: int) -> None:
    layer = layer_of(Dice(seed, 5), (1, 256, 16, 16))
    x = np.arange(-128, 128)
    layer.arrays = [
        np.broadcast_to(each.astype(np.int8).reshape(1, 256, -1, 16), (1, 256, 16, 16)).copy()
        for each in (np.repeat(x, 256), np.tile(x, 256))
    ]
    assert check(arm_kernels, KERNEL, layer, Dice(seed, 5))


def test_most_sums_are_those_of_two_products() -> None:
    found = [layer_of(Dice(seed, 5), (1, 2, 2, 4)).candidates(KERNEL) for seed in range(60)]
    lines = [candidate.parameters()["line"] for (candidate,) in filter(None, found)]
    assert 40 < sum(map(bool, lines)) < len(lines)


@pytest.mark.parametrize("shape", [(1, 32, 32, 16), (1, 8, 8, 64), (1, 7, 5, 3)])
def test_cost(arm_kernels: ArmKernels, shape: tuple[int, ...]) -> None:
    predicted(arm_kernels, KERNEL, layer_of(Dice(1, 12), shape), 0.05 if shape[3] % 4 == 0 else 0.15)


@pytest.mark.parametrize(("line", "instructions"), [(True, 9), (False, 20)])
def test_instructions_of_an_element(arm_kernels: ArmKernels, line: bool, instructions: int) -> None:
    """Of a layer that is the sum of two products, and of one that is not."""
    layers = (layer_of(Dice(seed, 12), (1, 16, 16, 32)) for seed in range(60))
    found = ((layer, layer.candidates(KERNEL)) for layer in layers)
    layer, (candidate,) = next(
        pair for pair in found if pair[1] and bool(pair[1][0].parameters()["line"]) is line
    )
    assert measured(arm_kernels, candidate, layer).instructions < instructions * 16 * 16 * 32
