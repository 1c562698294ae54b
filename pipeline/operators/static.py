"""What becomes of operators on shapes: their results are known when the model is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.operators.slice import StridedSlice
from pipeline.tensors import Tensor

Arrays = Sequence[np.ndarray]
INTEGERS = ("int32", "int64")


def evaluate(kind: str, options: Any, inputs: Sequence[Tensor | None], output: Tensor) -> np.ndarray | None:
    """The result of an operator of static shapes or constant integers; None where it is neither.

    The values are those of 32- or 64-bit integers, the result has the output's type and shape.
    """
    if output.dtype not in INTEGERS:
        return None
    if kind == "SHAPE" and len(inputs) == 1 and inputs[0] is not None:
        return np.array(inputs[0].shape, output.dtype).reshape(output.shape)
    arrays = [tensor.data for tensor in inputs if tensor is not None and tensor.data is not None]
    if kind not in FOLDED or len(arrays) != len(inputs) or arrays[0].dtype.name not in INTEGERS:
        return None
    return np.asarray(FOLDED[kind](options, inputs, arrays)).astype(output.dtype).reshape(output.shape)


def _strided_slice(options: Any, inputs: Sequence[Tensor | None], arrays: Arrays) -> np.ndarray:
    chosen = StridedSlice.read(options, inputs, inputs[0])  # type: ignore[arg-type]
    every = zip(chosen.begin, chosen.size, chosen.step, strict=True)
    return arrays[0][np.ix_(*([first + i * step for i in range(count)] for first, count, step in every))]


Fold = Callable[[Any, Sequence[Tensor | None], Arrays], Any]
FOLDED: Mapping[str, Fold] = {
    "STRIDED_SLICE": _strided_slice,
    "PACK": lambda options, _, arrays: np.stack(arrays, int(options.axis)),
    "CONCATENATION": lambda options, _, arrays: np.concatenate(arrays, int(options.axis)),
    "GATHER": lambda options, _, arrays: np.take(arrays[0], arrays[1], int(options.axis)),
    "REDUCE_PROD": lambda _, __, arrays: np.prod(arrays[0], tuple(arrays[1].reshape(-1).tolist())),
    "CAST": lambda _, __, arrays: arrays[0],
    "RESHAPE": lambda _, __, arrays: arrays[0],
    "SQUEEZE": lambda _, __, arrays: arrays[0],
    "EXPAND_DIMS": lambda _, __, arrays: arrays[0],
    "ADD": lambda _, __, arrays: arrays[0] + arrays[1],
    "SUB": lambda _, __, arrays: arrays[0] - arrays[1],
    "MUL": lambda _, __, arrays: arrays[0] * arrays[1],
    "MAXIMUM": lambda _, __, arrays: np.maximum(*arrays),
    "MINIMUM": lambda _, __, arrays: np.minimum(*arrays),
    "FLOOR_DIV": lambda _, __, arrays: arrays[0] // arrays[1],
}
