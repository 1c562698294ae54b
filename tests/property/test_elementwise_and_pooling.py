"""The operators without weights against TFLite's reference kernels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given

from pipeline.operators import BY_TFLITE_NAME
from pipeline.tensors import Quantization, Tensor
from tests.property.c_kernels import Kernels
from tests.property.cases import DICE, Dice, check, finer
from tests.property.tflite_builder import Spec

ACTIVATIONS = (0, 1, 2, 3)
SAME, VALID = 0, 1


def pooling(dice: Dice, element: str = "int8") -> dict[str, Any]:
    window = (dice.length(1, 5), dice.length(1, 5))
    stride = (dice.integer(1, 3), dice.integer(1, 3))
    padding = dice.pick([SAME, VALID])
    least = window if padding == VALID else (1, 1)
    size = (dice.length(least[0], least[0] + 8), dice.length(least[1], least[1] + 8))
    shape = (1, *size, dice.length(1, 6))
    out = [
        -(-size[i] // stride[i]) if padding == SAME else (size[i] - window[i]) // stride[i] + 1
        for i in (0, 1)
    ]
    options = schema.Pool2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = stride
    options.filterHeight, options.filterWidth = window
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    scale, zero = float(np.float32(dice.factor(0.005) / finer(element))), dice.zero_point(element)
    return {
        "options": options,
        "inputs": [Spec(shape, element, scale, zero)],
        "output": Spec((1, *out, shape[3]), element, scale, zero),
        "arrays": [dice.array(shape, element)],
    }


@given(dice=DICE)
def test_max_pool_2d(kernels: Kernels, dice: Dice) -> None:
    check(kernels, "MAX_POOL_2D", **pooling(dice))


@given(dice=DICE)
def test_average_pool_2d(kernels: Kernels, dice: Dice) -> None:
    check(kernels, "AVERAGE_POOL_2D", **pooling(dice))


def shapes_of(dice: Dice) -> list[tuple[int, ...]]:
    """Two shapes of up to five axes that broadcast, in either order or both at once, in three loops."""
    while changes_of_owner(*(shapes := broadcasting(dice))) > 2:
        pass
    return shapes


def changes_of_owner(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """How often the operands that move along an axis change from one axis to the next."""
    rank = max(len(a), len(b))
    both = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    moving = [(x > 1, y > 1) for x, y in both if max(x, y) > 1]
    return sum(one != other for one, other in pairwise(moving))


def broadcasting(dice: Dice) -> list[tuple[int, ...]]:
    rank = dice.integer(1, 5)
    if dice.chance(0.2):
        # Each axis belongs to one operand or to both; of four and more the first is the batch.
        axes = max(rank - 1, 3)
        owners = [2, *(dice.integer(0, 2) for _ in range(axes))]
        sizes = [1, *(dice.length(2, 6 - axes // 2) for _ in range(axes))]
        own = [tuple(n if who in {2, k} else 1 for n, who in zip(sizes, owners, strict=True)) for k in (0, 1)]
        return [own[0], own[1]]
    shape = tuple(1 if rank >= 4 and i == 0 else dice.length(1, 6 if rank < 5 else 4) for i in range(rank))
    other = dice.pick(
        [
            shape,
            shape,
            dice.pick([(), (1,), (1,) * rank]),
            shape[-1:],
            tuple(size if dice.chance() else 1 for size in shape),
            # The hardest: only the middle one of three axes is repeated.
            tuple(1 if i == rank - 2 else size for i, size in enumerate(shape)),
        ]
    )
    return [shape, other] if dice.chance() else [other, shape]


def pair(
    dice: Dice, options: Any, scales: list[float], zeros: list[int], element: str = "int8"
) -> dict[str, Any]:
    """Two operands, of which one may be constant."""
    shapes = shapes_of(dice)
    arrays = [dice.array(shape, element) for shape in shapes]
    constant = dice.pick([None, 0, 1])
    inputs = [
        Spec(shapes[i], element, scales[i], zeros[i], data=arrays[i] if i == constant else None)
        for i in (0, 1)
    ]
    return {
        "options": options,
        "inputs": inputs,
        "output": Spec(tuple(np.broadcast_shapes(*shapes)), element, scales[2], zeros[2]),
        "arrays": [array for i, array in enumerate(arrays) if i != constant],
    }


def three_zeros(dice: Dice) -> list[int]:
    return [dice.zero_point() for _ in range(3)]


@pytest.mark.parametrize("name", ["ADD", "SUB"])
@given(dice=DICE)
def test_add_and_sub(kernels: Kernels, name: str, dice: Dice) -> None:
    a = dice.factor()
    b = dice.pick([a, float(np.float32(a * dice.between(0.02, 50.0)))])
    scale = float(np.float32(max(a, b) * dice.pick([1.0, 2.0, 0.5, 0.01, dice.between(0.3, 3.0)])))
    options = schema.AddOptionsT() if name == "ADD" else schema.SubOptionsT()
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    check(kernels, name, **pair(dice, options, [a, b, scale], three_zeros(dice)))


@given(dice=DICE)
def test_mul(kernels: Kernels, dice: Dice) -> None:
    a, b = dice.factor(), dice.factor()
    scale = float(np.float32(a * b * dice.pick([1, 64, 128, 100.0, 4096, dice.between(20.0, 200.0)])))
    options = schema.MulOptionsT()
    options.fusedActivationFunction = dice.pick(ACTIVATIONS)
    check(kernels, "MUL", **pair(dice, options, [a, b, scale], three_zeros(dice)))


@given(dice=DICE)
def test_prelu(kernels: Kernels, dice: Dice) -> None:
    rank = dice.integer(1, 4)
    shape = tuple(1 if rank == 4 and i == 0 else dice.length(1, 6) for i in range(rank))
    slopes = dice.pick([shape, shape[1:], shape[-1:], tuple(1 if dice.chance() else size for size in shape)])
    a, b = dice.factor(), dice.factor()
    scale = float(np.float32(a * dice.pick([1.0, 0.5, dice.between(0.3, 2.0), max(1.0, b * 127)])))
    zeros, alpha = three_zeros(dice), dice.array(slopes)
    check(
        kernels,
        "PRELU",
        None,
        [Spec(shape, scale=a, zero_point=zeros[0]), Spec(slopes, scale=b, zero_point=zeros[1], data=alpha)],
        Spec(shape, scale=scale, zero_point=zeros[2]),
        [dice.array(shape)],
    )


@pytest.mark.parametrize("name", ["MAXIMUM", "MINIMUM"])
@given(dice=DICE)
def test_maximum_and_minimum(kernels: Kernels, name: str, dice: Dice) -> None:
    case = pair(dice, schema.MaximumMinimumOptionsT(), [dice.factor()] * 3, [dice.zero_point()] * 3)
    check(kernels, name, **case)


@given(dice=DICE)
def test_softmax(kernels: Kernels, dice: Dice) -> None:
    shape = (*dice.pick([(1,), (1,), (2,), (1, 2, 3)]), dice.integer(1, 8 * dice.size))
    options = schema.SoftmaxOptionsT()
    options.beta = dice.pick([1.0, 1.0, 0.5, 2.0, 0.1])
    check(
        kernels,
        "SOFTMAX",
        options,
        [Spec(shape, scale=dice.factor(1e-3, 20.0), zero_point=dice.zero_point())],
        Spec(shape, scale=1 / 256, zero_point=-128),
        [dice.array(shape)],
    )


def test_softmax_of_many_equal_classes(kernels: Kernels) -> None:
    """From 512 equal inputs on TFLite ends the process; here every share is then rounded to nothing."""
    x, y = (Tensor(n, (1, 4095), "int8", Quantization((1 / 256,), (-128,))) for n in "xy")
    op = BY_TFLITE_NAME["SOFTMAX"].read(schema.SoftmaxOptionsT(), [x], y)
    op = type(op)(beta=1.0)
    assert op.problems([x], y) == []
    image = np.full((1, 4095), 3, np.int8)
    wanted = np.full((1, 4095), -128, np.int8)
    parameters = op.parameters([x], y)
    np.testing.assert_array_equal(op.reference(parameters, image), wanted)
    np.testing.assert_array_equal(kernels.run("softmax", parameters, [image], wanted), wanted)


@given(dice=DICE)
def test_reshape(kernels: Kernels, dice: Dice) -> None:
    shape = (1, dice.length(1, 5), dice.length(1, 5), dice.length(1, 5))
    new = (1, int(np.prod(shape)))
    options = schema.ReshapeOptionsT()
    options.newShape = list(new)
    scale, zero = dice.factor(), dice.zero_point()
    check(
        kernels,
        "RESHAPE",
        options,
        [Spec(shape, scale=scale, zero_point=zero), Spec((2,), "int32", data=np.array(new, np.int32))],
        Spec(new, scale=scale, zero_point=zero),
        [dice.array(shape)],
    )


def reduction(
    dice: Dice, ratio: float, output_zero: int | None = None, element: str = "int8"
) -> dict[str, Any]:
    """Neighbouring axes of any shape; the output has the input's scale times `ratio`."""
    rank = dice.integer(1, 4)
    shape = tuple(1 if rank == 4 and i == 0 else dice.length(1, 7) for i in range(rank))
    first = dice.integer(0, rank - 1)
    axes = list(range(first, dice.integer(first, rank - 1) + 1))
    signed = np.array([axis - rank if dice.chance() else axis for axis in axes], np.int32)
    options = schema.ReducerOptionsT()
    options.keepDims = dice.chance()
    if options.keepDims:
        reduced = tuple(1 if i in axes else size for i, size in enumerate(shape))
    else:
        reduced = tuple(size for i, size in enumerate(shape) if i not in axes)
    scale, zero = dice.factor(), dice.zero_point(element)
    output_zero = zero if output_zero is None else output_zero
    return {
        "options": options,
        "inputs": [Spec(shape, element, scale, zero), Spec((len(axes),), "int32", data=signed)],
        "output": Spec(reduced, element, float(np.float32(scale * ratio)), output_zero),
        "arrays": [dice.array(shape, element)],
    }


