"""FULLY_CONNECTED."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.arithmetic import activation_range, rescale_once, single_rounding_multiplier
from pipeline.operators.base import Activation, Operator, Parameters
from pipeline.operators.checks import (
    accumulates,
    array,
    constant,
    constant_bias,
    integer,
    known_activation,
    missing,
    optional_bias,
    present,
    quantized,
    ranked,
    read_activation,
    symmetric_weights,
)
from pipeline.tensors import Tensor


@dataclass(frozen=True, slots=True)
class FullyConnected(Operator):
    """y[o] = clamp(rescale(sum_i w[o, i] * (x[i] - x_zero) + b[o]) + y_zero)

    The reference kernel rescales in float64 and rounds once (integer_ops/fully_connected.h); the
    multiplier is chosen so that integers give the same results for every sum.
    """

    tflite_name: ClassVar[str] = "FULLY_CONNECTED"
    kernel: ClassVar[str] = "fully_connected"
    supported: ClassVar[str] = (
        "int8; weights constant, int8 or int4, per channel or per tensor; bias optional"
    )

    activation: Activation = Activation.NONE
    keep_num_dims: bool = False

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> FullyConnected:
        # Another layout of the weights (weightsFormat) exists in the schema for uint8 alone.
        return cls(read_activation(options), bool(options.keepNumDims))

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        found = missing(inputs, ("input", "weights"))
        if found:
            return found
        x, w = present(inputs[0]), present(inputs[1])
        found = [
            *quantized("input", x),
            *quantized("output", output),
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
        found = [*symmetric_weights(w, outputs, 0), *constant_bias(bias, outputs)]
        if not found:
            pairs = self._multipliers(x, w, output)
            if None in pairs:
                return ["its scales are exact ratios for which no integers round as float64 does"]
            found += accumulates(x, constant(w), bias, np.array([pair[2] for pair in pairs if pair]))
        return found

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        x, (outputs, depth) = present(inputs[0]), present(inputs[1]).shape
        return (*x.shape[:-1], outputs) if self.keep_num_dims else (x.elements // depth, outputs)

    def macs(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        return present(inputs[0]).elements * present(inputs[1]).shape[0]

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0, 1)

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
        x, w = arrays
        # float64 holds these products and sums exactly.
        rows = x.reshape(integer(p, "rows"), -1).astype(np.float64)
        stored = self.requantized(p, (rows @ w.T.astype(np.float64)).astype(np.int64)).astype(np.int8)
        return stored.reshape((*x.shape[:-1], -1)) if self.keep_num_dims else stored

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
