"""Convolutions for the tests of kernels, and the calls that make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from arm import ArmKernels, Portion
from cases import Dice

from pipeline.kernels.base import Candidate
from pipeline.operators.conv_2d import Conv2D
from pipeline.tensors import Quantization, Tensor


@dataclass(frozen=True)
class Layer:
    """A convolution, its tensors, and what goes in."""

    op: Conv2D
    inputs: tuple[Tensor, ...]
    output: Tensor
    x: np.ndarray

    def expected(self) -> np.ndarray:
        weights = self.inputs[1].data
        assert weights is not None
        return self.op.reference(self.op.parameters(self.inputs, self.output), self.x, weights)

    def portions(self, counts: Sequence[int]) -> list[Portion]:
        """Calls of so many rows, from the first count again when they are used up, for all rows."""
        height, first, made = self.output.shape[1], 0, []
        while first < height:
            count = min(counts[len(made) % len(counts)], height - first)
            made.append(
                Portion(first, count, (self.op.rows_read(self.inputs, self.output, first, first + count),))
            )
            first += count
        return made


def make_layer(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    zeros: tuple[int, int] = (0, -128),
    scales: tuple[float, float | tuple[float, ...], float] = (0.05, 0.01, 1.0),
    **attributes: Any,
) -> Layer:
    """`zeros` are those of input and output, `scales` of input, weights and output."""
    op = Conv2D(**attributes)
    weights_scale = scales[1] if isinstance(scales[1], tuple) else (scales[1],)
    inputs = (
        Tensor("x", x.shape, "int8", Quantization((scales[0],), zeros[:1])),
        Tensor("w", weights.shape, "int8", Quantization(weights_scale, (0,) * len(weights_scale)), weights),
        Tensor("b", bias.shape, "int32", None, bias),
    )
    output = Tensor("y", op.output_shape(inputs), "int8", Quantization(scales[2:], zeros[1:]))
    assert op.problems(inputs, output) == []
    return Layer(op, inputs, output, x)


def check(
    arm_kernels: ArmKernels, layer: Layer, candidates: Sequence[Candidate], dice: Dice | None = None
) -> None:
    """Each candidate gives the reference's bytes: in one call, and in portions from rings of rows."""
    expected = layer.expected()
    for candidate in candidates:
        called = arm_kernels.run(candidate, [layer.x], layer.output.shape)
        np.testing.assert_array_equal(called.output, expected, err_msg=candidate.variant)
    if dice is not None and candidates:
        portions = layer.portions([dice.integer(1, 5) for _ in range(3)])
        rows = max(max(portion.count, high - low) for portion in portions for low, high in portion.reads)
        called = arm_kernels.run(
            dice.pick(candidates), [layer.x], layer.output.shape, portions=portions, ring_rows=rows
        )
        np.testing.assert_array_equal(called.output, expected, err_msg="from rings")
