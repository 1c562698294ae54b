"""What RELU, RELU6, RELU_N1_TO_1 and the integer QUANTIZE share: rescale, shift the zero point, clamp."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.arithmetic import LARGEST_ACCUMULATOR, quantize_multiplier, rescale
from pipeline.operators.base import Parameters
from pipeline.operators.checks import integer
from pipeline.tensors import Tensor

_SIGN_BIT = 0x80


def too_steep(x: Tensor, output: Tensor, factor: float) -> list[str]:
    """The output's scale leaves room for the largest input in 32 bits."""
    reach = 2**15 if x.dtype == "int16" else 255
    if reach << max(quantize_multiplier(factor)[1], 0) >= LARGEST_ACCUMULATOR:
        return [f"its scales {x.scale:g} and {output.scale:g} lie too far apart"]
    return []


def same_shape(x: Tensor, output: Tensor) -> list[str]:
    """The output has the input's shape."""
    if x.shape != output.shape:
        return [f"its output {output.name} has the shape {list(output.shape)}, expected {list(x.shape)}"]
    return []


def requantization(x: Tensor, output: Tensor, factor: float, bounds: Sequence[int]) -> Parameters:
    """The fields of `struct requantize`, in its order.

    A uint8 is the int8 with the other sign bit, and a zero point and bounds lower by 128.
    """
    multiplier, shift = quantize_multiplier(factor)
    input_offset, output_offset = (128 if each.dtype == "uint8" else 0 for each in (x, output))
    return {
        "count": output.elements,
        "input_flip": _SIGN_BIT if input_offset else 0,
        "output_flip": _SIGN_BIT if output_offset else 0,
        "input_zero": x.zero_point - input_offset,
        "output_zero": output.zero_point - output_offset,
        "multiplier": multiplier,
        "shift": shift,
        "minimum": bounds[0] - output_offset,
        "maximum": bounds[1] - output_offset,
    }


def requantized(p: Parameters, x: np.ndarray, dtype: str = "int8") -> np.ndarray:
    """The output's integers."""
    signed = (x.view(np.uint8) ^ np.uint8(integer(p, "input_flip"))).view(np.int8).astype(np.int64)
    y = rescale(signed - integer(p, "input_zero"), integer(p, "multiplier"), integer(p, "shift"))
    y = np.clip(y + integer(p, "output_zero"), integer(p, "minimum"), integer(p, "maximum"))
    flipped: np.ndarray = y.astype(np.int8).view(np.uint8) ^ np.uint8(integer(p, "output_flip"))
    return flipped.view(dtype)


def requantization_int16(x: Tensor, output: Tensor, factor: float, bounds: Sequence[int]) -> Parameters:
    """The fields of `struct requantize_int16`, in its order: either side is int16, or both.

    A uint8 input is the int8 with the other sign bit, and a zero point lower by 128.
    """
    multiplier, shift = quantize_multiplier(factor)
    flips = x.dtype == "uint8"
    return {
        "count": output.elements,
        "input_bytes": np.dtype(x.dtype).itemsize,
        "output_bytes": np.dtype(output.dtype).itemsize,
        "input_flip": _SIGN_BIT if flips else 0,
        "input_zero": x.zero_point - (128 if flips else 0),
        "output_zero": output.zero_point,
        "multiplier": multiplier,
        "shift": shift,
        "minimum": bounds[0],
        "maximum": bounds[1],
    }


def requantized_int16(p: Parameters, x: np.ndarray) -> np.ndarray:
    """The output's integers."""
    if integer(p, "input_bytes") == 1:
        x = (x.view(np.uint8) ^ np.uint8(integer(p, "input_flip"))).view(np.int8)
    shifted = x.astype(np.int64) - integer(p, "input_zero")
    y = rescale(shifted, integer(p, "multiplier"), integer(p, "shift")) + integer(p, "output_zero")
    stored: np.ndarray = np.clip(y, integer(p, "minimum"), integer(p, "maximum"))
    return stored.astype("int16" if integer(p, "output_bytes") == 2 else "int8")
