"""Draw tensors that provoke a kernel, and hold an operator against the reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from c_kernels import Kernels
from hypothesis import strategies as st
from oracle import run_reference
from tflite_builder import Spec, build

from pipeline.operators import BY_TFLITE_NAME, Operator
from pipeline.read_tflite import read_tflite
from pipeline.tensors import Quantization, Tensor

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


def zero_points(dtype: str = "int8") -> st.SearchStrategy[int]:
    low, high = LIMITS[dtype]
    return st.one_of(st.sampled_from([low, low + 1, 0, high]), st.integers(low, high))


@st.composite
def factors(draw: Any, low: float = 1e-4, high: float = 1.0) -> float:
    """A positive float32: a power of two (which makes ties), or anything in between."""
    if draw(st.booleans()):
        exponents = st.integers(int(np.ceil(np.log2(low))), int(np.floor(np.log2(high))))
        return float(2.0 ** draw(exponents))
    return float(np.float32(np.exp(draw(st.floats(np.log(low), np.log(high))))))


@st.composite
def integers_like(draw: Any, shape: tuple[int, ...], dtype: str = "int8") -> np.ndarray:
    """Uniform, extreme, constant or small values."""
    low, high = LIMITS[dtype]
    kind = draw(st.sampled_from(["uniform", "uniform", "extreme", "lowest", "highest", "small"]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind == "lowest":
        return np.full(shape, low, dtype)
    if kind == "highest":
        return np.full(shape, high, dtype)
    if kind == "extreme":
        return random.choice(np.array([low, high], dtype), shape)
    if kind == "small":
        middle = (low + high + 1) // 2
        return random.integers(middle - 3, middle + 4, shape).astype(dtype)
    return random.integers(low, high + 1, shape).astype(dtype)


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
    if len(fed) == 1 and fed[0].dtype == output.dtype == "int8":
        graph = read_tflite(build(name, options, inputs, output), "case")
        (node,) = graph.nodes
        return node.op, list(graph.operands(node)), graph.tensors[node.output]
    tensors = [None if spec is None else tensor_of(spec, f"input_{i}") for i, spec in enumerate(inputs)]
    made = tensor_of(output, "output")
    op = BY_TFLITE_NAME[name].read(options, tensors, made)
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
        y = np.maximum(y, np.array(floor, np.int8))
    if ceiling is not None:
        y = np.minimum(y, np.array(ceiling, np.int8))
    if pool is None:
        return y
    rows, columns = y.shape[1] // pool[0], y.shape[2] // pool[1]
    pooled = np.empty((1, rows, columns, y.shape[3]), np.int8)
    for i in range(rows):
        for j in range(columns):
            tile = y[0, i * pool[0] : (i + 1) * pool[0], j * pool[1] : (j + 1) * pool[1]]
            pooled[0, i, j] = tile.max(axis=(0, 1))
    return pooled
