"""Many random graphs in one program: generated as the pipeline does it, compiled together, run at once.

Wanted are the bytes of TFLite's reference kernels. A graph that differs is named by its seed and by the
command that runs it alone.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.boards import Board
from pipeline.errors import PipelineError
from pipeline.lower import lower_program
from pipeline.passes import PASSES, apply_passes
from pipeline.plan import plan_schedule
from pipeline.read_tflite import read_tflite
from pipeline.render import render_sources
from pipeline.schedule import Machine, schedule_layers
from tests.property.oracle import run_graph
from tests.tflite_graphs import Drawn, random_graph

INFERENCES = 3
AIMS = ("balanced", "time", "ram", "ram", "flash")
WARNINGS = (
    "-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes -Werror"
).split()
ROOMY = 1 << 40


@dataclass(frozen=True)
class Case:
    """A graph with its generated C, inputs, and the outputs that they have to lead to."""

    drawn: Drawn
    name: str
    files: Mapping[str, str]
    feeds: Sequence[Sequence[np.ndarray]]
    """For each inference an array for each input."""

    @cached_property
    def wanted(self) -> list[bytes]:
        """All outputs of an inference, one behind the other."""
        return [
            b"".join(output.tobytes() for output in run_graph(self.drawn.tflite, arrays))
            for arrays in self.feeds
        ]


def prepare(seed: int, board: Board, libraries: Sequence[str]) -> Case:
    """Everything that the pipeline makes of one graph; aim and places of input and output follow the seed."""
    drawn = random_graph(seed)
    try:
        dice = np.random.default_rng(seed)
        # Half of them nearly as they are: what a pass takes away tries no kernel. Constants are always
        # folded, since no map is expected to be one after that.
        passes = PASSES if dice.random() < 0.5 else PASSES[:1]
        graph, _ = apply_passes(read_tflite(drawn.tflite, f"graph_{seed}"), passes)
        outside = [name for name in (*graph.inputs, *graph.outputs) if dice.random() < 0.3]
        aim = AIMS[int(dice.integers(len(AIMS)))]
        schedule = schedule_layers(graph, Machine(tuple(libraries), ROOMY, ROOMY), aim, frozenset(outside))
        program = lower_program(schedule, plan_schedule(schedule))
        files = render_sources(program, board).files
    except (PipelineError, ArithmeticError, ValueError, LookupError, TypeError) as error:
        raise AssertionError(f"{described(drawn)}: {type(error).__name__}: {error}") from error
    return Case(drawn, program.name, files, drawn.feeds(INFERENCES))


def prepare_all(seeds: Sequence[int], board: Board, libraries: Sequence[str]) -> tuple[list[Case], list[str]]:
    """The cases of these seeds, and what is to be said of those that the pipeline could not carry.

    A graph that turns out to compute nothing is rightly refused.
    """
    cases, failures = [], []
    for seed in seeds:
        try:
            cases.append(prepare(seed, board, libraries))
        except AssertionError as error:
            if getattr(error.__cause__, "code", "") == "E_MODEL_EMPTY":
                continue
            failures.append(str(error))
    return cases, failures


def described(drawn: Drawn) -> str:
    return (
        f"{' '.join(drawn.kinds)}\n"
        f"alone: python -m pytest tests/fuzz --graphs 1 --first-seed {drawn.seed}\n"
        f"its file: python -m tests.tflite_graphs {drawn.seed}\n"
    )


def compile_all(cases: Sequence[Case], folder: Path, compiler: Sequence[str]) -> list[str]:
    """Object files of the models and of the kernels that they need; `compiler` with its flags."""
    for case in cases:
        for path, text in case.files.items():
            if path.startswith(("kernels/", "model/", "harness/model.h")):
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
    models = {f"model/{case.name}{end}.c" for case in cases for end in ("", "_weights")}
    kernels = {path for case in cases for path in case.files if path.startswith("kernels/")}
    names = sorted(models | {path for path in kernels if path.endswith((".c", ".S"))})

    def compile_one(name: str) -> str:
        # A model's own file is tables and calls: to optimize it would only take time.
        level = ["-O0"] if name in models else ["-O1", "-g"]
        command = [*compiler, *WARNINGS, *level, f"-I{folder}", "-c", name, "-o", f"{name}.o"]
        subprocess.run(command, cwd=folder, check=True)
        return str(folder / f"{name}.o")

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(compile_one, names))


def differences(cases: Sequence[Case], made: Sequence[Sequence[bytes]]) -> list[str]:
    """What is to be said of each graph whose outputs are not those wanted."""
    found = []
    for case, outputs in zip(cases, made, strict=True):
        wrong = [
            sum(a != b for a, b in zip(got, want, strict=False)) + abs(len(got) - len(want))
            for got, want in zip(outputs, case.wanted, strict=True)
        ]
        if any(wrong):
            sizes = ", ".join(
                f"{count} of {len(want)}" for count, want in zip(wrong, case.wanted, strict=True)
            )
            found.append(f"{sizes} bytes differ from TFLite's reference kernels: {described(case.drawn)}")
    return found