@given(dice=DICE)
def test_mean(kernels: Kernels, dice: Dice) -> None:
    ratio = dice.pick([1.0, 1.0, 0.5, 0.01, 3.0, 0.3, dice.between(0.1, 2.0)])
    check(kernels, "MEAN", **reduction(dice, ratio, dice.zero_point()))


@pytest.mark.parametrize("name", ["REDUCE_MAX", "REDUCE_MIN"])
@given(dice=DICE)
def test_reduce_max_and_min(kernels: Kernels, name: str, dice: Dice) -> None:
    check(kernels, name, **reduction(dice, 1.0))


@pytest.mark.parametrize("name", ["ARG_MAX", "ARG_MIN"])
@given(dice=DICE)
def test_arg_max_and_min(kernels: Kernels, name: str, dice: Dice) -> None:
    rank = dice.integer(1, 4)
    shape = tuple(dice.length(1, 7) for _ in range(rank))
    axis, dtype = dice.integer(0, rank - 1), dice.pick(["int32", "int64"])
    options = schema.ArgMaxOptionsT() if name == "ARG_MAX" else schema.ArgMinOptionsT()
    options.outputType = schema.TensorType.INT32 if dtype == "int32" else schema.TensorType.INT64
    given = np.array(axis - rank if dice.chance() else axis, np.int32)
    check(
        kernels,
        name,
        options,
        [Spec(shape, scale=dice.factor(), zero_point=dice.zero_point()), Spec((), "int32", data=given)],
        Spec(shape[:axis] + shape[axis + 1 :], dtype),
        [dice.array(shape)],
    )


