"""What a schedule chooses, with kernels whose costs are made up."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import pipeline.kernels
from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.costs import GUESSED
from pipeline.passes import apply_passes
from pipeline.read_tflite import read_tflite
from pipeline.schedule import Machine, Scheduler, schedule_layers
from tests.tflite_networks import random_network

MACHINE = Machine(("made_up",), 1 << 30, 1 << 30, code_in_ram=True)


class MadeUp(Kernel):
    """Any layer: cycles by the layer's place in the file, for even and odd ones."""

    def __init__(self, name: str, even: float, odd: float, scratch: int = 0, weights: int = 0) -> None:
        self.label, self.cycles, self.scratch, self.weights = name, (even, odd), scratch, weights
        self.seen: list[str] = []

    def candidates(self, op, inputs, output):
        if output.name not in self.seen:
            self.seen.append(output.name)
        cycles = self.cycles[self.seen.index(output.name) % 2]
        work = {"things": cycles / GUESSED["zero_wait_cycles"]}
        return [
            Candidate(
                "made_up", self.label, "", dict, self.scratch, weights_bytes=self.weights, features=work
            )
        ]


def chosen(monkeypatch, kernels: tuple[Kernel, ...], aim: str, machine=MACHINE) -> list[str]:
    monkeypatch.setitem(pipeline.kernels.LIBRARIES, "made_up", kernels)
    graph, _ = apply_passes(read_tflite(random_network(np.random.default_rng(3), 8), "network"))
    schedule = schedule_layers(graph, machine, aim)
    return [candidate.kernel for step in schedule.steps for candidate in step.candidates]


@pytest.mark.parametrize("aim", ["time", "balanced", "flash"])
def test_a_kernel_that_hardly_helps_is_not_worth_its_code(monkeypatch, aim):
    kernels = MadeUp("a", 1000.0, 1001.0), MadeUp("b", 1001.0, 1000.0)
    assert len(set(chosen(monkeypatch, kernels, aim))) == 1


def test_a_kernel_that_helps_is_chosen_where_it_does(monkeypatch):
    kernels = MadeUp("a", 1000.0, 1100.0), MadeUp("b", 1100.0, 1000.0)
    names = chosen(monkeypatch, kernels, "time")
    assert set(names) == {"a", "b"}
    assert names == [("a", "b")[i % 2] for i in range(len(names))]


def test_the_least_ram_is_worth_code(monkeypatch):
    kernels = MadeUp("quick", 1000.0, 1000.0, scratch=4096), MadeUp("small", 1500.0, 1500.0)
    assert set(chosen(monkeypatch, kernels, "time")) == {"quick"}
    assert set(chosen(monkeypatch, kernels, "ram")) == {"small"}


def test_a_limit_of_ram_outweighs_time(monkeypatch):
    kernels = MadeUp("quick", 1000.0, 1000.0, scratch=1 << 20), MadeUp("small", 1500.0, 1500.0)
    tight = replace(MACHINE, ram_bytes=1 << 19)
    assert set(chosen(monkeypatch, kernels, "time", tight)) == {"small"}


def test_what_no_flash_holds_is_told_by_the_least_weights_and_of_these_the_least_ram(monkeypatch):
    """The refusal says how much is missing: more RAM would not help."""
    kernels = (
        MadeUp("quick", 1000.0, 1000.0, scratch=1 << 16, weights=100),
        MadeUp("small", 1500.0, 1500.0, weights=100),
        MadeUp("heavy", 500.0, 500.0, weights=200),
    )
    assert set(chosen(monkeypatch, kernels, "time", replace(MACHINE, flash_bytes=10))) == {"small"}


def test_what_could_have_been_holds_nothing_that_is_beaten(monkeypatch):
    kernels = (
        MadeUp("quick", 1000.0, 1000.0, scratch=4096),
        MadeUp("middle", 1500.0, 1500.0, scratch=1024),
        MadeUp("small", 2000.0, 2000.0),
        MadeUp("useless", 2000.0, 2000.0, scratch=8192),
    )
    monkeypatch.setitem(pipeline.kernels.LIBRARIES, "made_up", kernels)
    graph, _ = apply_passes(read_tflite(random_network(np.random.default_rng(3), 8), "network"))
    scheduler = Scheduler(graph, MACHINE)
    quickest, smallest = (scheduler.schedule(aim) for aim in ("time", "ram"))
    found = scheduler.trade_offs()
    assert len(found) >= 3
    assert found[0].cycles == sum(step.cycles for step in quickest.steps)
    assert found[-1].cycles == sum(step.cycles for step in smallest.steps)
    assert all(a.cycles < b.cycles and a.ram_bytes > b.ram_bytes for a, b in pairwise(found))
