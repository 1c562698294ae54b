"""Random graphs, as C on this computer and under its sanitizers, against TFLite's reference kernels.

200 graphs by default. `--graphs N` asks for more, `--first-seed S` for others (or for one again).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.boards import load_board
from pipeline.operators import BY_TFLITE_NAME
from tests.fuzz.batch import INFERENCES, Case, compile_all, differences, prepare, prepare_all
from tests.property.oracle import run_graph
from tests.tflite_graphs import random_graph

DRIVER = Path(__file__).with_name("driver.c")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="session")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The host's compiler, with sanitizers where it has them."""
    if shutil.which("cc") is None:
        pytest.skip("no host compiler (cc)")
    trial = tmp_path_factory.mktemp("trial") / "trial.c"
    trial.write_text("int main(void) { return 0; }\n")
    command = ["cc", *SANITIZERS, str(trial), "-o", str(trial.with_suffix(""))]
    sanitizes = subprocess.run(command, capture_output=True).returncode == 0
    return ["cc", *SANITIZERS] if sanitizes else ["cc"]


def run(cases: Sequence[Case], folder: Path, compiler: list[str]) -> tuple[list[list[bytes]], str]:
    """Each case's outputs, one for each inference, as far as the program came; and its complaint."""
    objects = compile_all(cases, folder, compiler)
    declared = "".join(f"extern const struct model {case.name}_model;\n" for case in cases)
    listed = ", ".join(f"&{case.name}_model" for case in cases)
    (folder / "models.h").write_text(
        f'#include "harness/model.h"\n{declared}#define INFERENCES {INFERENCES}\n'
        f"static const struct model *const models[] = {{{listed}}};\n"
    )
    program = folder / "models"
    subprocess.run([*compiler, f"-I{folder}", str(DRIVER), *objects, "-o", str(program)], check=True)
    fed = b"".join(array.tobytes() for case in cases for arrays in case.feeds for array in arrays)
    done = subprocess.run([str(program)], input=fed, capture_output=True, timeout=300)
    outputs, rest = [], done.stdout
    for case in cases:
        made = []
        for wanted in case.wanted:
            made.append(rest[: len(wanted)])
            rest = rest[len(wanted) :]
        outputs.append(made)
    return outputs, done.stderr.decode(errors="replace") if done.returncode else ""


def test_the_generated_c_gives_the_reference_bytes(seeds: range, tmp_path: Path, compiler: list[str]) -> None:
    cases, failures = prepare_all(seeds, load_board("host"), ("portable",))
    outputs, complaint = run(cases, tmp_path, compiler)
    assert not complaint, complaint
    assert not [*failures, *differences(cases, outputs)]


def test_weights_without_their_signs_are_noticed(tmp_path: Path, compiler: list[str]) -> None:
    """Most graphs with weights show it in their output when a constant changes."""
    cases = []
    for seed in range(40):
        case = prepare(seed, load_board("host"), ("portable",))
        name = f"model/{case.name}_weights.c"
        changed = re.sub(
            r"_weights\[\d+\] = \{[^}]*", lambda found: re.sub("-(?!128)", " ", found[0]), case.files[name]
        )
        if changed != case.files[name]:
            cases.append(replace(case, files={**case.files, name: changed}))
    outputs, complaint = run(cases, tmp_path, compiler)
    assert not complaint
    assert len(cases) > 10
    assert len(differences(cases, outputs)) > len(cases) / 2


def test_graphs_hold_every_operator_and_spread_over_int8() -> None:
    """Nothing that the registry knows is left out, and most outputs are neither saturated nor flat."""
    found: Counter[str] = Counter()
    lively = []
    for seed in range(400):
        drawn = random_graph(seed)
        found.update(set(drawn.kinds))
        if seed < 100 and all(dtype == "int8" for _, dtype in drawn.inputs):
            rng = np.random.default_rng(seed)
            arrays = [rng.integers(-128, 128, shape).astype(np.int8) for shape, _ in drawn.inputs]
            lively += [len(np.unique(y)) >= min(y.size, 64) / 4 for y in run_graph(drawn.tflite, arrays)]
    assert set(BY_TFLITE_NAME) <= set(found)
    assert min(found.values()) >= 5
    assert np.mean(lively) > 0.55
