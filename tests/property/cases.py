"""Draw tensors that provoke a kernel, and hold an operator against the reference kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from pipeline.operators import Operator, operator_of
from pipeline.read_tflite import read_tflite
from pipeline.tensors import Quantization, Tensor
from tests.property.c_kernels import Kernels
from tests.property.oracle import run_reference
from tests.property.tflite_builder import Spec, build

LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
T = TypeVar("T")


class Dice:
    """Everything random of one case. Hypothesis draws the seed and how large shapes may become.

    Drawing each number by hypothesis itself makes poor kernels' tests: it likes ends of ranges and
    small changes of what it drew before, so that most outputs are saturated or all alike.
    """

    def __init__(self, seed: int, size: int) -> None:
        self.seed, self.size = seed, size
        self.random = np.random.default_rng(seed)

    def __repr__(self) -> str:
        return f"Dice({self.seed}, {self.size})"

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self.random.integers(len(choices)))]

    def chance(self, probability: float = 0.5) -> bool:
        return bool(self.random.random() < probability)

    def integer(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def length(self, low: int, high: int) -> int:
        """A size of an axis, no more than low + size and more often near it."""
        high = min(high, low + self.size)
        return max(self.integer(low, high), self.integer(low, high))

    def between(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def factor(self, low: float = 1e-4, high: float = 1.0) -> float:
        """A positive float32: a power of two (which makes ties), or anything in between."""
        factor = np.exp(self.between(np.log(low), np.log(high)))
        return float(2.0 ** np.floor(np.log2(factor)) if self.chance(0.4) else np.float32(factor))

    def zero_point(self, dtype: str = "int8") -> int:
        if dtype == "int16":  # TFLite's kernels know no other
            return 0
        low, high = LIMITS[dtype]
        return self.pick(
            [low, low + 1, (low + high + 1) // 2, high, *(self.integer(low, high) for _ in range(6))]
        )

    def array(self, shape: tuple[int, ...], dtype: str = "int8") -> np.ndarray:
        """Uniform, or one time in three extreme, constant or small values."""
        low, high = LIMITS[dtype]
        kind = self.pick(["uniform"] * 8 + ["extreme", "lowest", "highest", "small"])
        if kind in {"lowest", "highest"}:
            return np.full(shape, low if kind == "lowest" else high, dtype)
        if kind == "extreme":
            return self.random.choice(np.array([low, high], dtype), shape)
        if kind == "small":
            middle, reach = (low + high + 1) // 2, 3 * finer(dtype)
            return self.random.integers(middle - reach, middle + reach + 1, shape).astype(dtype)
        return self.random.integers(low, high + 1, shape).astype(dtype)


DICE = st.builds(Dice, st.integers(0, 2**64 - 1), st.integers(1, 12))


def bias_of(dice: Dice, channels: int, spread: float, dtype: str = "int32") -> np.ndarray:
    largest = 2**26 if dtype == "int32" else 2**40
    reach = min(int(spread * dice.pick([0.0, 1.0, 1.0, 1.0, 1000.0])), largest)
    return dice.random.integers(-reach, reach + 1, channels).astype(dtype)


def spread_of(x: np.ndarray, zero: int, w: np.ndarray, taps: int) -> float:
    """How far sums of so many products go, more or less."""
    shifted, weights = x.astype(float) - zero, w.astype(float)
    power = (shifted**2).mean() * (weights**2).mean()
    return float(taps * abs(shifted.mean() * weights.mean()) + np.sqrt(taps * power) + 50)


def fitting_scales(dice: Dice, x_scale: float, spread: float, element: str = "int8") -> tuple[float, float]:
    """(weights, output) scales at which sums of this spread fill the output's range more or less.

    The output's scale suits the bounds of RELU6; the ratio is often a power of two, which makes ties.
    """
    filled = dice.pick([60.0, 60.0, 40.0, 90.0, 10.0, 400.0]) * finer(element) / spread
    if dice.chance(0.4):
        filled = 2.0 ** np.round(np.log2(filled))
    w_scale = float(np.float32(dice.between(0.005, 0.2) / finer(element) * filled / x_scale))
    return w_scale, float(np.float32(x_scale * w_scale / filled))


def finer(element: str) -> int:
    """How many integers of this type lie in one of int8."""
    return 256 if element == "int16" else 1


def channel_scales(dice: Dice, scale: float, channels: int) -> float | tuple[float, ...]:
    """One scale, or one for each channel around it."""
    if channels == 1 or dice.chance(0.3):
        return scale
    return tuple(float(np.float32(scale * factor)) for factor in dice.random.uniform(0.5, 2.0, channels))


def channel_clamp(dice: Dice, channels: int, low: int, high: int) -> tuple[int, ...] | None:
    if dice.chance():
        return None
    return tuple(int(value) for value in dice.random.integers(low, high + 1, channels))


def tensor_of(spec: Spec, name: str) -> Tensor:
    """What the reader makes of a tensor."""
    quantization = None
    if spec.scale is not None:
        scales = spec.scale if isinstance(spec.scale, tuple) else (spec.scale,)
        quantization = Quantization(
            tuple(float(np.float32(s)) for s in scales), (spec.zero_point,) * len(scales), spec.axis
        )
    return Tensor(name, spec.shape, spec.dtype, quantization, spec.data)


def read_operator(
    name: str, options: Any, inputs: list[Spec | None], output: Spec
) -> tuple[Operator, list[Tensor | None], Tensor]:
    """The operator and its tensors: by the real reader where the model has the border it allows."""
    fed = [spec for spec in inputs if spec is not None and spec.data is None]
    if len(fed) == 1 and fed[0].dtype == output.dtype and output.dtype in {"int8", "int16"}:
        graph = read_tflite(build(name, options, inputs, output), "case")
        (node,) = graph.nodes
        return node.op, list(graph.operands(node)), graph.tensors[node.output]
    tensors = [None if spec is None else tensor_of(spec, f"input_{i}") for i, spec in enumerate(inputs)]
    made = tensor_of(output, "output")
    reader = operator_of(name, tensors, [made])
    assert reader is not None
    op = reader.read(options, tensors, made)
    assert op.problems(tensors, made) == []
    return op, tensors, made


def check(
    kernels: Kernels,
    name: str,
    options: Any,
    inputs: list[Spec | None],
    output: Spec,
    arrays: list[np.ndarray],
    fused: dict[str, Any] | None = None,
) -> None:
    """The oracle, the numpy reference and the compiled C give the same bytes.

    `fused` holds floor, ceiling and pool of a convolution; the oracle's output is then clamped and
    pooled here. Operands that may be overwritten are also overwritten.
    """
    wanted = run_reference(build(name, options, inputs, output), arrays)
    op, tensors, made = read_operator(name, options, inputs, output)
    if fused:
        op = replace(op, **fused)  # type: ignore[type-var]
        wanted = clamp_and_pool(wanted, **fused)
        made = replace(made, shape=wanted.shape)
        assert op.problems(tensors, made) == []
    assert op.output_shape(tensors) == wanted.shape == made.shape
    parameters = op.parameters(tensors, made)
    feeds = iter(arrays)
    values = [
        None if spec is None else spec.data if spec.data is not None else next(feeds) for spec in inputs
    ]
    operands = [values[i] for i in op.operands(tensors)]
    got = op.reference(parameters, *operands)
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted, err_msg="numpy reference")
    in_c = kernels.run(op.kernel, parameters, operands, wanted)
    np.testing.assert_array_equal(in_c, wanted, err_msg="portable C")
    for position in op.in_place(tensors, made):
        assert tensors[position].nbytes == made.nbytes
        over = kernels.run(op.kernel, parameters, operands, wanted, op.operands(tensors).index(position))
        np.testing.assert_array_equal(over, wanted, err_msg=f"portable C, over operand {position}")


def clamp_and_pool(y: np.ndarray, floor: Any = None, ceiling: Any = None, pool: Any = None) -> np.ndarray:
    """What MAXIMUM, MINIMUM and MAX_POOL_2D behind a convolution would do, pixel by pixel."""
    if floor is not None:
        y = np.maximum(y, np.array(floor, y.dtype))
    if ceiling is not None:
        y = np.minimum(y, np.array(ceiling, y.dtype))
    if pool is None:
        return y
    rows, columns = y.shape[1] // pool[0], y.shape[2] // pool[1]
    pooled = np.empty((1, rows, columns, y.shape[3]), y.dtype)
    for i in range(rows):
        for j in range(columns):
            tile = y[0, i * pool[0] : (i + 1) * pool[0], j * pool[1] : (j + 1) * pool[1]]
            pooled[0, i, j] = tile.max(axis=(0, 1))
    return pooled
