"""What several operators ask of their tensors, each answer a line for the user or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.arithmetic import LARGEST_ACCUMULATOR
from pipeline.operators.base import Activation, Parameters
from pipeline.tensors import Tensor

SUPPORTED_ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU_N1_TO_1, Activation.RELU6)

BIAS_TYPES = {"int8": "int32", "int16": "int64"}
"""Of biases and sums, by the type of the activations."""

# The TFLite schema's ActivationFunctionType.
_ACTIVATIONS = (
    Activation.NONE,
    Activation.RELU,
    Activation.RELU_N1_TO_1,
    Activation.RELU6,
    Activation.TANH,
    Activation.SIGN_BIT,
)


def read_activation(options: object) -> Activation:
    """The fused activation of a schema options object."""
    return _ACTIVATIONS[int(getattr(options, "fusedActivationFunction", 0))]


def present(tensor: Tensor | None) -> Tensor:
    """A tensor that `problems` has found to be there."""
    if tensor is None:
        raise ValueError("a required operand is missing")
    return tensor


def constant(tensor: Tensor | None) -> np.ndarray:
    """The data of a tensor that `problems` has found to be constant."""
    data = present(tensor).data
    if data is None:
        raise ValueError(f"{present(tensor).name} is not constant")
    return data


def integer(p: Parameters, field: str) -> int:
    """A parameter that is an integer."""
    value = p[field]
    if not isinstance(value, int):
        raise TypeError(f"{field} is {value!r}, expected an integer")
    return value


def array(p: Parameters, field: str) -> np.ndarray:
    """A parameter that is an array."""
    value = p[field]
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{field} is {value!r}, expected an array")
    return value


def optional_bias(inputs: Sequence[Tensor | None]) -> Tensor | None:
    """The third operand of a convolution or dense layer, absent in two ways."""
    return inputs[2] if len(inputs) > 2 else None


def missing(inputs: Sequence[Tensor | None], roles: Sequence[str]) -> list[str]:
    """Which of the required operands are absent."""
    return [f"its {role} is missing" for i, role in enumerate(roles) if i >= len(inputs) or inputs[i] is None]


def quantized(
    role: str, tensor: Tensor, dtypes: Iterable[str] = ("int8",), per_channel: bool = False
) -> list[str]:
    """The tensor has one of these integer types and a usable scale and zero point."""
    dtypes = tuple(dtypes)
    if tensor.dtype not in dtypes:
        return [f"its {role} {tensor.name} is {tensor.dtype}, expected {' or '.join(dtypes)}"]
    if tensor.quantization is None:
        return [f"its {role} {tensor.name} carries no quantization (scale and zero point)"]
    if tensor.quantization.per_channel and not per_channel:
        return [f"its {role} {tensor.name} is quantized per channel, expected per tensor"]
    found = []
    scales = np.array(tensor.quantization.scale)
    # Below the smallest normal number its inverse is none.
    if not (np.isfinite(scales).all() and (scales >= np.finfo(np.float32).tiny).all()):
        found.append(f"its {role} {tensor.name} has a scale that is not positive")
    if not per_channel:
        limits = np.iinfo(tensor.dtype)
        if not limits.min <= tensor.zero_point <= limits.max:
            found.append(f"its {role} {tensor.name} has the zero point {tensor.zero_point}")
    return found


def elements(role: str, tensor: Tensor, dtype: str) -> list[str]:
    """The tensor holds quantized integers of this type; int16 around 0, as TFLite has it."""
    found = quantized(role, tensor, (dtype,))
    if not found and dtype == "int16" and tensor.zero_point:
        return [f"its {role} {tensor.name} is int16 with the zero point {tensor.zero_point}, expected 0"]
    return found


def alike(x: Tensor, output: Tensor) -> list[str]:
    """Both are int8 or both int16, of one scale and zero point, so that integers can be copied."""
    dtype = "int16" if x.dtype == "int16" else "int8"
    return [
        *elements("input", x, dtype),
        *elements("output", output, dtype),
        *same_quantization(x, output),
    ]


def ranked(role: str, tensor: Tensor, rank: int) -> list[str]:
    """The tensor has this many axes, none empty."""
    if len(tensor.shape) != rank or any(size < 1 for size in tensor.shape):
        return [f"its {role} {tensor.name} has the shape {list(tensor.shape)}, expected {rank} axes"]
    return []


def single(role: str, tensor: Tensor) -> list[str]:
    """The batch, the first axis of a tensor of rank four, is one."""
    if len(tensor.shape) == 4 and tensor.shape[0] != 1:
        return [f"its {role} {tensor.name} has a batch of {tensor.shape[0]}, expected 1"]
    return []


def known_activation(activation: Activation) -> list[str]:
    """The fused activation is one that clamps."""
    if activation in SUPPORTED_ACTIVATIONS:
        return []
    return [f"its fused activation {activation.value} is not supported"]


def same_quantization(a: Tensor, b: Tensor) -> list[str]:
    """Both tensors have one scale and one zero point, so that integers can be compared or copied."""
    if a.quantization is None or b.quantization is None:
        return []
    if (a.quantization.scale, a.quantization.zero_point) != (b.quantization.scale, b.quantization.zero_point):
        return [f"{a.name} and {b.name} differ in scale or zero point"]
    return []


def symmetric_weights(weights: Tensor, channels: int, axis: int) -> list[str]:
    """Constant int8 weights, zero point 0, one scale or one for each output channel."""
    found = quantized("weights", weights, per_channel=True)
    if not weights.is_constant:
        found.append(f"its weights {weights.name} are not constant")
    if found or weights.quantization is None:
        return found
    scales, zeros = weights.quantization.scale, weights.quantization.zero_point
    if any(zeros):
        found.append(f"its weights {weights.name} have a zero point other than 0")
    if len(scales) > 1 and (len(scales) != channels or weights.quantization.axis != axis):
        found.append(
            f"its weights {weights.name} have {len(scales)} scales along axis {weights.quantization.axis}, "
            f"expected {channels} along axis {axis}"
        )
    return found


def constant_bias(bias: Tensor | None, channels: int, dtype: str = "int32") -> list[str]:
    """No bias, or a constant one for each output channel, of the type that its sums have."""
    if bias is None:
        return []
    if bias.dtype != dtype or not bias.is_constant or bias.elements != channels:
        kind = "constant" if bias.is_constant else "computed"
        return [
            f"its bias {bias.name} is {kind} {bias.dtype}{list(bias.shape)}, "
            f"expected {channels} constant {dtype} values"
        ]
    return []


LARGEST_SUM = 2**47
"""Of int16 activations and int8 weights: times a factor of 15 bits it fits 64."""
LARGEST_FACTOR = 2**13
"""Of its 15 bits, some are left below a unit."""


def accumulates_int16(weights: np.ndarray, bias: Tensor | None, factors: Sequence[float]) -> list[str]:
    """No sum of products with int16 can leave 47 bits, nor a result 32. `weights` is (channels, taps)."""
    sums = np.abs(weights.astype(np.int64)).sum(axis=1) << 15
    if bias is not None:
        # TFLite's biases have 64 bits, of which it uses fewer.
        sums = sums + np.minimum(np.abs(constant(bias).reshape(-1).astype(np.float64)), 2.0**62).astype(int)
    if (sums >= LARGEST_SUM).any():
        return [f"its accumulators can reach {int(sums.max())}, which is more than 47 bits"]
    if max(factors) >= LARGEST_FACTOR or (sums * np.array(factors) >= 2.0**31 - 1).any():
        return ["its output's scale is too small for its input and weights"]
    return []


def accumulates(
    x: Tensor, weights: np.ndarray, bias: Tensor | None, shifts: np.ndarray | int = 0
) -> list[str]:
    """No sum of products can leave 32 bits, whatever the input. `weights` is (channels, taps)."""
    reach = max(127 - x.zero_point, 128 + x.zero_point)
    sums = np.abs(weights.astype(np.int64)).sum(axis=1) * reach
    if bias is not None:
        sums = sums + np.abs(constant(bias).reshape(-1).astype(np.int64))
    shifts = np.broadcast_to(np.asarray(shifts, np.int64), sums.shape)
    scaled = sums << np.clip(shifts, 0, 31)
    # A shift to the right halves the product at least, so that rounding and output zero point find room.
    limits = np.where(shifts < 0, 2**31 - 1, LARGEST_ACCUMULATOR)
    if (scaled >= limits).any():
        return [f"its accumulators can reach {int(scaled.max())}, which leaves 32 bits no room for rounding"]
    return []
