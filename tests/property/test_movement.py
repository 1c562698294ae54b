"""Operators that only move elements, and those that place them between others, against TFLite's kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given

from pipeline.operators import REFUSED_INT16
from tests.property.c_kernels import Kernels
from tests.property.cases import DICE, Dice, check
from tests.property.tflite_builder import Spec

INTEGERS_ONLY = {"MIRROR_PAD", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"}


def sized(dice: Dice, rank: int, longest: int = 5) -> tuple[int, ...]:
    return tuple(dice.length(1, longest) for _ in range(rank))


def move(
    kernels: Kernels,
    dice: Dice,
    name: str,
    options: Any,
    shape: tuple[int, ...],
    operands: Sequence[np.ndarray],
    output: tuple[int, ...],
) -> None:
    """One input, int8, int16 or float32, constant operands, and an output of the same scale."""
    constants = [Spec(each.shape, each.dtype.name, data=each) for each in operands]
    if name not in INTEGERS_ONLY and dice.chance(0.25):
        floats = dice.array(shape).astype(np.float32) / 3
        inputs = [Spec(shape, "float32"), *constants]
        check(kernels, name, options, inputs, Spec(output, "float32"), [floats])
        return
    element = "int16" if name not in REFUSED_INT16 and dice.chance(0.25) else "int8"
    scale, zero = dice.factor(), dice.zero_point(element)
    inputs = [Spec(shape, element, scale, zero), *constants]
    check(kernels, name, options, inputs, Spec(output, element, scale, zero), [dice.array(shape, element)])


@given(dice=DICE)
def test_transpose(kernels: Kernels, dice: Dice) -> None:
    rank = dice.integer(1, 6)
    shape = sized(dice, rank, 4)
    axes = dice.random.permutation(rank).astype(np.int32)
    signed = np.where(dice.random.random(rank) < 0.2, axes - rank, axes).astype(np.int32)
    move(
        kernels, dice, "TRANSPOSE", schema.TransposeOptionsT(), shape, [signed], tuple(shape[a] for a in axes)
    )


@given(dice=DICE)
def test_slice(kernels: Kernels, dice: Dice) -> None:
    shape = sized(dice, dice.integer(1, 5))
    begin = [dice.integer(0, size - 1) for size in shape]
    size = [dice.integer(1, length - first) for first, length in zip(begin, shape, strict=True)]
    stated = [
        -1 if dice.chance(0.3) and count == length - first else count
        for count, first, length in zip(size, begin, shape, strict=True)
    ]
    operands = [np.array(each, np.int32) for each in (begin, stated)]
    move(kernels, dice, "SLICE", schema.SliceOptionsT(), shape, operands, tuple(size))


@given(dice=DICE)
def test_strided_slice(kernels: Kernels, dice: Dice) -> None:
    """Slices as numpy writes them; every form of begin, end and masks that leaves something."""
    shape = sized(dice, dice.integer(1, 4), 6)
    begin, end, stride, kept = [], [], [], []
    options = schema.StridedSliceOptionsT()
    options.beginMask = options.endMask = options.shrinkAxisMask = 0
    options.ellipsisMask = options.newAxisMask = 0
    for axis, length in enumerate(shape):
        step = dice.pick([1, 1, 1, 2, 3, -1, -2])
        first, behind = dice.integer(-length, length - 1), dice.integer(-length - 1, length + 2)
        masks = dice.chance(0.4), dice.chance(0.4)
        if dice.chance(0.2):
            options.shrinkAxisMask |= 1 << axis
            step, behind = 1, first + 1
        elif not range(length)[
            slice(*(None if m else b for m, b in zip(masks, (first, behind), strict=True)), step)
        ]:
            step, first, behind = 1, 0, length
            kept.append(length)
        else:
            options.beginMask |= masks[0] << axis
            options.endMask |= masks[1] << axis
            bounds = (None if m else b for m, b in zip(masks, (first, behind), strict=True))
            kept.append(len(range(length)[slice(*bounds, step)]))
        begin.append(first)
        end.append(behind)
        stride.append(step)
    operands = [np.array(each, np.int32) for each in (begin, end, stride)]
    move(kernels, dice, "STRIDED_SLICE", options, shape, operands, tuple(kept))


@pytest.mark.parametrize("name", ["DEPTH_TO_SPACE", "SPACE_TO_DEPTH"])
@given(dice=DICE)
def test_depth_and_space(kernels: Kernels, name: str, dice: Dice) -> None:
    block = dice.integer(1, 4)
    height, width, channels = sized(dice, 3)
    wide = (1, height * block, width * block, channels)
    deep = (1, height, width, channels * block**2)
    options = schema.DepthToSpaceOptionsT() if name == "DEPTH_TO_SPACE" else schema.SpaceToDepthOptionsT()
    options.blockSize = block
    shape, output = (deep, wide) if name == "DEPTH_TO_SPACE" else (wide, deep)
    move(kernels, dice, name, options, shape, [], output)


@given(dice=DICE)
def test_expand_dims_and_squeeze(kernels: Kernels, dice: Dice) -> None:
    shape = sized(dice, dice.integer(1, 4))
    axis = dice.integer(0, len(shape))
    longer = (*shape[:axis], 1, *shape[axis:])
    place = np.array([axis], np.int32)
    move(kernels, dice, "EXPAND_DIMS", schema.ExpandDimsOptionsT(), shape, [place], longer)
    options = schema.SqueezeOptionsT()
    options.squeezeDims = [axis]
    move(kernels, dice, "SQUEEZE", options, longer, [], shape)


@pytest.mark.parametrize("name", ["CONCATENATION", "PACK"])
@given(dice=DICE)
def test_joining(kernels: Kernels, name: str, dice: Dice) -> None:
    """One to five inputs, of which some may be constant."""
    shape, count = sized(dice, dice.integer(1, 4)), dice.integer(1, 5)
    joined = name == "CONCATENATION"
    axis = dice.integer(0, len(shape) - joined)
    element = dice.pick(["int8", "int8", "int16"])
    scale, zero = dice.factor(), dice.zero_point(element)
    arrays, inputs = [], []
    for _ in range(count):
        own = (*shape[:axis], dice.integer(1, 5), *shape[axis + 1 :]) if joined else shape
        array, constant = dice.array(own, element), dice.chance(0.2)
        inputs.append(Spec(own, element, scale, zero, data=array if constant else None))
        arrays.append((array, constant))
    made = [array for array, _ in arrays]
    output = (np.concatenate(made, axis) if joined else np.stack(made, axis)).shape
    options = schema.ConcatenationOptionsT() if joined else schema.PackOptionsT()
    options.axis = axis - len(output) if dice.chance() else axis
    if joined:
        options.fusedActivationFunction = 0
    else:
        options.valuesCount = count
    fed = [array for array, constant in arrays if not constant]
    if fed:
        check(kernels, name, options, inputs, Spec(output, element, scale, zero), fed)


@given(dice=DICE)
def test_mirror_pad(kernels: Kernels, dice: Dice) -> None:
    rank = dice.integer(1, 4)
    shape = tuple(1 if rank == 4 and i == 0 else dice.length(1, 5) for i in range(rank))
    options = schema.MirrorPadOptionsT()
    options.mode = dice.pick([0, 1])
    most = [size - 1 + options.mode for size in shape]
    pads = np.array([(dice.integer(0, m), dice.integer(0, m)) for m in most], np.int32)
    if rank == 4:
        pads[0] = 0
    output = tuple(int(size + sum(pair)) for size, pair in zip(shape, pads, strict=True))
    move(kernels, dice, "MIRROR_PAD", options, shape, [pads], output)


def resizing(
    dice: Dice, options: Any, factor: int = 4
) -> tuple[Any, tuple[int, ...], np.ndarray, tuple[int, ...]]:
    shape = (1, *sized(dice, 3, 8))
    size = [dice.pick([n, 2 * n, 3 * n, max(1, n // 2), dice.integer(1, factor * n)]) for n in shape[1:3]]
    options.alignCorners, options.halfPixelCenters = dice.pick([(False, False), (True, False), (False, True)])
    return options, shape, np.array(size, np.int32), (1, *size, shape[3])


@given(dice=DICE)
def test_resize_nearest_neighbor(kernels: Kernels, dice: Dice) -> None:
    options, shape, size, output = resizing(dice, schema.ResizeNearestNeighborOptionsT())
    move(kernels, dice, "RESIZE_NEAREST_NEIGHBOR", options, shape, [size], output)


@given(dice=DICE)
def test_resize_bilinear(kernels: Kernels, dice: Dice) -> None:
    options, shape, size, output = resizing(dice, schema.ResizeBilinearOptionsT())
    move(kernels, dice, "RESIZE_BILINEAR", options, shape, [size], output)
