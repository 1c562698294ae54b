"""CONV_2D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.base import Parameters
from pipeline.operators.checks import constant
from pipeline.operators.convolution import Convolution, ConvolutionInt16, input_patches
from pipeline.tensors import Tensor


class AcrossChannels:
    """A window reads all input channels."""

    __slots__ = ()

    axis: ClassVar[int] = 0

    def misfits(self, x: Tensor, weights: Tensor) -> list[str]:
        if weights.shape[3] != x.shape[3]:
            return [f"its input has {x.shape[3]} channels, its weights {weights.shape[3]}"]
        return []

    def filters(self, weights: Tensor) -> np.ndarray:
        return constant(weights).reshape(weights.shape[0], -1)

    def sums(self, p: Parameters, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        patches = input_patches(p, x)
        flat = patches.reshape(*patches.shape[:2], -1)
        return (flat @ weights.reshape(len(weights), -1).T.astype(np.float64)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Conv2D(AcrossChannels, Convolution):
    """y[o] = clamp(rescale(sum_yxi w[o, y, x, i] * (x[y, x, i] - x_zero) + b[o]) + y_zero)

    `floor` and `ceiling` clamp channel by channel, in this order, after the activation; `pool` then
    keeps the maximum of each window (stride = window, rows and columns that fill none are dropped).
    """

    tflite_name: ClassVar[str] = "CONV_2D"
    kernel: ClassVar[str] = "conv_2d"
    supported: ClassVar[str] = (
        "int8; weights constant, int8 or int4, per channel or per tensor; bias optional; "
        "any stride, dilation, padding; groups as one, with weights of zero between them"
    )


@dataclass(frozen=True, slots=True)
class Conv2DInt16(AcrossChannels, ConvolutionInt16):
    """y[o] = clamp(rescale(sum_yxi w[o, y, x, i] * x[y, x, i] + b[o]))"""

    tflite_name: ClassVar[str] = "CONV_2D"
    kernel: ClassVar[str] = "conv_2d_int16"
    supported: ClassVar[str] = (
        "int16; weights constant, int8 or int4, per channel or per tensor; bias int64, optional; "
        "any stride, dilation, padding; groups as one, with weights of zero between them"
    )