@given(dice=DICE)
def test_pad(kernels: Kernels, dice: Dice) -> None:
    rank = dice.integer(1, 4)
    shape = tuple(1 if rank == 4 and i == 0 else dice.length(1, 5) for i in range(rank))
    pads = np.array(
        [(dice.integer(0, 3), dice.integer(0, 3)) for _ in shape], dice.pick([np.int32, np.int64])
    )
    if rank == 4:
        pads[0] = 0
    scale, zero = dice.factor(), dice.zero_point()
    inputs = [Spec(shape, scale=scale, zero_point=zero), Spec(pads.shape, pads.dtype.name, data=pads)]
    padded = tuple(int(size + sum(pads[i])) for i, size in enumerate(shape))
    output = Spec(padded, scale=scale, zero_point=zero)
    arrays = [dice.array(shape)]
    check(kernels, "PAD", schema.PadOptionsT(), inputs, output, arrays)
    value = Spec((1,), scale=scale, zero_point=zero, data=np.array([dice.integer(-128, 127)], np.int8))
    check(kernels, "PADV2", schema.PadV2OptionsT(), [*inputs, value], output, arrays)


@pytest.mark.parametrize("name", ["RELU", "RELU6", "RELU_N1_TO_1"])
@given(dice=DICE)
def test_relu(kernels: Kernels, dice: Dice, name: str) -> None:
    shape = dice.pick([(1, 3, 4, 5), (1, 50), (37,)])
    scale, zero = dice.factor(0.005), dice.zero_point()
    same = dice.chance(0.3)
    ratio = 1.0 if same else dice.pick([0.1, 10.0, dice.between(0.3, 3.0), dice.between(0.3, 3.0)])
    output_zero = zero if same else dice.zero_point()
    check(
        kernels,
        name,
        None,
        [Spec(shape, scale=scale, zero_point=zero)],
        Spec(shape, scale=float(np.float32(scale * ratio)), zero_point=output_zero),
        [dice.array(shape)],
    )


