"""Operators of int16 activations (16x8) against TFLite's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings

from tests.property.c_kernels import Kernels
from tests.property.cases import DICE, Dice, check, finer
from tests.property.test_convolutions import ACTIVATIONS, convolution, dense, product, transposed
from tests.property.test_elementwise_and_pooling import pair, pooling, reduction
from tests.property.tflite_builder import Spec

INT16 = "int16"
ZEROS = [0, 0, 0]
LIMIT = 2**15

few = settings(max_examples=100)


def near(dice: Dice, shape: tuple[int, ...]) -> np.ndarray:
    """Values of all magnitudes: uniform ones are nearly all large."""
    magnitudes = np.exp2(dice.random.uniform(0, 15, shape))
    return (np.sign(dice.random.normal(size=shape)) * magnitudes).astype(np.int16)


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@few
@given(dice=DICE)
def test_convolutions(kernels: Kernels, name: str, dice: Dice) -> None:
    check(kernels, name, **convolution(dice, name == "DEPTHWISE_CONV_2D", element=INT16))


@few
@given(dice=DICE)
def test_fully_connected(kernels: Kernels, dice: Dice) -> None:
    check(kernels, "FULLY_CONNECTED", **dense(dice, INT16))


@few
@given(dice=DICE)
def test_transpose_conv(kernels: Kernels, dice: Dice) -> None:
    check(kernels, "TRANSPOSE_CONV", **transposed(dice, INT16))


@few
@given(dice=DICE)
def test_batch_matmul(kernels: Kernels, dice: Dice) -> None:
    check(kernels, "BATCH_MATMUL", **product(dice, INT16))


@pytest.mark.parametrize("name", ["REDUCE_MAX", "REDUCE_MIN"])
@few
@given(dice=DICE)
def test_reduce_max_and_min(kernels: Kernels, name: str, dice: Dice) -> None:
    check(kernels, name, **reduction(dice, 1.0, element=INT16))


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
@few
@given(dice=DICE)
def test_sums_of_all_sizes(kernels: Kernels, name: str, dice: Dice) -> None:
    """Sums beyond 32 bits, and factors of which 15 bits are kept, up and down; set by the bias."""
    outputs = 200
    x_scale = dice.factor(1e-5, 0.5)
    scales = tuple(float(np.float32(f)) for f in np.exp2(dice.random.uniform(-12, 0, outputs)))
    # Up to a factor of 0.99998: above, 15 bits have no number.
    factors = dice.pick([1.0, 2.0**-8, dice.between(2.0**-28, 1.0)]) * x_scale * max(scales)
    scale = float(np.float32(factors / dice.between(1e-4, 0.999)))
    real = x_scale * np.array(scales) / scale
    bias = np.clip(dice.random.uniform(-40000, 40000, outputs) / real, -(2.0**44), 2.0**44).astype(np.int64)
    shapes: tuple[tuple[int, ...], ...]
    if name == "FULLY_CONNECTED":
        options: Any = schema.FullyConnectedOptionsT()
        shapes, axis = ((1, 1), (outputs, 1), (1, outputs)), 0
    else:
        depthwise = name == "DEPTHWISE_CONV_2D"
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.strideH = options.strideW = 1
        options.depthMultiplier = outputs
        shapes = ((1, 1, 1, 1), (1, 1, 1, outputs) if depthwise else (outputs, 1, 1, 1), (1, 1, 1, outputs))
        axis = 3 if depthwise else 0
    weights = dice.random.integers(-127, 128, shapes[1]).astype(np.int8)
    inputs = [
        Spec(shapes[0], INT16, x_scale),
        Spec(shapes[1], scale=scales, axis=axis, data=weights),
        Spec((outputs,), "int64", x_scale, data=bias),
    ]
    check(kernels, name, options, inputs, Spec(shapes[2], INT16, scale), [near(dice, shapes[0])])


@pytest.mark.parametrize("bits", [1, 3, 9, 20])
def test_ties_of_fully_connected(kernels: Kernels, bits: int) -> None:
    """Halves of the output's step, on both sides of 0, and sums beside them."""
    halves = np.arange(-999, 1000, 2, dtype=np.int64) << (bits - 1)
    bias = np.concatenate([halves, halves + 1, halves - 1])
    options = schema.FullyConnectedOptionsT()
    inputs = [
        Spec((1, 1), INT16, 0.5),
        Spec((len(bias), 1), scale=1.0, data=np.zeros((len(bias), 1), np.int8)),
        Spec(bias.shape, "int64", 0.5, data=bias),
    ]
    output = Spec((1, len(bias)), INT16, 2.0 ** (bits - 1))
    check(kernels, "FULLY_CONNECTED", options, inputs, output, [np.zeros((1, 1), np.int16)])


