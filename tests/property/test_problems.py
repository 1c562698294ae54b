"""What no operator can carry is named in one line each, and nothing raises."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from pipeline.operators import BY_TFLITE_NAME, INT16_FORMS, OPERATORS, Operator
from pipeline.operators.abs import Abs
from pipeline.operators.add import Add
from pipeline.operators.arg_max import ArgMax, ArgMin
from pipeline.operators.average_pool_2d import AveragePool2D, AveragePool2DInt16
from pipeline.operators.base import Activation
from pipeline.operators.batch_matmul import BatchMatMul
from pipeline.operators.concatenation import Concatenation, Pack
from pipeline.operators.conv_2d import Conv2D, Conv2DInt16
from pipeline.operators.depth_to_space import DepthToSpace, SpaceToDepth
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.operators.dequantize import Dequantize
from pipeline.operators.exp import Exp, ExpInt16
from pipeline.operators.expand_dims import ExpandDims
from pipeline.operators.fully_connected import FullyConnected, FullyConnectedInt16
from pipeline.operators.gelu import Gelu
from pipeline.operators.hard_swish import HardSwish
from pipeline.operators.leaky_relu import LeakyRelu
from pipeline.operators.log import Log
from pipeline.operators.logistic import Logistic, LogisticInt16
from pipeline.operators.max_pool_2d import MaxPool2D
from pipeline.operators.maximum import Maximum
from pipeline.operators.mean import Mean
from pipeline.operators.minimum import Minimum
from pipeline.operators.mirror_pad import MirrorPad
from pipeline.operators.mul import Mul, MulInt16
from pipeline.operators.pad import Pad, PadV2
from pipeline.operators.prelu import Prelu
from pipeline.operators.quantize import Quantize, QuantizeInt16, Requantize, RequantizeInt16
from pipeline.operators.reduce_max import ReduceMax
from pipeline.operators.reduce_min import ReduceMin
from pipeline.operators.relu import Relu
from pipeline.operators.relu6 import Relu6
from pipeline.operators.relu_n1_to_1 import ReluN1To1
from pipeline.operators.reshape import Reshape
from pipeline.operators.resize_bilinear import ResizeBilinear
from pipeline.operators.resize_nearest_neighbor import ResizeNearestNeighbor
from pipeline.operators.rsqrt import Rsqrt
from pipeline.operators.slice import Slice, StridedSlice
from pipeline.operators.softmax import Softmax, SoftmaxInt16
from pipeline.operators.split import Split, SplitV, Unpack
from pipeline.operators.sqrt import Sqrt
from pipeline.operators.squeeze import Squeeze
from pipeline.operators.sub import Sub
from pipeline.operators.tanh import Tanh
from pipeline.operators.transpose import Transpose
from pipeline.operators.transpose_conv import TransposeConv
from pipeline.operators.unidirectional_sequence_lstm import UnidirectionalSequenceLstm
from pipeline.tensors import Quantization, Tensor
from tests.property.cases import DICE, Dice

Q = Quantization((0.1,), (3,))
Q16 = Quantization((1e-4,), (0,))
TINY = Quantization((1e-12,), (0,))


def tensor(
    name: str, *shape: int, dtype: str = "int8", data: bool = False, q: Quantization | None = Q
) -> Tensor:
    return Tensor(name, shape, dtype, q, np.ones(shape, dtype) if data else None)


def weights(*shape: int, scale: tuple[float, ...] = (0.1,), zero: int = 0, axis: int = 0) -> Tensor:
    return tensor("w", *shape, data=True, q=Quantization(scale, (zero,) * len(scale), axis))


X = tensor("x", 1, 8, 8, 4)
POSITIVE = tensor("x", 1, 8, 8, 4, q=Quantization((0.1,), (-128,)))
Y = tensor("y", 1, 8, 8, 6)
W = weights(6, 1, 1, 4)
BIAS = tensor("b", 6, dtype="int32", data=True, q=None)
D = weights(1, 3, 3, 4, axis=3)
DY = tensor("y", 1, 6, 6, 4)
AXES = Tensor("axes", (2,), "int32", None, np.array([1, 2], np.int32))

GOOD: list[tuple[Operator, list[Tensor | None], Tensor]] = [
    (Conv2D(), [X, W, BIAS], Y),
    (DepthwiseConv2D(), [X, D, None], DY),
    (FullyConnected(), [tensor("x", 1, 4), weights(6, 4), BIAS], tensor("y", 1, 6)),
    (MaxPool2D(), [X], tensor("y", 1, 4, 4, 4)),
    (AveragePool2D(), [X], tensor("y", 1, 4, 4, 4)),
    (Add(), [X, X], X),
    (Mul(), [X, tensor("c", 4, data=True)], X),
    (Maximum(), [X, tensor("c", 4, data=True)], X),
    (Minimum(), [X, tensor("c", data=True)], X),
    (Mean((1, 2)), [X, AXES], tensor("y", 1, 4)),
    (Reshape((1, 256)), [X], tensor("y", 1, 256)),
    (Softmax(), [X], tensor("y", 1, 8, 8, 4, q=Quantization((1 / 256,), (-128,)))),
    (Pad(((0, 0), (1, 1), (0, 0), (0, 0))), [X, AXES], tensor("y", 1, 10, 8, 4)),
    (
        PadV2(((0, 0), (1, 1), (0, 0), (0, 0))),
        [X, AXES, tensor("v", 1, data=True)],
        tensor("y", 1, 10, 8, 4),
    ),
    (Relu(), [X], X),
    (Relu6(), [X], X),
    (ReluN1To1(), [X], X),
    (Quantize(), [tensor("x", 4, dtype="float32", q=None)], tensor("y", 4)),
    (Requantize(), [tensor("x", 4, dtype="uint8")], tensor("y", 4)),
    (Dequantize(), [X], tensor("y", 1, 8, 8, 4, dtype="float32", q=None)),
    (Sub(), [X, X], X),
    (Prelu(), [X, tensor("a", 4, data=True)], X),
    (Logistic(), [X], tensor("y", 1, 8, 8, 4, q=Quantization((1 / 256,), (-128,)))),
    (Tanh(), [X], X),
    (Abs(), [X], X),
    (Exp(), [X], X),
    (Log(), [POSITIVE], X),
    (Rsqrt(), [POSITIVE], X),
    (Sqrt(), [POSITIVE], X),
    (Gelu(), [X], X),
    (HardSwish(), [X], X),
    (LeakyRelu(0.1), [X], X),
    (ExpandDims((1, 1, 8, 8, 4)), [X, AXES], tensor("y", 1, 1, 8, 8, 4)),
    (Squeeze((8, 8, 4)), [X], tensor("y", 8, 8, 4)),
    (Transpose((0, 3, 1, 2)), [X, AXES], tensor("y", 1, 4, 8, 8)),
    (Slice((0, 1, 1, 0), (1, 2, 3, 4), (1, 1, 1, 1)), [X, AXES, AXES], tensor("y", 1, 2, 3, 4)),
    (StridedSlice((0, 7, 0, 0), (1, 4, 8, 4), (1, -2, 1, 1)), [X], tensor("y", 1, 4, 8, 4)),
    (Split((0, 0, 0, 2), (1, 8, 8, 2), (1, 1, 1, 1)), [X], tensor("y", 1, 8, 8, 2)),
    (SplitV((0, 0, 0, 3), (1, 8, 8, 1), (1, 1, 1, 1)), [X], tensor("y", 1, 8, 8, 1)),
    (Unpack((0, 0, 0, 3), (1, 8, 8, 1), (1, 1, 1, 1), (3,)), [X], tensor("y", 1, 8, 8)),
    (DepthToSpace(2), [X], tensor("y", 1, 16, 16, 1)),
    (SpaceToDepth(2), [X], tensor("y", 1, 4, 4, 16)),
    (Concatenation(3), [X, X], tensor("y", 1, 8, 8, 8)),
    (Pack(0), [X, X], tensor("y", 2, 1, 8, 8, 4)),
    (MirrorPad(((0, 0), (1, 1), (0, 0), (0, 0))), [X, AXES], tensor("y", 1, 10, 8, 4)),
    (ResizeNearestNeighbor((16, 4)), [X, AXES], tensor("y", 1, 16, 4, 4)),
    (ResizeBilinear((16, 4)), [X, AXES], tensor("y", 1, 16, 4, 4)),
    (ReduceMax((1, 2)), [X, AXES], tensor("y", 1, 4)),
    (ReduceMin((3,), True), [X, AXES], tensor("y", 1, 8, 8, 1)),
    (ArgMax(3), [X, AXES], tensor("y", 1, 8, 8, dtype="int64", q=None)),
    (ArgMin(1), [X, AXES], tensor("y", 1, 8, 4, dtype="int32", q=None)),
    (TransposeConv((16, 16), (2, 2)), [AXES, weights(6, 2, 2, 4), X], tensor("y", 1, 16, 16, 6)),
    (BatchMatMul(), [tensor("a", 2, 3, 4), tensor("other", 4, 5)], tensor("y", 2, 3, 5)),
    (
        UnidirectionalSequenceLstm(Q, Q, 2.0**-15, 10.0),
        [tensor("x", 1, 5, 3), *[weights(2, 3, scale=(0.001,))] * 4, *[weights(2, 2, scale=(0.001,))] * 4]
        + [tensor("b", 2, dtype="int32", data=True, q=None)] * 4,
        tensor("y", 1, 5, 2),
    ),
]


def of_int16(name: str) -> tuple[Operator, list[Tensor | None], Tensor]:
    """The good example of an operator of int8, with activations of int16 and a bias of int64."""
    op, inputs, output = next(each for each in GOOD if each[0].tflite_name == name)
    scale = 2.0**-15 if name in {"SOFTMAX", "LOGISTIC", "TANH"} else 1e-4

    def widened(tensor: Tensor | None) -> Tensor | None:
        if tensor is None or tensor.name == "w" or (tensor.dtype != "int8" and tensor.name != "b"):
            return tensor
        dtype = "int64" if tensor.name == "b" else "int16"
        data = None if tensor.data is None else tensor.data.astype(dtype)
        return replace(tensor, dtype=dtype, data=data, quantization=Quantization((scale,), (0,)))

    made = widened(output)
    assert made is not None
    # Every operator of a file is a dataclass; their common base, which mypy sees here, is none.
    attributes = {field.name: getattr(op, field.name) for field in fields(op)}  # type: ignore[arg-type]
    return INT16_FORMS[name](**attributes), [widened(each) for each in inputs], made


GOOD += [
    *(of_int16(name) for name in INT16_FORMS if name != "QUANTIZE"),
    (QuantizeInt16(), [tensor("x", 4, dtype="float32", q=None)], tensor("y", 4, dtype="int16", q=Q16)),
    (RequantizeInt16(), [tensor("x", 4, dtype="uint8")], tensor("y", 4, dtype="int16", q=Q16)),
]
EXAMPLES = {type(op): (op, inputs, output) for op, inputs, output in GOOD}


def bad(
    kind: type[Operator], words: str, *inputs: Tensor | None, output: Tensor | None = None, **changes: Any
) -> tuple[Operator, list[Tensor | None], Tensor, str]:
    """The good example of an operator with other operands, another output, or other attributes."""
    op, good, made = EXAMPLES[kind]
    return replace(op, **changes), list(inputs) or good, output or made, words  # type: ignore[type-var]


CONV, DEPTHWISE, DENSE, POOL = GOOD[0][0], GOOD[1][0], GOOD[2][0], GOOD[3][0]
BAD: list[tuple[Operator, list[Tensor | None], Tensor, str]] = [
    (CONV, [None, W], Y, "input is missing"),
    (CONV, [X], Y, "weights is missing"),
    (CONV, [replace(X, dtype="int16"), W], Y, "is int16, expected int8"),
    (CONV, [replace(X, quantization=None), W], Y, "no quantization"),
    (CONV, [replace(X, quantization=Quantization((0.0,), (0,))), W], Y, "scale that is not positive"),
    (
        CONV,
        [replace(X, quantization=Quantization((0.1, 0.1), (0, 0))), W],
        Y,
        "per channel, expected per tensor",
    ),
    (CONV, [replace(X, quantization=Quantization((0.1,), (200,))), W], Y, "zero point 200"),
    (CONV, [replace(X, shape=(8, 8, 4)), W], Y, "expected 4 axes"),
    (CONV, [replace(X, shape=(2, 8, 8, 4)), W], Y, "batch of 2"),
    (CONV, [X, replace(W, data=None)], Y, "not constant"),
    (CONV, [X, weights(6, 1, 1, 2)], Y, "its weights"),
    (CONV, [X, weights(6, 1, 1, 4, zero=1)], Y, "zero point other than 0"),
    (CONV, [X, weights(6, 1, 1, 4, scale=(0.1, 0.2))], Y, "2 scales along axis 0, expected 6"),
    (CONV, [X, W, replace(BIAS, data=None)], Y, "bias b is computed"),
    (CONV, [X, weights(6, 9, 1, 4)], Y, "larger than its input"),
    (CONV, [X, W], tensor("y", 1, 8, 8, 7), "expected [1, 8, 8, 6]"),
    (replace(CONV, stride=(0, 1)), [X, W], Y, "not positive"),
    (replace(CONV, activation=Activation.TANH), [X, W], Y, "activation TANH"),
    (replace(CONV, floor=(0, 0)), [X, W], Y, "floor has 2 values"),
    (replace(CONV, pool=(9, 1)), [X, W], Y, "has the shape"),
    (
        CONV,
        [X, weights(6, 1, 1, 4), Tensor("b", (6,), "int32", None, np.full(6, 2**31 - 1, np.int32))],
        Y,
        "32 bits",
    ),
    (
        CONV,
        [replace(X, quantization=Quantization((1e30,), (0,))), weights(6, 1, 1, 4, scale=(1e30,))],
        Y,
        "32 bits",
    ),
    (Pad(()), [tensor("x"), AXES], tensor("y", 1), "has the shape"),
    (DEPTHWISE, [X, weights(1, 3, 3, 5, axis=3)], DY, "do not fit an input of 4 channels"),
    (DENSE, [tensor("x", 1, 5), weights(6, 4)], tensor("y", 1, 6), "rows of 4"),
    (DENSE, [tensor("x", 1, 4), weights(6, 4)], tensor("y", 6), "expected [1, 6]"),
    (POOL, [X], replace(Y, shape=(1, 4, 4, 4), quantization=Quantization((0.2,), (3,))), "differ in scale"),
    (POOL, [X], tensor("y", 1, 4, 4, 5), "expected [1, 4, 4, 4]"),
    (Add(), [X, tensor("z", 1, 8, 8, 3)], X, "cannot be broadcast"),
    (
        Add(),
        [tensor("x", 1, 2, 3, 4, 5), tensor("z", 1, 1, 3, 1, 5)],
        tensor("y", 1, 2, 3, 4, 5),
        "three nested loops",
    ),
    (Add(), [X, X], tensor("y", 1, 8, 8, 4, q=Quantization((1e-9,), (0,))), "too small"),
    (Mul(), [X, X], tensor("y", 1, 8, 8, 4, q=Quantization((1e-9,), (0,))), "too small"),
    (Maximum(), [X, tensor("z", 1, 8, 8, 4, q=Quantization((0.2,), (3,)))], X, "differ in scale"),
    (Mean((1, 2)), [X, replace(AXES, data=None)], tensor("y", 1, 4), "not constant"),
    (Mean((1, 3)), [X, AXES], tensor("y", 1, 8), "no neighbours"),
    (Mean((7,)), [X, AXES], tensor("y", 1, 8), "do not fit"),
    (Reshape((1, 255)), [X], tensor("y", 1, 255), "cannot take the shape"),
    (Reshape((1, 256)), [X, replace(AXES, data=None)], tensor("y", 1, 256), "not constant"),
    (Softmax(), [X], tensor("y", 1, 8, 8, 4), "expected 1/256 and -128"),
    (Softmax(-1.0), [X], GOOD[11][2], "beta"),
    (Softmax(), [tensor("x", 1, 4096)], replace(GOOD[11][2], shape=(1, 4096)), "1 to 4095"),
    (Pad(((0, 0),)), [X, AXES], X, "do not fit"),
    (Pad(((1, 0), (0, 0), (0, 0), (0, 0))), [X, AXES], tensor("y", 2, 8, 8, 4), "batch"),
    (Pad(((0, 0), (-1, 0), (0, 0), (0, 0))), [X, AXES], tensor("y", 1, 7, 8, 4), "do not fit"),
    (PadV2(GOOD[12][0].pads), [X, AXES, tensor("v", 1)], GOOD[12][2], "one constant int8"),  # type: ignore[attr-defined]
    (Relu(), [X], tensor("y", 1, 8, 8, 4, q=Quantization((1e-10,), (0,))), "too far apart"),
    (Quantize(), [tensor("x", 4, dtype="float64", q=None)], tensor("y", 4), "expected float32"),
    (Requantize(), [tensor("x", 4, dtype="int16")], tensor("y", 4), "expected int8 or uint8"),
    (Dequantize(), [X], X, "expected float32"),
    bad(Sub, "too small", output=tensor("y", 1, 8, 8, 4, q=Quantization((1e-9,), (0,)))),
    bad(Prelu, "larger than its input", tensor("x", 1, 4), X, output=X),
    bad(Prelu, "too small", output=tensor("y", 1, 8, 8, 4, q=Quantization((1e-9,), (0,)))),
    bad(Logistic, "expected 1/256 and -128", output=X),
    bad(Log, "may be negative", X),
    bad(Rsqrt, "may be negative", X),
    bad(
        ExpInt16,
        "no result in float32",
        tensor("x", 1, 8, 8, 4, dtype="int16", q=Quantization((0.01,), (0,))),
    ),
    bad(Sqrt, "may be negative", X),
    bad(Tanh, "has the shape", output=tensor("y", 1, 4)),
    bad(HardSwish, "too small", output=tensor("y", 1, 8, 8, 4, q=Quantization((1e-9,), (0,)))),
    bad(LeakyRelu, "not negative", alpha=-0.5),
    bad(LeakyRelu, "too far apart", output=tensor("y", 1, 8, 8, 4, q=Quantization((1e-10,), (0,)))),
    bad(Transpose, "does not fit", permutation=(0, 1, 2)),
    bad(Transpose, "not constant", X, replace(AXES, data=None)),
    bad(Slice, "leaves an axis of 8", begin=(0, 7, 0, 0)),
    bad(Slice, "is empty", size=(1, 0, 3, 4)),
    bad(StridedSlice, "differ in scale", output=tensor("y", 1, 4, 8, 4, q=Quantization((0.2,), (3,)))),
    bad(Slice, "does not fit", begin=(0,), size=(1,), step=(1,)),
    bad(DepthToSpace, "block of 3", block=3),
    bad(SpaceToDepth, "block of 3", block=3),
    bad(Concatenation, "do not go together", X, tensor("z", 1, 8, 7, 4)),
    bad(Concatenation, "differ in scale", X, tensor("z", 1, 8, 8, 4, q=Quantization((0.2,), (3,)))),
    bad(Concatenation, "activation RELU", activation=Activation.RELU),
    bad(Concatenation, "expected [1, 8, 8, 8]", output=tensor("y", 1, 8, 8, 9)),
    bad(Pack, "do not go together", X, tensor("z", 1, 8, 7, 4)),
    bad(MirrorPad, "larger than its input", pads=((0, 0), (8, 0), (0, 0), (0, 0))),
    bad(MirrorPad, "batch", pads=((1, 0), (0, 0), (0, 0), (0, 0))),
    bad(ResizeNearestNeighbor, "not positive", size=(0, 4)),
    bad(ResizeNearestNeighbor, "not constant", X, replace(AXES, data=None)),
    bad(ResizeBilinear, "expected [1, 3, 4, 4]", size=(3, 4)),
    bad(
        ResizeBilinear,
        "outside of its input",
        tensor("x", 1, 7, 8, 4),
        AXES,
        size=(480, 4),
        output=tensor("y", 1, 480, 4, 4),
    ),
    bad(ReduceMax, "differ in scale", output=tensor("y", 1, 4, q=Quantization((0.2,), (3,)))),
    bad(ArgMax, "expected int32 or int64", output=tensor("y", 1, 8, 8)),
    bad(ArgMin, "does not fit", axis=4),
    bad(TransposeConv, "expected [1, 16, 16, 6]", output=tensor("y", 1, 16, 17, 6)),
    bad(TransposeConv, "its weights 5", AXES, weights(6, 2, 2, 5), X),
    bad(BatchMatMul, "cannot be multiplied", tensor("a", 2, 3, 4), tensor("b", 5, 4)),
    bad(UnidirectionalSequenceLstm, "expected [1, 5, 2]", output=tensor("y", 1, 4, 2)),
    bad(UnidirectionalSequenceLstm, "no tanh", cell_scale=0.3),
    bad(UnidirectionalSequenceLstm, "lacks a scale", state=None),
    bad(Conv2DInt16, "is int8, expected int16", X, W),
    bad(
        Conv2DInt16,
        "zero point 3, expected 0",
        tensor("x", 1, 8, 8, 4, dtype="int16"),
        W,
    ),
    bad(Conv2DInt16, "expected 6 constant int64", tensor("x", 1, 8, 8, 4, dtype="int16", q=Q16), W, BIAS),
    bad(
        Conv2DInt16,
        "more than 47 bits",
        tensor("x", 1, 8, 8, 4, dtype="int16", q=Q16),
        W,
        Tensor("b", (6,), "int64", None, np.full(6, -(2**63), np.int64)),
    ),
    bad(Conv2DInt16, "scale is too small", output=replace(EXAMPLES[Conv2DInt16][2], quantization=TINY)),
    bad(
        FullyConnectedInt16,
        "scale is too small",
        output=replace(EXAMPLES[FullyConnectedInt16][2], quantization=TINY),
    ),
    bad(MulInt16, "too small", output=replace(EXAMPLES[MulInt16][2], quantization=TINY)),
    bad(
        AveragePool2DInt16,
        "65536 elements or more",
        output=tensor("y", 1, 1, 1, 4, dtype="int16", q=Q16),
        window=(256, 256),
        stride=(1, 1),
        pads=((124, 124), (124, 124)),
    ),
    bad(SoftmaxInt16, "expected 1/32768", output=tensor("y", 1, 8, 8, 4, dtype="int16", q=Q16)),
    bad(SoftmaxInt16, "beta", beta=-1.0),
    bad(SoftmaxInt16, "differences leave 32 bits", beta=1e6),
    bad(LogisticInt16, "expected 1/32768", output=tensor("y", 1, 8, 8, 4, dtype="int16", q=Q16)),
    bad(
        LogisticInt16,
        "at most 2.66",
        tensor("x", 1, 8, 8, 4, dtype="int16", q=Quantization((3.0,), (0,))),
    ),
    bad(RequantizeInt16, "is uint8, expected int16", output=tensor("y", 4, dtype="uint8")),
    bad(
        PadV2,
        "two bytes that differ",
        tensor("x", 1, 8, 8, 4, dtype="int16", q=Q16),
        AXES,
        tensor("v", 1, data=True, dtype="int16", q=Q16),
        output=tensor("y", 1, 10, 8, 4, dtype="int16", q=Q16),
    ),
    bad(BatchMatMul, "no room for rounding", output=tensor("y", 2, 3, 5, q=Quantization((1e-9,), (0,)))),
]


def test_every_operator_has_a_good_example() -> None:
    assert {type(op) for op, _, _ in GOOD} == set(OPERATORS)
    assert all(operator.supported for operator in OPERATORS)
    assert {op.tflite_name for op, _, _ in GOOD} == set(BY_TFLITE_NAME)


@pytest.mark.parametrize(("op", "inputs", "output"), GOOD, ids=lambda value: type(value).__name__)
def test_good_examples_have_no_problems(op: Operator, inputs: list[Tensor | None], output: Tensor) -> None:
    assert op.problems(inputs, output) == []
    assert op.output_shape(inputs) == output.shape
    assert op.parameters(inputs, output)


@pytest.mark.parametrize(("op", "inputs", "output", "words"), BAD, ids=[words for *_, words in BAD])
def test_problems_are_named(op: Operator, inputs: list[Tensor | None], output: Tensor, words: str) -> None:
    found = op.problems(inputs, output)
    assert any(words in line for line in found), found
    assert all("\n" not in line for line in found)


@given(dice=DICE)
def test_problems_never_raise(dice: Dice) -> None:
    """Good examples with any operand or the output replaced by anything."""
    op, inputs, output = dice.pick(GOOD)
    tensors: list[Any] = [*inputs, output]
    for _ in range(dice.integer(1, 3)):
        i = dice.integer(0, len(tensors) - 1)
        tensors[i] = any_tensor(dice, i == len(tensors) - 1)
    if dice.chance(0.2):
        tensors = tensors[1:]
    found = op.problems(tensors[:-1], tensors[-1])
    assert all(isinstance(line, str) and line and "\n" not in line for line in found)


def any_tensor(dice: Dice, required: bool) -> Tensor | None:
    if not required and dice.chance(0.1):
        return None
    shape = tuple(dice.pick([0, 1, 1, 2, 4, 8]) for _ in range(dice.integer(0, 5)))
    dtype = dice.pick(["int8", "int8", "int8", "uint8", "int32", "float32", "int16", "bool"])
    count = dice.pick([1, 1, 1, 2, 6])
    scale = dice.pick([0.1, 0.0, -1.0, float("inf"), float("nan"), 1e-30, 1e30])
    q = Quantization((scale,) * count, (dice.pick([0, -128, 300]),) * count, dice.integer(0, 5))
    data = dice.random.integers(0, 9, shape).astype(dtype) if dice.chance(0.4) else None
    return Tensor("t", shape, dtype, dice.pick([q, q, None]), data)