@given(dice=DICE)
def test_quantize_integers(kernels: Kernels, dice: Dice) -> None:
    types = dice.pick(["int8", "uint8"]), dice.pick(["int8", "uint8"])
    scale = dice.factor()
    ratio = dice.pick([1.0, 0.5, 0.05, 20.0, dice.between(0.3, 3.0), dice.between(0.3, 3.0)])
    check(
        kernels,
        "QUANTIZE",
        schema.QuantizeOptionsT(),
        [Spec((1, 60), types[0], scale, dice.zero_point(types[0]))],
        Spec((1, 60), types[1], float(np.float32(scale * ratio)), dice.zero_point(types[1])),
        [dice.array((1, 60), types[0])],
    )


@given(dice=DICE)
def test_quantize_floats(kernels: Kernels, dice: Dice) -> None:
    scale = np.float32(dice.factor())
    # On and next to the ties, spread over the range, and far outside it.
    ties = (dice.random.integers(-300, 300, 40) + 0.5).astype(np.float32) * scale
    spread = dice.random.normal(0, 80, 40) * scale
    far = [1e6 * scale, -1e6 * scale, 0.0]
    values = np.concatenate([ties, np.nextafter(ties, -np.inf), np.nextafter(ties, np.inf), spread, far])
    check(
        kernels,
        "QUANTIZE",
        schema.QuantizeOptionsT(),
        [Spec(values.shape, "float32")],
        Spec(values.shape, scale=float(scale), zero_point=dice.zero_point()),
        [values.astype(np.float32)],
    )


@given(dice=DICE)
def test_dequantize(kernels: Kernels, dice: Dice) -> None:
    check(
        kernels,
        "DEQUANTIZE",
        schema.DequantizeOptionsT(),
        [Spec((1, 256), scale=dice.factor(1e-6, 1e6), zero_point=dice.zero_point())],
        Spec((1, 256), "float32"),
        [np.arange(-128, 128, dtype=np.int8).reshape(1, 256)],
    )


