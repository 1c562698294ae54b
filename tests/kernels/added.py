"""Convolutions with a residual that is added as their results are stored."""

from __future__ import annotations

from typing import Any

import layers
import numpy as np
from arm import ArmKernels
from held import Layer, check, equal

from pipeline.kernels.base import Kernel
from pipeline.operators.add import Add
from pipeline.operators.base import Activation
from pipeline.operators.sub import Sub
from pipeline.passes.fuse_add import ConvolutionAdd
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import Dice


def with_residual(dice: Dice, layer: layers.Layer, **quantization: Any) -> Layer:
    """A convolution and an ADD or SUB behind it, of any scales and zero points."""
    a = layer.output.scale
    b = float(np.float32(a * dice.pick([1.0, 0.25, dice.between(0.05, 20.0)])))
    out = float(np.float32(max(a, b) * dice.pick([1.0, 2.0, dice.between(0.5, 3.0)])))
    zeros = {"zeros": (dice.zero_point(), dice.pick([-128, dice.zero_point()])), **quantization}["zeros"]
    residual = dice.array(layer.output.shape)
    inputs = (*layer.inputs, Tensor("r", residual.shape, "int8", Quantization((b,), zeros[:1])))
    output = Tensor("sum", residual.shape, "int8", Quantization((out,), zeros[1:]))
    add = dice.pick([Add, Add, Sub])(dice.pick([Activation.NONE, Activation.RELU]))
    op = ConvolutionAdd(layer.op, layer.output, add, dice.chance())
    assert op.problems(inputs, output) == []
    return Layer(op, list(inputs), output, [layer.x, residual])


def check_added(arm: ArmKernels, kernel: Kernel, layer: Layer, dice: Dice) -> int:
    """Every candidate is exact, over the residual as well. How many there are."""
    wanted = layer.wanted()
    for candidate in layer.candidates(kernel):
        equal(arm.run(candidate, layer.arrays, wanted.shape, over=1), wanted, candidate)
        if candidate.streams:
            portions = layer.portions(dice, 4)
            rows = max(high - low for portion in portions for low, high in portion.reads)
            called = arm.run(candidate, layer.arrays, wanted.shape, portions=portions, ring_rows=rows, over=1)
            equal(called, wanted, candidate)
    return check(arm, kernel, layer, dice)