@pytest.mark.parametrize("name", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@few
@given(dice=DICE)
def test_pooling(kernels: Kernels, name: str, dice: Dice) -> None:
    check(kernels, name, **pooling(dice, INT16))


@pytest.mark.parametrize("name", ["ADD", "SUB"])
@few
@given(dice=DICE)
def test_add_and_sub(kernels: Kernels, name: str, dice: Dice) -> None:
    a = dice.factor(1e-6)
    b = dice.pick([a, float(np.float32(a * dice.between(0.02, 50.0)))])
    scale = float(np.float32(max(a, b) * dice.pick([1.0, 2.0, 0.5, 0.01, dice.between(0.3, 3.0)])))
    options = schema.AddOptionsT() if name == "ADD" else schema.SubOptionsT()
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    # The quantizer says so of all; powers of two have kernels of their own where it is set.
    options.potScaleInt16 = False
    check(kernels, name, **pair(dice, options, [a, b, scale], ZEROS, INT16))


@few
@given(dice=DICE)
def test_mul(kernels: Kernels, dice: Dice) -> None:
    a, b = dice.factor(1e-4), dice.factor(1e-4)
    steps = dice.pick([2.0**15, 2.0**14, 1.0001, 100.0, dice.between(2000.0, 50000.0)])
    options = schema.MulOptionsT()
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    check(kernels, "MUL", **pair(dice, options, [a, b, float(np.float32(a * b * steps))], ZEROS, INT16))


@pytest.mark.parametrize("name", ["MAXIMUM", "MINIMUM"])
@few
@given(dice=DICE)
def test_maximum_and_minimum(kernels: Kernels, name: str, dice: Dice) -> None:
    options = schema.MaximumMinimumOptionsT()
    check(kernels, name, **pair(dice, options, [dice.factor()] * 3, ZEROS, INT16))


@few
@given(dice=DICE)
def test_mean(kernels: Kernels, dice: Dice) -> None:
    ratio = dice.pick([1.0, 1.0, 0.5, 0.01, 3.0, 0.3, dice.between(0.1, 2.0)])
    check(kernels, "MEAN", **reduction(dice, ratio, element=INT16))


@few
@given(dice=DICE)
def test_softmax(kernels: Kernels, dice: Dice) -> None:
    shape = (*dice.pick([(1,), (3,), (1, 2, 3)]), dice.integer(1, 12 * dice.size))
    options = schema.SoftmaxOptionsT()
    options.beta = dice.pick([1.0, 1.0, 0.5, 2.0, 0.1])
    x = dice.pick([near(dice, shape), dice.array(shape, INT16)])
    scale = dice.factor(1e-6, 0.5)
    check(kernels, "SOFTMAX", options, [Spec(shape, INT16, scale)], Spec(shape, INT16, 1 / LIMIT), [x])


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 1000])
def test_softmax_of_many_rows(kernels: Kernels, classes: int) -> None:
    shape = (max(30000 // classes, 2), classes)
    x = np.random.default_rng(classes).integers(-LIMIT, LIMIT, shape).astype(np.int16)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    for scale in (1e-5, 1e-4, 2e-3):
        check(kernels, "SOFTMAX", options, [Spec(shape, INT16, scale)], Spec(shape, INT16, 1 / LIMIT), [x])


EVERY_INT16 = np.arange(-LIMIT, LIMIT).astype(np.int16)
WHOLE = EVERY_INT16.shape


@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
@pytest.mark.parametrize(
    "scale", [2.0**-12, 2.0**-11, 2.0**-13, 2.0**-10, 3e-4, 1.7e-5, 0.01, 1.0, 1e-9, 8 / 32768 * 1.3]
)
def test_sigmoids_of_every_integer(kernels: Kernels, name: str, scale: float) -> None:
    """Scales that are exact powers of two go another way."""
    check(kernels, name, None, [Spec(WHOLE, INT16, scale)], Spec(WHOLE, INT16, 1 / LIMIT), [EVERY_INT16])


@pytest.mark.parametrize("name", ["EXP", "LOG", "RSQRT"])
@few
@given(dice=DICE)
def test_tables_of_every_integer(kernels: Kernels, name: str, dice: Dice) -> None:
    """Also where neighbours of the table are so far apart that their difference leaves 16 bits."""
    # TFLite's RSQRT stops at negative inputs.
    x = np.arange(0 if name == "RSQRT" else -LIMIT, LIMIT).astype(np.int16)
    # exp of more than 70 in steps of 1e-6 is no float32.
    largest = -2.7 if name == "EXP" else -1.5
    x_scale, scale = (float(np.float32(10 ** dice.between(-6.0, end))) for end in (largest, -1.0))
    options = schema.ExpOptionsT() if name == "EXP" else None
    check(kernels, name, options, [Spec(x.shape, INT16, x_scale)], Spec(x.shape, INT16, scale), [x])


@pytest.mark.parametrize("name", ["ABS", "RELU", "RELU6", "LEAKY_RELU", "QUANTIZE", "DEQUANTIZE"])
@pytest.mark.parametrize("seed", range(12))
def test_every_integer(kernels: Kernels, name: str, seed: int) -> None:
    dice = Dice(seed, 8)
    scale = dice.factor(1e-5, 1e-2)
    ratio = dice.pick([1.0, 0.5, 0.05, 20.0, dice.between(0.3, 3.0), dice.between(0.3, 3.0)])
    output = Spec(WHOLE, INT16, float(np.float32(scale * ratio)))
    options: Any = None
    if name == "LEAKY_RELU":
        options = schema.LeakyReluOptionsT()
        options.alpha = dice.pick([0.2, 0.0, 0.5, 1.7, dice.between(0.01, 0.5)])
    if name == "QUANTIZE":
        options = schema.QuantizeOptionsT()
    if name == "DEQUANTIZE":
        options, output = schema.DequantizeOptionsT(), Spec(WHOLE, "float32")
    check(kernels, name, options, [Spec(WHOLE, INT16, scale)], output, [EVERY_INT16])


@pytest.mark.parametrize(("source", "target"), [("int16", "int8"), ("int8", "int16"), ("uint8", "int16")])
@few
@given(dice=DICE)
def test_quantize_between_types(kernels: Kernels, source: str, target: str, dice: Dice) -> None:
    scale = dice.factor()
    ratio = dice.pick([1.0, 0.5, dice.between(0.3, 3.0)]) * finer(source) / finer(target)
    check(
        kernels,
        "QUANTIZE",
        schema.QuantizeOptionsT(),
        [Spec((1, 300), source, scale, dice.zero_point(source))],
        Spec((1, 300), target, float(np.float32(scale * ratio)), dice.zero_point(target)),
        [dice.array((1, 300), source)],
    )


@few
@given(dice=DICE)
def test_quantize_floats(kernels: Kernels, dice: Dice) -> None:
    scale = np.float32(dice.factor())
    ties = (dice.random.integers(-40000, 40000, 60) + 0.5).astype(np.float32) * scale
    far = [1e9 * scale, -1e9 * scale, 0.0]
    values = np.concatenate([ties, np.nextafter(ties, -np.inf), np.nextafter(ties, np.inf), far])
    inputs = [Spec(values.shape, "float32")]
    output = Spec(values.shape, INT16, float(scale))
    check(kernels, "QUANTIZE", schema.QuantizeOptionsT(), inputs, output, [values.astype(np.float32)])


@few
@given(dice=DICE)
def test_pad(kernels: Kernels, dice: Dice) -> None:
    rank = dice.integer(1, 4)
    shape = tuple(1 if rank == 4 and i == 0 else dice.length(1, 5) for i in range(rank))
    pads = np.array([(dice.integer(0, 3), dice.integer(0, 3)) for _ in shape], np.int32)
    if rank == 4:
        pads[0] = 0
    scale = dice.factor()
    inputs = [Spec(shape, INT16, scale), Spec(pads.shape, "int32", data=pads)]
    output = Spec(tuple(int(size + sum(pads[i])) for i, size in enumerate(shape)), INT16, scale)
    arrays = [dice.array(shape, INT16)]
    check(kernels, "PAD", schema.PadOptionsT(), inputs, output, arrays)
    value = Spec((1,), INT16, scale, data=np.array([dice.pick([0, -1, 0x0505])], np.int16))
    check(kernels, "PADV2", schema.PadV2OptionsT(), [*inputs, value], output, arrays)