def test_quantize_saturates_what_is_no_number(kernels: Kernels) -> None:
    """TFLite leaves infinities and not-a-number undefined; here they have one meaning, in both forms."""
    op = BY_TFLITE_NAME["QUANTIZE"].read(None, [Tensor("x", (4,), "float32")], Tensor("y", (4,), "int8"))
    x = np.array([np.nan, np.inf, -np.inf, 3e38], np.float32)
    parameters = {"count": 4, "zero": 5, "scale": 0.5}
    wanted = np.array([-128, 127, -128, 127], np.int8)
    np.testing.assert_array_equal(op.reference(parameters, x), wanted)
    np.testing.assert_array_equal(kernels.run("quantize", parameters, [x], wanted), wanted)


EVERY_INT8 = np.arange(-128, 128, dtype=np.int8)


EVERY_PAIR = {
    "ADD": schema.AddOptionsT,
    "SUB": schema.SubOptionsT,
    "MUL": schema.MulOptionsT,
}


@pytest.mark.parametrize("name", EVERY_PAIR)
@pytest.mark.parametrize("seed", range(12))
def test_every_pair_of_integers(kernels: Kernels, name: str, seed: int) -> None:
    """65,536 pairs at once find the sums that differ by less than one part in 2**18 from a tie."""
    dice = Dice(seed, 8)
    a, b = dice.factor(0.01), dice.factor(0.01)
    scale = float(np.float32((a * b * 100 if name == "MUL" else a + b) * dice.between(0.3, 1.5)))
    options = EVERY_PAIR[name]()
    inputs = [
        Spec((256, 1), scale=a, zero_point=dice.zero_point()),
        Spec((1, 256), scale=b, zero_point=dice.zero_point()),
    ]
    output = Spec((256, 256), scale=scale, zero_point=dice.zero_point())
    check(kernels, name, options, inputs, output, [EVERY_INT8[:, np.newaxis], EVERY_INT8[np.newaxis]])


@pytest.mark.parametrize("name", ["RELU", "QUANTIZE"])
def test_factors_that_make_every_half_a_tie(kernels: Kernels, name: str) -> None:
    """RELU divides the scales in float32, QUANTIZE in float64; where x * a / b is a half, it shows."""
    dice = Dice(7, 8)
    for n in range(1, 120, 2):
        scale = float(np.float32(dice.between(0.01, 1.0)))
        halves = float(np.float32(scale * n / (dice.integer(1, 60) + 0.5)))
        check(
            kernels,
            name,
            None if name == "RELU" else schema.QuantizeOptionsT(),
            [Spec((256,), scale=scale)],
            Spec((256,), scale=halves),
            [EVERY_INT8],
        )


def test_bounds_of_relu6_at_the_ties(kernels: Kernels) -> None:
    """6 / scale is divided in float32, for the operator and for the fused activation."""
    options = schema.Pool2DOptionsT()
    options.strideH = options.strideW = options.filterHeight = options.filterWidth = 1
    options.fusedActivationFunction = 3
    for k in range(1, 250):
        scale = float(np.float32(6 / (k + 0.5)))
        flat, image = (Spec(shape, scale=scale, zero_point=-128) for shape in ((256,), (1, 1, 1, 256)))
        check(kernels, "RELU6", None, [flat], flat, [EVERY_INT8])
        check(kernels, "MAX_POOL_2D", options, [image], image, [EVERY_INT8.reshape(image.shape)])


def test_softmax_of_many_rows(kernels: Kernels) -> None:
    """30,000 shares find a reciprocal that is a Newton step short."""
    shape = (3000, 10)
    image = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    check(
        kernels,
        "SOFTMAX",
        options,
        [Spec(shape, scale=0.02)],
        Spec(shape, scale=1 / 256, zero_point=-128),
        [image],
    )
