"""The fused LSTM against TFLite's reference kernel, whose gates are 16-bit fixed-point numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import assume, given

from pipeline.errors import ModelNotSupported
from pipeline.read_tflite import read_tflite
from tests.property.c_kernels import Kernels
from tests.property.cases import DICE, Dice
from tests.property.oracle import run_reference
from tests.tflite_chains import Chain

TANH = 4


def lstm(dice: Dice, cell_exponent: int | None = None, peephole: bool = False) -> tuple[bytes, np.ndarray]:
    """A file of one LSTM, and an input."""
    steps, inputs, units = dice.integer(1, 6), dice.length(1, 9), dice.length(1, 9)
    x = dice.array((1, steps, inputs))
    x_scale, x_zero, zero = dice.factor(1e-3), dice.zero_point(), dice.zero_point()
    # Small scales show the last bits of the gates, where the output is near zero.
    scale = float(np.float32(dice.pick([1 / 128, dice.between(0.001, 0.02), 2.0**-11, 2.0**-13, 2.0**-15])))
    exponent = dice.integer(-15, -9) if cell_exponent is None else cell_exponent
    chain = Chain()

    def weights(name: str, columns: int, source_scale: float) -> tuple[int, float]:
        """Of a scale at which a gate of 12 fractional bits is neither always 0 nor always saturated."""
        reach = dice.pick([300.0, 3000.0, 10000.0, 40000.0])
        wanted = reach / (5000 * np.sqrt(columns)) * 2.0**-12 / source_scale
        found = float(np.float32(wanted * dice.between(0.5, 2.0)))
        data = np.maximum(dice.array((units, columns)), -127)
        return chain.tensor(name, (units, columns), scale=found, data=data), found

    source = chain.tensor("x", (1, steps, inputs), scale=x_scale, zero_point=x_zero)
    into = [weights(f"w{k}", inputs, x_scale) for k in range(4)]
    again = [weights(f"r{k}", units, scale) for k in range(4)]
    biases = [
        chain.tensor(
            f"b{k}", (units,), "int32", scale=float(np.float32(x_scale * into[k][1])),
            data=dice.random.integers(-20000, 20001, units),
        )
        for k in range(4)
    ]  # fmt: skip
    state = chain.tensor("state", (1, units), scale=scale, zero_point=zero)
    cell = chain.tensor("cell", (1, units), "int16", scale=2.0**exponent)
    hidden = [chain.tensor(f"intermediate_{k}", (0,), "float32") for k in range(4)]
    hidden.append(chain.tensor("hidden", (0,), scale=scale, zero_point=zero))
    output = chain.tensor("y", (1, steps, units), scale=scale, zero_point=zero)
    for variable in (state, cell):
        chain.graph.tensors[variable].isVariable = True
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction, options.timeMajor = TANH, False
    options.cellClip, options.projClip = dice.pick([0.0, 10.0, 0.5, dice.between(0.01, 4.0)]), 0.0
    own = [chain.tensor("p", (units,), "int16", scale=1.0, data=np.ones(units))] * 3 if peephole else [-1] * 3
    operands = [
        source, *(index for index, _ in into), *(index for index, _ in again), *own, *biases, -1, -1,
        state, cell, *[-1] * 4,
    ]  # fmt: skip
    chain.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, output, options)
    chain.graph.operators[0].intermediates = hidden
    return chain.finish([source], [output]), x


def read(model: bytes) -> tuple[Any, list[Any], Any]:
    graph = read_tflite(model, "case")
    (node,) = graph.nodes
    return node.op, list(graph.operands(node)), graph.tensors[node.output]


@given(dice=DICE)
def test_lstm(kernels: Kernels, dice: Dice) -> None:
    model, x = lstm(dice)
    try:
        op, operands, output = read(model)
    except ModelNotSupported as error:
        assume("leaves 32 bits no room" not in error.details[0])
        raise
    wanted = run_reference(model, [x])
    assert op.output_shape(operands) == wanted.shape == output.shape
    p = op.parameters(operands, output)
    np.testing.assert_array_equal(op.reference(p, x), wanted, err_msg="numpy reference")
    in_c = kernels.run(op.kernel, p, [x], wanted, scratch_bytes=op.scratch_bytes(operands, output))
    np.testing.assert_array_equal(in_c, wanted, err_msg="portable C")


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"cell_exponent": -16}, "no tanh (expected a power of two from 2^-15 to 2^-9)"),
        ({"peephole": True}, "it has peephole weights, which is not carried"),
    ],
)
def test_what_is_not_carried_is_named(case: dict[str, Any], words: str) -> None:
    model, _ = lstm(Dice(1, 4), **case)
    with pytest.raises(ModelNotSupported) as caught:
        read_tflite(model, "case")
    assert any(words in detail for detail in caught.value.details)
