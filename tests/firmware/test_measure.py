"""Measurements: what of a transcript is believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import TargetFailed
from pipeline.lower import Call, Layer, Place, Program
from pipeline.measure import by_steps_of, measure
from pipeline.runners import CoreState, Source, Transcript
from pipeline.stream import Portion

INPUT = Place("x", (1, 4), "int8", 0)
OUTPUT = Place("y", (1, 2), "int8", 16)
LAYER = Layer(
    0, "fc", "FULLY_CONNECTED", "fully_connected", "portable", "plain C", 8, {}, (INPUT,), OUTPUT, 0, 0, 8
)
CALL = Call(0, (LAYER,), (Portion(0, 0, 1),), (INPUT,), OUTPUT, ())
PROGRAM = Program("small", (CALL, replace(CALL, index=1)), (), 32, 32, (INPUT,), (OUTPUT,), {})
TRANSCRIPT = Transcript(
    runner="qemu 7.2", board="b", model="small", digest="0" * 16, arena_bytes=32, input_bytes=4,
    output_bytes=2, layer_count=2, protocol=1, source=Source.INSTRUCTIONS, counter="a timer", counter_hz=0,
    stack_reserved_bytes=2048, stack_bytes=300, outputs=np.zeros((3, 2), np.uint8), totals=(1010, 1010, 1010),
    layers=((400, 600), (401, 600), (402, 601)), dumps={}, log=(), seconds=1.0, notes=("heard",),
)  # fmt: skip


def test_the_figures():
    found = measure(TRANSCRIPT, PROGRAM)
    assert found.total.median == 1010
    assert [layer.runs for layer in found.layers] == [(400, 401, 402), (600, 600, 601)]
    assert [layer.median for layer in found.layers] == [401, 600]
    assert found.notes == ("heard",)
    assert (found.runner, found.source, found.stack_bytes) == ("qemu 7.2", Source.INSTRUCTIONS, 300)


def program_of(*steps):
    layers = {name: replace(LAYER, index=i, name=name) for i, name in enumerate(" ".join(steps).split())}
    calls = [
        replace(CALL, index=i, layers=tuple(layers[name] for name in step.split()))
        for i, step in enumerate(steps)
    ]
    return replace(PROGRAM, calls=tuple(calls))


def test_costs_of_other_kernels_are_summed_up_to_a_boards_steps():
    ran = program_of("a", "b", "c")
    found = measure(
        replace(TRANSCRIPT, layer_count=3, layers=((400, 500, 110), (401, 500, 110), (402, 501, 110))), ran
    )
    summed = by_steps_of(found, ran, program_of("a b", "c"))
    assert [cost.runs for cost in summed.layers] == [(900, 901, 903), (110, 110, 110)]
    assert by_steps_of(found, ran, ran).layers == found.layers
    assert summed.total == found.total
    assert by_steps_of(found, ran, program_of("a", "b")).layers == ()
    joined = measure(TRANSCRIPT, program_of("a b", "c"))
    assert by_steps_of(joined, program_of("a b", "c"), ran).layers == ()


@pytest.mark.parametrize(
    "change",
    [{"model": "other"}, {"layer_count": 3, "layers": ((1, 2, 3),)}, {"arena_bytes": 33}, {"input_bytes": 5},
     {"output_bytes": 3}, {"outputs": np.zeros((3, 3), np.uint8)}, {"layers": ((400,),)}],
    ids=str,
)  # fmt: skip
def test_an_image_that_is_not_of_this_program(change):
    with pytest.raises(TargetFailed) as raised:
        measure(replace(TRANSCRIPT, **change), PROGRAM)
    assert raised.value.code == "E_MEASUREMENT"
    assert raised.value.details


def test_exact_counts_have_to_add_up():
    with pytest.raises(TargetFailed) as raised:
        measure(replace(TRANSCRIPT, totals=(1300,)), PROGRAM)
    assert raised.value.code == "E_COUNTS"


@pytest.mark.parametrize(
    ("masked", "interrupts", "noted"),
    [(False, ("line 28",), True), (True, ("line 28",), False), (False, (), False)],
)
def test_interrupts_that_may_be_in_the_counts_are_noted(masked, interrupts, noted):
    found = measure(replace(TRANSCRIPT, state=CoreState(5, {}, masked, interrupts)), PROGRAM)
    assert any("line 28" in note for note in found.notes) == noted


def test_what_is_odd_is_noted():
    unsteady = measure(replace(TRANSCRIPT, totals=(1010, 1011, 1012)), PROGRAM)
    assert "different numbers of instructions" in unsteady.notes[1]
    full = measure(replace(TRANSCRIPT, stack_bytes=2000), PROGRAM)
    assert "2000 of 2048" in full.notes[1]
    noisy = measure(replace(TRANSCRIPT, source=Source.CYCLES, totals=(1500,)), PROGRAM)
    assert "add up to 1001 cycles" in noisy.notes[1]
    assert measure(replace(TRANSCRIPT, source=Source.CYCLES), PROGRAM).notes == ("heard",)
