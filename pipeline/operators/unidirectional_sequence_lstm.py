"""UNIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.arithmetic import quantize_multiplier, rescale
from pipeline.operators import fixed_point_16 as short
from pipeline.operators.base import Operator, Parameters, Part
from pipeline.operators.checks import (
    accumulates,
    array,
    constant,
    constant_bias,
    integer,
    missing,
    present,
    quantized,
    symmetric_weights,
)
from pipeline.tensors import Quantization, Tensor

# Of the file's operands: the gates in the order input, forget, cell, output.
INPUT_WEIGHTS, RECURRENT_WEIGHTS, BIASES = range(1, 5), range(5, 9), range(12, 16)
STATE, CELL, HIDDEN = 18, 19, 28
"""The last of them is an intermediate tensor, which lends its scale only."""
OPTIONAL = {
    "peephole weights": range(9, 12),
    "a projection": range(16, 18),
    "layer normalization": range(20, 24),
}
GATES = ("input", "forget", "cell", "output")
CELL_GATE = 2
TANH = 4
"""Of the schema's fused activations; TFLite's integer kernel computes it whatever is stated."""
GATE_BITS = 12
"""Fractional bits of a gate before its sigmoid or tanh."""
CELL_EXPONENTS = range(-15, -8)
"""Scales of the cell state, as powers of two, that TFLite's tanh has a form for."""


