"""Tables of results, one or one a channel: exact from rings and in any portions, as cheap as predicted."""

from __future__ import annotations

import pytest
from arm import ArmKernels
from held import Layer, check, measured
from hypothesis import HealthCheck, given, settings

from pipeline.kernels.cortex_m4.lookup_rows import LookupRows
from pipeline.operators import Operator
from pipeline.operators.base import Activation
from pipeline.operators.logistic import Logistic
from pipeline.operators.max_pool_2d import MaxPool2D
from pipeline.operators.quantize import Requantize
from pipeline.operators.relu import Relu
from pipeline.operators.tanh import Tanh
from pipeline.passes.table import Table
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import DICE, Dice

KERNEL = LookupRows()
pytestmark = pytest.mark.toolchain


def layer_of(dice: Dice, op: Operator, shape: tuple[int, ...]) -> Layer:
    quantization = Quantization((dice.factor(0.005),), (dice.zero_point(),))
    made = {
        Logistic: Quantization((1 / 256,), (-128,)),
        Tanh: Quantization((1 / 128,), (0,)),
    }.get(type(op), Quantization((dice.factor(0.005),), (dice.zero_point(),)))
    x, output = Tensor("x", shape, "int8", quantization), Tensor("y", shape, "int8", made)
    assert op.problems([x], output) == []
    return Layer(op, [x], output, [dice.array(shape)])


def table_of(dice: Dice, tables: int) -> Table:
    return Table(tuple(dice.array((256,)).tobytes() for _ in range(tables)), ("MUL", "ADD"))


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    shape = 1, dice.length(1, 6), dice.integer(1, 9), dice.integer(1, 21)
    op = dice.pick([Logistic(), Tanh(), Relu(), Requantize(), table_of(dice, 1), table_of(dice, shape[3])])
    assert check(arm_kernels, KERNEL, layer_of(dice, op, shape), dice) == 2


@pytest.mark.parametrize("shape", [(1, 37), (5, 12), (1, 7, 9)])
def test_what_is_no_map_of_rows_runs_whole(arm_kernels: ArmKernels, shape: tuple[int, ...]) -> None:
    dice = Dice(1, 8)
    for op in (Logistic(), table_of(dice, shape[-1])):
        layer = layer_of(dice, op, shape)
        assert not any(candidate.streams for candidate in layer.candidates(KERNEL))
        assert check(arm_kernels, KERNEL, layer, dice) == 2


def test_what_depends_on_several_elements_is_refused() -> None:
    x = Tensor("x", (1, 4, 4, 8), "int8", Quantization((0.1,), (0,)))
    assert KERNEL.candidates(MaxPool2D((1, 1), (1, 1), ((0, 0), (0, 0)), Activation.NONE), [x], x) == ()


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("channels", [24, 6, 1])
def test_cost(arm_kernels: ArmKernels, each: bool, channels: int) -> None:
    dice = Dice(2, 8)
    # Rows so long that what generated code does around a call, which a cost counts as well, is little.
    layer = layer_of(dice, table_of(dice, channels if each else 1), (1, 6, 120, channels))
    candidate = layer.candidates(KERNEL)[1]
    figures = measured(arm_kernels, candidate, layer)
    assert candidate.cost.instructions == pytest.approx(figures.instructions, rel=0.05)
    assert candidate.cost.cycles == pytest.approx(figures.zero_wait_cycles, rel=0.05)
