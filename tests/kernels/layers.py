"""Convolutions for the tests of kernels, and the calls that make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from arm import ArmKernels, Portion

from pipeline.kernels.base import Candidate
from pipeline.operators.base import Activation
from pipeline.operators.conv_2d import Conv2D
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import Dice, bias_of, channel_clamp, channel_scales, fitting_scales, spread_of

SAME = ((1, 1), (1, 1))
"""Padding of a 3 x 3 window."""
VALID = ((0, 0), (0, 0))


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


def typical(
    height: int = 8, width: int = 12, channels: int = 16, filters: int = 6, **attributes: Any
) -> Layer:
    """A layer as trained models have them; its sums fill the output's range."""
    random = np.random.default_rng(height * width * channels)
    weights = np.clip(random.normal(0, 36, (filters, 3, 3, channels)).round(), -127, 127).astype(np.int8)
    scale = float(np.float32(0.05 * 0.01 * np.sqrt(9 * channels) * 36 * 74 / 50))
    return make_layer(
        random.integers(-128, 128, (1, height, width, channels)).astype(np.int8),
        weights,
        random.integers(-6000, 6000, filters).astype(np.int32),
        **{
            "pads": SAME,
            "scales": (0.05, tuple(random.uniform(0.005, 0.02, filters)), scale),
            "zeros": (-5, -128),
            **attributes,
        },
    )


def draw_3x3(dice: Dice, least: tuple[int, int], most: tuple[int, int], channels: int) -> Layer:
    """Any 3 x 3 convolution with stride 1 whose padded input has such a size, of 4 to `channels` channels."""
    pool = dice.pick([None, (2, 2)])
    pads = dice.pick([SAME, SAME, VALID, ((0, 2), (2, 1)), ((3, 0), (0, 4))])
    height, width = (
        dice.length(max(least[axis] - sum(pads[axis]), 1), most[axis] - sum(pads[axis])) for axis in (0, 1)
    )
    depth, filters = 4 * dice.length(1, channels // 4), dice.length(1, 9)
    x = dice.array((1, height, width, depth))
    weights = np.maximum(dice.array((filters, 3, 3, depth)), -127)
    zero = dice.zero_point()
    spread = spread_of(x, zero, weights, 9 * depth)
    x_scale = dice.factor(1e-3)
    w_scale, scale = fitting_scales(dice, x_scale, spread)
    clamped = dice.chance()
    return make_layer(
        x,
        weights,
        bias_of(dice, filters, spread),
        zeros=(zero, dice.pick([-128, dice.zero_point()])),
        scales=(x_scale, channel_scales(dice, w_scale, filters), scale),
        pads=pads,
        pool=pool,
        activation=dice.pick(
            [Activation.NONE, Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]
        ),
        floor=channel_clamp(dice, filters, -128, 20) if clamped else None,
        ceiling=channel_clamp(dice, filters, -20, 127) if clamped else None,
    )


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
