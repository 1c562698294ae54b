"""FULLY_CONNECTED."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.arithmetic import (
    activation_range,
    rescale_once,
    round_product,
    single_rounding_multiplier,
)
from pipeline.operators import convolution
from pipeline.operators.base import Activation, Operator, Parameters
from pipeline.operators.checks import (
    BIAS_TYPES,
    accumulates,
    accumulates_int16,
    array,
    constant,
    constant_bias,
    elements,
    integer,
    known_activation,
    missing,
    optional_bias,
    present,
    ranked,
    read_activation,
    symmetric_weights,
)
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Dense(Operator):
    """Rows times a matrix of weights; what becomes of the sums is left open"""

    tflite_name: ClassVar[str] = "FULLY_CONNECTED"

    activation: Activation = Activation.NONE
    keep_num_dims: bool = False

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Self:
        # Another layout of the weights (weightsFormat) exists in the schema for uint8 alone.
        return cls(read_activation(options), bool(options.keepNumDims))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input", "weights"))
        if found:
            return found
        x, w = present(inputs[0]), present(inputs[1])
        found = [
            *elements("input", x, self.element),
            *elements("output", output, self.element),
            *ranked("weights", w, 2),
            *known_activation(self.activation),
        ]
        if found:
            return found
        outputs, depth = w.shape
        if x.elements % depth or (self.keep_num_dims and x.shape[-1] != depth):
            return [f"its input {list(x.shape)} does not divide into rows of {depth}"]
        if output.shape != self.output_shape(inputs):
            expected = list(self.output_shape(inputs))
            return [f"its output {output.name} has the shape {list(output.shape)}, expected {expected}"]
        bias = optional_bias(inputs)
        found = [
            *symmetric_weights(w, outputs, 0),
            *constant_bias(bias, outputs, BIAS_TYPES[self.element]),
        ]
        return found or self.overflows(x, w, bias, output)

    @abstractmethod
    def overflows(self, x: Tensor, weights: Tensor, bias: Tensor | None, output: Tensor) -> list[str]:
        """Why sums of products cannot be brought to the output's scale."""

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        x, (outputs, depth) = present(inputs[0]), present(inputs[1]).shape
        return (*x.shape[:-1], outputs) if self.keep_num_dims else (x.elements // depth, outputs)

    def macs(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        return present(inputs[0]).elements * present(inputs[1]).shape[0]

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0, 1)

    def sums(self, p: Parameters, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sums of products (rows, outputs), int64."""
        # float64 holds these products and sums exactly.
        rows = x.reshape(integer(p, "rows"), -1).astype(np.float64)
        return (rows @ weights.T.astype(np.float64)).astype(np.int64)

    def shaped(self, stored: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The output (rows, outputs) in its own shape."""
        return stored.reshape((*x.shape[:-1], -1)) if self.keep_num_dims else stored


@dataclass(frozen=True, slots=True)
class FullyConnected(Dense):
    """y[o] = clamp(rescale(sum_i w[o, i] * (x[i] - x_zero) + b[o]) + y_zero)

    The reference kernel rescales in float64 and rounds once (integer_ops/fully_connected.h); the
    multiplier is chosen so that integers give the same results for every sum.
    """

    kernel: ClassVar[str] = "fully_connected"
    supported: ClassVar[str] = (
        "int8; weights constant, int8 or int4, per channel or per tensor; bias optional"
    )

    def overflows(self, x: Tensor, weights: Tensor, bias: Tensor | None, output: Tensor) -> list[str]:
        pairs = self._multipliers(x, weights, output)
        if None in pairs:
            return ["its scales are exact ratios for which no integers round as float64 does"]
        return accumulates(x, constant(weights), bias, np.array([pair[2] for pair in pairs if pair]))

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct fully_connected`, in its order. The input's zero point is in the bias."""
        x, w = present(inputs[0]), present(inputs[1])
        outputs, depth = w.shape
        bias = np.zeros(outputs, np.int64)
        given = optional_bias(inputs)
        if given is not None:
            bias += constant(given).reshape(-1)
        bias -= x.zero_point * constant(w).sum(axis=1, dtype=np.int64)
        pairs = [pair for pair in self._multipliers(x, w, output) if pair is not None]
        if len(set(pairs)) == 1:
            pairs = pairs[:1]
        minimum, maximum = activation_range(self.activation.value, output)
        return {
            "rows": x.elements // depth,
            "inputs": depth,
            "outputs": outputs,
            "output_zero": output.zero_point,
            "minimum": minimum,
            "maximum": maximum,
            "scale_step": int(len(pairs) > 1),
            "bias": bias.astype(np.int32),
            "multiplier": np.array([pair[0] for pair in pairs], np.int32),
            "residue": np.array([pair[1] for pair in pairs], np.int32) if any(p[1] for p in pairs) else None,
            "shift": np.array([pair[2] for pair in pairs], np.int8),
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        stored = self.requantized(p, self.sums(p, *arrays)).astype(np.int8)
        return self.shaped(stored, arrays[0])

    @staticmethod
    def requantized(p: Parameters, sums: np.ndarray) -> np.ndarray:
        """What becomes of sums of products (..., outputs): bias added, rescaled and clamped, int64."""
        residue = array(p, "residue") if p["residue"] is not None else 0
        y = rescale_once(sums + array(p, "bias"), array(p, "multiplier"), residue, array(p, "shift"))
        clamped: np.ndarray = np.clip(
            y + integer(p, "output_zero"), integer(p, "minimum"), integer(p, "maximum")
        )
        return clamped

    @staticmethod
    def _multipliers(x: Tensor, weights: Tensor, output: Tensor) -> list[tuple[int, int, int] | None]:
        scales = weights.quantization.scale if weights.quantization is not None else ()
        made: dict[float, tuple[int, int, int] | None] = {}
        for scale in scales:
            real = x.scale * scale / output.scale
            if real not in made:
                low, high = -128 - output.zero_point, 127 - output.zero_point
                made[real] = single_rounding_multiplier(real, low, high)
        return [made[x.scale * scale / output.scale] for scale in scales]


@dataclass(frozen=True, slots=True)
class FullyConnectedInt16(Dense):
    """y[o] = clamp(round((sum_i w[o, i] * x[i] + b[o]) * factor[o]))

    The reference kernel multiplies in float64, and so does this one: sums have up to 47 bits, too many
    for a factor of integers that gives the same results.
    """

    element: ClassVar[str] = "int16"
    kernel: ClassVar[str] = "fully_connected_int16"
    supported: ClassVar[str] = (
        "int16; weights constant, int8 or int4, per channel or per tensor; bias int64, optional"
    )

    def overflows(self, x: Tensor, weights: Tensor, bias: Tensor | None, output: Tensor) -> list[str]:
        return accumulates_int16(constant(weights), bias, convolution.factors(x, weights, output))

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of `struct fully_connected_int16`, in its order."""
        x, w, bias = present(inputs[0]), present(inputs[1]), optional_bias(inputs)
        outputs, depth = w.shape
        factors = np.array(convolution.factors(x, w, output))
        if (factors == factors[0]).all():
            factors = factors[:1]
        minimum, maximum = activation_range(self.activation.value, output)
        return {
            "rows": x.elements // depth,
            "inputs": depth,
            "outputs": outputs,
            "minimum": minimum,
            "maximum": maximum,
            "factor_step": int(len(factors) > 1),
            "bias": np.zeros(outputs, np.int64) if bias is None else constant(bias).reshape(-1),
            "factor": factors,
        }

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        scaled = round_product(self.sums(p, *arrays) + array(p, "bias"), array(p, "factor"))
        stored = np.clip(scaled, integer(p, "minimum"), integer(p, "maximum")).astype(np.int16)
        return self.shaped(stored, arrays[0])
