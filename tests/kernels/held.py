"""Layers to try kernels with, and a kernel held against an operator's reference, portion by portion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from arm import ArmKernels, Called, Portion

from pipeline.kernels.base import Candidate, Kernel
from pipeline.operators import Operator
from pipeline.tensors import Tensor
from pipeline.timing.profile import Figures
from tests.property.cases import Dice, read_operator
from tests.property.tflite_builder import Spec


class Layer:
    """An operator with its tensors, and inputs for those that are not constant."""

    def __init__(
        self, op: Operator, tensors: list[Tensor | None], output: Tensor, arrays: Sequence[np.ndarray]
    ) -> None:
        self.op, self.tensors, self.output = op, tensors, output
        self.arrays = list(arrays)

    @classmethod
    def read(
        cls, name: str, options: Any, inputs: list[Spec | None], output: Spec, arrays: list[np.ndarray]
    ) -> Layer:
        return cls(*read_operator(name, options, inputs, output), arrays)

    def wanted(self) -> np.ndarray:
        """By the operator's reference, which is held against TFLite elsewhere."""
        feeds = iter(self.arrays)
        values = [
            None if tensor is None else tensor.data if tensor.data is not None else next(feeds)
            for tensor in self.tensors
        ]
        parameters = self.op.parameters(self.tensors, self.output)
        return self.op.reference(parameters, *[values[i] for i in self.op.operands(self.tensors)])

    def candidates(self, kernel: Kernel) -> Sequence[Candidate]:
        return kernel.candidates(self.op, self.tensors, self.output)

    def portions(self, dice: Dice, largest: int) -> list[Portion]:
        """All output rows, in random portions, with the input rows that each reads."""
        height = self.output.shape[1] if len(self.output.shape) == 4 else self.output.shape[0]
        found, first = [], 0
        while first < height:
            count = min(dice.integer(1, largest), height - first)
            read = self.op.rows_read(self.tensors, self.output, first, first + count)
            assert read is not None
            found.append(Portion(first, count, self.reads(read, first, count)))
            first += count
        return found

    def reads(self, rows: tuple[int, int], first: int, count: int) -> tuple[tuple[int, int], ...]:
        """Of each input, where `count` output rows are made of these: a map of one row has just that."""
        heights = [x.shape[1] if x.ndim == 4 else 1 for x in self.arrays]
        maps = [i for i, x in enumerate(self.tensors) if x is not None and not x.is_constant]
        beside = self.op.beside(self.tensors)
        return tuple(
            (first, first + count) if i in beside else rows if height > 1 else (0, height)
            for i, height in zip(maps, heights, strict=True)
        )


def check(arm: ArmKernels, kernel: Kernel, layer: Layer, dice: Dice) -> int:
    """Every candidate gives the reference's integers, from rings too where it streams. How many there are."""
    wanted = layer.wanted()
    found = layer.candidates(kernel)
    for candidate in found:
        equal(arm.run(candidate, layer.arrays, wanted.shape), wanted, candidate)
        if candidate.streams and layer.op.rows_read(layer.tensors, layer.output, 0, 1) is not None:
            portions = layer.portions(dice, dice.integer(1, 4))
            rows = max(
                max(high - low for portion in portions for low, high in portion.reads),
                max(portion.count for portion in portions),
            )
            called = arm.run(
                candidate, layer.arrays, wanted.shape, portions=portions, ring_rows=rows + dice.integer(0, 2)
            )
            equal(called, wanted, candidate)
    return len(found)


def equal(called: Called, wanted: np.ndarray, candidate: Candidate) -> None:
    np.testing.assert_array_equal(called.output, wanted, err_msg=f"{candidate.kernel}: {candidate.variant}")


def measured(arm: ArmKernels, candidate: Candidate, layer: Layer) -> Figures:
    """What a candidate costs on NUCLEO-L4R5ZI, called for as many rows as it likes best; it is right, too."""
    wanted = layer.wanted()
    height = wanted.shape[1] if wanted.ndim == 4 else wanted.shape[0]
    portions = []
    if candidate.streams and layer.op.rows_read(layer.tensors, layer.output, 0, 1) is not None:
        step = candidate.rows_per_call
        for first in range(0, height, step):
            count = min(step, height - first)
            read = layer.op.rows_read(layer.tensors, layer.output, first, first + count)
            assert read is not None
            portions.append(Portion(first, count, layer.reads(read, first, count)))
    called = arm.run(candidate, layer.arrays, wanted.shape, portions=portions, cycles=True)
    equal(called, wanted, candidate)
    assert called.figures is not None
    return called.figures


def cost_of(arm: ArmKernels, candidate: Candidate, layer: Layer) -> Figures:
    """Of one call for all rows, which the kernel divides by itself."""
    figures = arm.run(candidate, layer.arrays, layer.output.shape, cycles=True).figures
    assert figures is not None
    return figures


def predicted(arm: ArmKernels, kernel: Kernel, layer: Layer, tolerance: float) -> None:
    """The kernel has candidates for the layer, whose costs are near what is measured."""
    found = layer.candidates(kernel)
    assert found
    for candidate in found:
        figures = measured(arm, candidate, layer)
        assert candidate.cost.instructions == pytest.approx(figures.instructions, rel=tolerance)
        assert candidate.cost.cycles == pytest.approx(figures.zero_wait_cycles, rel=tolerance)
