"""DEPTHWISE_CONV_2D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.operators.base import Parameters
from pipeline.operators.checks import constant, integer
from pipeline.operators.convolution import Convolution, ConvolutionInt16, input_patches
from pipeline.tensors import Tensor


class ByChannel:
    """A window reads one input channel."""

    __slots__ = ()

    axis: ClassVar[int] = 3

    def misfits(self, x: Tensor, weights: Tensor) -> list[str]:
        if weights.shape[0] != 1 or weights.shape[3] % x.shape[3]:
            return [f"its weights {list(weights.shape)} do not fit an input of {x.shape[3]} channels"]
        return []

    def filters(self, weights: Tensor) -> np.ndarray:
        return constant(weights).reshape(-1, weights.shape[3]).T

    def sums(self, p: Parameters, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        patches = input_patches(p, x)
        multiplier = integer(p, "output_channels") // integer(p, "input_channels")
        products = np.repeat(patches, multiplier, axis=-1) * weights[0]
        found: np.ndarray = products.sum(axis=(2, 3)).astype(np.int64)
        return found


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D(ByChannel, Convolution):
    """y[o] = clamp(rescale(sum_yx w[y, x, o] * (x[y, x, o // m] - x_zero) + b[o]) + y_zero)

    m is the depth multiplier: outputs per input channel. `floor`, `ceiling` and `pool` as in CONV_2D.
    """

    tflite_name: ClassVar[str] = "DEPTHWISE_CONV_2D"
    kernel: ClassVar[str] = "depthwise_conv_2d"
    supported: ClassVar[str] = (
        "int8; weights constant, int8 or int4, per channel or per tensor; bias optional; "
        "any stride, dilation, padding, depth multiplier"
    )


@dataclass(frozen=True, slots=True)
class DepthwiseConv2DInt16(ByChannel, ConvolutionInt16):
    """y[o] = clamp(rescale(sum_yx w[y, x, o] * x[y, x, o // m] + b[o]))"""

    tflite_name: ClassVar[str] = "DEPTHWISE_CONV_2D"
    kernel: ClassVar[str] = "depthwise_conv_2d_int16"
    supported: ClassVar[str] = (
        "int16; weights constant, int8 or int4, per channel or per tensor; bias int64, optional; "
        "any stride, dilation, padding, depth multiplier"
    )
