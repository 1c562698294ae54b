"""ADD, SUB and MUL row by row: exact for all scales and repetitions, from rings and in place."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from arm import ArmKernels
from held import Layer, check, equal, measured, predicted
from hypothesis import given

from pipeline.kernels.cortex_m4.binary_rows import BinaryRows
from tests.property.cases import DICE, Dice
from tests.property.tflite_builder import Spec

KERNEL = BinaryRows()
OPTIONS = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT}
SUMS = ("ADD", "SUB")
NAMES = tuple(OPTIONS)
FORMS = {
    "line_each", "line_one", "scaled_each", "scaled_one_large", "scaled_one_small", "product_each",
    "product_one",
}  # fmt: skip
pytestmark = pytest.mark.toolchain

Shape = tuple[int, ...]


def layer_of(
    dice: Dice, name: str, shapes: tuple[Shape, Shape], activation: int = 0, constant: int | None = None
) -> Layer:
    """`constant` is the operand that is one."""
    a = dice.factor()
    b = dice.pick([a, float(np.float32(a * dice.between(0.02, 50.0))), float(np.float32(a / 4))])
    if name == "MUL":
        out = float(np.float32(a * b * dice.pick([128.0, dice.between(4.0, 300.0)])))
    else:
        out = float(np.float32(max(a, b) * dice.pick([1.0, 2.0, dice.between(0.3, 4.0)])))
    options = OPTIONS[name]()
    options.fusedActivationFunction = activation
    arrays = [dice.array(shape) for shape in shapes]
    inputs = [
        Spec(shape, scale=scale, zero_point=dice.zero_point(), data=arrays[i] if i == constant else None)
        for i, (shape, scale) in enumerate(zip(shapes, (a, b), strict=True))
    ]
    output = Spec(np.broadcast_shapes(*shapes), scale=out, zero_point=dice.zero_point())
    fed = [array for i, array in enumerate(arrays) if i != constant]
    return Layer.read(name, options, inputs, output, fed)


def draw(dice: Dice) -> Layer:
    """Of any rank; one operand or both repeated along any axes."""
    rank = dice.pick([4, 4, 4, 3, 2, 1])
    shape = (*(1,) * (rank == 4), *(dice.length(1, 6) for _ in range(min(rank, 3) - 1)), dice.length(1, 11))
    other = tuple(1 if dice.chance(0.4) else size for size in shape)
    other = dice.pick([shape, other, other, other[dice.integer(0, rank) :]])
    pair = (shape, other) if dice.chance() else (other, shape)
    constant = dice.pick([None, None, 0, 1])
    return layer_of(dice, dice.pick(NAMES), pair, dice.pick([0, 0, 1]), constant)


@given(dice=DICE)
def test_exact(arm_kernels: ArmKernels, dice: Dice) -> None:
    layer = draw(dice)
    check(arm_kernels, KERNEL, layer, dice)
    wanted = layer.wanted()
    for candidate in layer.candidates(KERNEL):
        for position, x in enumerate(layer.arrays):
            if x.size == wanted.size and x.ndim == wanted.ndim:
                equal(
                    arm_kernels.run(candidate, layer.arrays, wanted.shape, over=position), wanted, candidate
                )


def test_nearly_all_layers_have_a_candidate_and_all_forms_are_drawn() -> None:
    found = [draw(Dice(seed, 5)).candidates(KERNEL) for seed in range(400)]
    forms = Counter(ways[0].parameters()["form"] for ways in found if ways)
    assert sum(forms.values()) > 300
    assert set(forms) == FORMS


@pytest.mark.parametrize(("name", "seed"), list(product(NAMES, range(3))))
def test_all_pairs_of_operands(arm_kernels: ArmKernels, name: str, seed: int) -> None:
    shape = (1, 256, 16, 16)
    layer = layer_of(Dice(seed, 5), name, (shape, shape))
    x = np.arange(-128, 128)
    layer.arrays = [each.astype(np.int8).reshape(shape) for each in (np.repeat(x, 256), np.tile(x, 256))]
    assert check(arm_kernels, KERNEL, layer, Dice(seed, 5))


@pytest.mark.parametrize(("name", "seed"), list(product(NAMES, range(3))))
@pytest.mark.parametrize("repeated", [0, 1])
def test_all_pairs_where_one_operand_is_repeated(
    arm_kernels: ArmKernels, name: str, seed: int, repeated: int
) -> None:
    shapes = ((1, 256, 1, 1), (1, 256, 1, 256))
    layer = layer_of(Dice(seed, 5), name, shapes if repeated == 0 else shapes[::-1])
    x = np.arange(-128, 128, dtype=np.int8)
    layer.arrays[repeated] = x.reshape(1, 256, 1, 1)
    layer.arrays[1 - repeated] = np.tile(x, 256).reshape(1, 256, 1, 256)
    assert check(arm_kernels, KERNEL, layer, Dice(seed, 5))


def test_most_sums_are_those_of_two_products() -> None:
    shape = (1, 2, 2, 4)
    found = [layer_of(Dice(seed, 5), SUMS[seed % 2], (shape, shape)).candidates(KERNEL) for seed in range(60)]
    lines = [ways[0].parameters()["form"] == "line_each" for ways in found if ways]
    assert 40 < sum(lines) < len(lines)


ROW, PIXELS, CHANNELS = (1, 16, 16, 32), (1, 16, 16, 1), (1, 1, 1, 32)


def in_form(form: str, shapes: tuple[Shape, Shape]) -> Layer:
    """A layer that is computed in this form."""
    name = "MUL" if form.startswith("product") else "SUB"
    for seed in range(200):
        layer = layer_of(Dice(seed, 12), name, shapes)
        ways = layer.candidates(KERNEL)
        if ways and ways[0].parameters()["form"] == form:
            return layer
    raise AssertionError(f"no layer of {shapes} is computed by {form}")


@pytest.mark.parametrize(
    ("form", "shapes"),
    [
        ("line_each", (ROW, ROW)),
        ("line_each", ((1, 8, 8, 64), (1, 1, 1, 64))),
        ("line_one", ((1, 8, 40), (1, 8, 1))),
        ("line_one", ((1, 16, 40, 4), (1, 1, 40, 1))),
        ("scaled_each", (ROW, ROW)),
        ("scaled_one_small", (ROW, PIXELS)),
        ("scaled_one_large", (ROW, PIXELS)),
        ("product_each", (ROW, CHANNELS)),
        ("product_each", ((1, 480), (1, 480))),
        ("product_one", (ROW, PIXELS)),
    ],
)
def test_cost(arm_kernels: ArmKernels, form: str, shapes: tuple[Shape, Shape]) -> None:
    predicted(arm_kernels, KERNEL, in_form(form, shapes), 0.05)


@pytest.mark.parametrize(
    ("form", "other", "instructions"),
    [
        ("line_each", ROW, 8.4),
        ("line_one", PIXELS, 6.5),
        ("scaled_each", ROW, 21.5),
        ("product_each", CHANNELS, 10),
        ("product_one", PIXELS, 8.5),
    ],
)
def test_instructions_of_an_element(
    arm_kernels: ArmKernels, form: str, other: Shape, instructions: float
) -> None:
    layer = in_form(form, (ROW, other))
    candidate = layer.candidates(KERNEL)[0]
    assert measured(arm_kernels, candidate, layer).instructions < instructions * layer.output.elements