@dataclass(frozen=True, slots=True)
class UnidirectionalSequenceLstm(Operator):
    """c_t = f c_(t-1) + i g and h_t = o tanh(c_t)

    The gates i, f, o are sigmoids and g is a tanh of W x_t + R h_(t-1) + b, each with its own W, R and b.
    Both states begin at zero in every inference, as Keras's do. Gates and cell are int16 (lstm_eval.cc,
    EvalInteger8x8_16); their sigmoid and tanh are gemmlowp's. The node's inputs are x, the gates' input
    weights, recurrent weights and biases.
    """

    tflite_name: ClassVar[str] = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    kernel: ClassVar[str] = "unidirectional_sequence_lstm"
    supported: ClassVar[str] = (
        "int8, cell state int16; weights constant, per tensor; no peephole, projection, "
        "layer normalization or coupled gates"
    )

    state: Quantization | None
    """Of h_(t-1)."""
    hidden: Quantization | None
    """Of h_t."""
    cell_scale: float
    cell_clip: float
    """0: none."""
    extras: tuple[str, ...] = ()
    """What the file has besides, and is not carried."""

    @classmethod
    def read(cls, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> Operator:
        """From the file's operands, the intermediate tensors behind them."""
        extras = [name for name, places in OPTIONAL.items() if any(inputs[i] is not None for i in places)]
        if inputs[INPUT_WEIGHTS[0]] is None:
            extras.append("coupled input and forget gates")
        if int(options.fusedActivationFunction) != TANH:
            extras.append("an activation other than tanh")
        if options.timeMajor:
            extras.append("time as its first axis")
        return cls(
            present(inputs[STATE]).quantization,
            present(inputs[HIDDEN]).quantization,
            present(inputs[CELL]).scale,
            float(options.cellClip),
            tuple(extras),
        )

    @classmethod
    def read_parts(
        cls, options: Any, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor]
    ) -> tuple[Part, ...]:
        places = (0, *INPUT_WEIGHTS, *RECURRENT_WEIGHTS, *BIASES)
        return ((cls.read(options, inputs, outputs[0]), tuple(inputs[i] for i in places)),)

    def problems(self, inputs: Sequence[Tensor | None], output: Tensor) -> list[str]:
        if self.extras:
            return [f"it has {extra}, which is not carried" for extra in self.extras]
        roles = (
            "input",
            *(
                f"{gate} gate's {what}"
                for what in ("input weights", "recurrent weights", "bias")
                for gate in GATES
            ),
        )
        found = missing(inputs, roles)
        if found:
            return found
        x, weights = present(inputs[0]), [present(each) for each in inputs[1:9]]
        found = [*quantized("input", x), *quantized("output", output)]
        units = weights[0].shape[0]
        if len(x.shape) != 3 or x.shape[0] != 1:
            found.append(f"its input {x.name} has the shape {list(x.shape)}, expected [1, steps, values]")
        elif any(w.shape != (units, x.shape[2] if k < 4 else units) for k, w in enumerate(weights)):
            found.append(
                f"its weights {[list(w.shape) for w in weights]} do not fit its input {list(x.shape)}"
            )
        elif output.shape != self.output_shape(inputs):
            found.append(
                f"its output has the shape {list(output.shape)}, expected {list(self.output_shape(inputs))}"
            )
        for w in weights:
            found += symmetric_weights(w, units, 0)
            if w.quantization is not None and w.quantization.per_channel:
                found.append(f"its weights {w.name} have a scale for each channel, expected one")
        for bias in inputs[9:]:
            found += constant_bias(bias, units)
        exponent = math.log2(self.cell_scale) if self.cell_scale > 0 else math.inf
        if exponent not in CELL_EXPONENTS:
            found.append(
                f"its cell state's scale is {self.cell_scale:g}, for which TFLite's kernel has no tanh "
                "(expected a power of two from 2^-15 to 2^-9)"
            )
        if None in (self.state, self.hidden) or self.state != output.quantization:
            found.append("its state, its hidden value or its output lacks a scale, or they differ")
        return found or self._overflows(inputs)

    def _overflows(self, inputs: Sequence[Tensor | None]) -> list[str]:
        x, state = present(inputs[0]), self._state_like(present(inputs[0]))
        found = []
        for k, (_, shift) in enumerate(self._factors(inputs)):
            source, bias = (x, inputs[9 + k]) if k < 4 else (state, None)
            found += accumulates(source, constant(inputs[1 + k]), bias, shift)
        return found

    def _state_like(self, x: Tensor) -> Tensor:
        return Tensor("its state", x.shape, "int8", self.state)

    def output_shape(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (*present(inputs[0]).shape[:-1], present(inputs[1]).shape[0])

    def macs(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        steps, values = present(inputs[0]).shape[-2:]
        return 4 * steps * output.shape[-1] * (values + output.shape[-1])

    def operands(self, inputs: Sequence[Tensor | None]) -> tuple[int, ...]:
        return (0,)

    def scratch_bytes(self, inputs: Sequence[Tensor | None], output: Tensor) -> int:
        """The cell state."""
        return 2 * output.shape[-1]

    def parameters(self, inputs: Sequence[Tensor | None], output: Tensor) -> Parameters:
        """The fields of the kernel's struct, in its order; zero points are in the biases."""
        x, units = present(inputs[0]), output.shape[-1]
        assert self.hidden is not None and self.state is not None  # noqa: PT018  (problems has seen to it)
        weights = [constant(each) for each in inputs[1:9]]
        zeros = [x.zero_point] * 4 + [self.state.zero_point[0]] * 4
        biases = [-zero * w.sum(axis=1, dtype=np.int64) for zero, w in zip(zeros, weights, strict=True)]
        for k, bias in enumerate(inputs[9:]):
            biases[k] = biases[k] + constant(bias).reshape(-1)
        factors = self._factors(inputs)
        exponent = round(math.log2(self.cell_scale))
        clip = min(float(np.float32(self.cell_clip) / np.float32(self.cell_scale)), short.HIGHEST)
        hidden_scale = float(np.float32(self.hidden.scale[0]))
        multiplier, shift = quantize_multiplier(float(np.float32(2.0**-15 / hidden_scale * 2.0**-15)))
        return {
            "steps": x.shape[-2],
            "inputs": x.shape[-1],
            "units": units,
            "cell_bits": 15 + exponent,
            "cell_shift": 30 + exponent,
            "cell_clip": int(clip) if self.cell_clip > 0 else short.HIGHEST + 1,
            "output_zero": self.hidden.zero_point[0],
            "output_multiplier": multiplier,
            "output_shift": shift,
            "input_weights": np.stack(weights[:4]),
            "recurrent_weights": np.stack(weights[4:]),
            "input_bias": np.stack(biases[:4]).astype(np.int32),
            "recurrent_bias": np.stack(biases[4:]).astype(np.int32),
            "multiplier": np.array([multiplier for multiplier, _ in factors], np.int32),
            "shift": np.array([shift for _, shift in factors], np.int8),
        }

    def _factors(self, inputs: Sequence[Tensor | None]) -> list[tuple[int, int]]:
        """Multiplier and shift of each product of weights, computed in float32 as TFLite does."""
        assert self.state is not None
        scales = [present(inputs[0]).scale] * 4 + [self.state.scale[0]] * 4
        return [
            quantize_multiplier(
                float(np.float32(present(w).scale) * np.float32(scale) / np.float32(2.0**-GATE_BITS))
            )
            for w, scale in zip(inputs[1:9], scales, strict=True)
        ]

    def reference(self, p: Parameters, *arrays: np.ndarray) -> np.ndarray:
        x, units = arrays[0].astype(np.int64), integer(p, "units")
        weights = [
            *array(p, "input_weights").astype(np.int64),
            *array(p, "recurrent_weights").astype(np.int64),
        ]
        biases = [*array(p, "input_bias").astype(np.int64), *array(p, "recurrent_bias").astype(np.int64)]
        cell = np.zeros(units, np.int64)
        rows: list[np.ndarray] = []
        for row in x.reshape(-1, x.shape[-1]):
            gates = []
            for k in range(4):
                total = _short(self._scaled(p, k, weights[k] @ row + biases[k]))
                if rows:
                    total = _short(total + self._scaled(p, k + 4, weights[k + 4] @ rows[-1] + biases[k + 4]))
                gates.append(short.tanh(total, 3) if k == CELL_GATE else short.logistic(total))
            keep, add = (
                short.divided(gates[1] * cell, 15),
                short.divided(gates[0] * gates[2], integer(p, "cell_shift")),
            )
            clip = integer(p, "cell_clip")
            cell = np.clip(_short(keep + add), -clip, clip)
            seen = gates[3] * short.tanh(cell, integer(p, "cell_bits"))
            y = rescale(seen, integer(p, "output_multiplier"), integer(p, "output_shift"))
            rows.append(np.clip(y + integer(p, "output_zero"), -128, 127))
        return np.stack(rows).astype(np.int8).reshape((*x.shape[:-1], units))

    @staticmethod
    def _scaled(p: Parameters, k: int, sums: np.ndarray) -> np.ndarray:
        return rescale(sums, int(array(p, "multiplier")[k]), int(array(p, "shift")[k]))


def _short(x: np.ndarray) -> np.ndarray:
    clipped: np.ndarray = np.clip(x, short.LOWEST, short.HIGHEST)
    return clipped
