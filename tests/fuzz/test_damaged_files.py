"""Damaged model files: a clear error each, in bounded time and memory, and no other exception ever."""

from __future__ import annotations

import io
import multiprocessing
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import limits
from pipeline.errors import ModelNotSupported, PipelineError
from pipeline.load.models import load_model
from pipeline.lower import lower_program
from pipeline.passes import apply_passes
from pipeline.plan import plan_schedule
from pipeline.read_tflite import read_tflite
from pipeline.schedule import schedule_layers
from tests.fuzz.damage import damaged
from tests.property.cases import Dice
from tests.tflite_graphs import random_graph

ROOT = Path(__file__).parents[2]
SECONDS, BYTES = 20, 6 << 30
"""For one file."""
LATEST = 300


def in_a_child(work: Callable[[], str], seconds: int) -> str:
    """What the work said, or how its process ended: it has BYTES, and so many seconds to read a model."""
    receiving, sending = multiprocessing.Pipe(duplex=False)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limits.READING_SECONDS = seconds
        limits.end_this_process_when_late()
        sending.send(work())

    child = multiprocessing.get_context("fork").Process(target=limited)
    child.start()
    sending.close()
    try:
        said = receiving.recv() if receiving.poll(LATEST) else ""
    except EOFError:
        said = ""
    child.join(10)
    if child.exitcode is None:
        child.kill()
    # The command says of this that the file is damaged.
    return "E_MODEL_DAMAGED" if child.exitcode == -signal.SIGALRM else said or f"ended with {child.exitcode}"


def outcome(carry: Callable[[Path], object], path: Path) -> str:
    """The code of the refusal, `carried`, or the exception that should not have been."""
    try:
        carry(path)
    except PipelineError as error:
        return error.code
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "carried"


def wrong(said: str) -> bool:
    return not said.startswith("E_") and said != "carried"


def carry_tflite(path: Path) -> None:
    graph, _ = apply_passes(read_tflite(load_model(path).content, "damaged"))
    schedule = schedule_layers(graph)
    lower_program(schedule, plan_schedule(schedule))


def test_damaged_tflite_files_are_refused(seeds: range, tmp_path: Path) -> None:
    """Two files for each of the graphs, read and lowered."""
    files = [random_graph(seed).tflite for seed in seeds[:20]]

    def work() -> str:
        found = []
        for seed in range(2 * seeds.start, 2 * seeds.stop):
            path = tmp_path / "damaged.tflite"
            path.write_bytes(damaged(Dice(seed, 8), files[seed % len(files)]))
            begun = time.monotonic()
            said = outcome(carry_tflite, path)
            if wrong(said) or time.monotonic() - begun > SECONDS:
                found.append(f"seed {seed}: {said} after {time.monotonic() - begun:.0f} s")
        return "\n".join(found) or "all refused or carried"

    assert in_a_child(work, SECONDS) == "all refused or carried"


def test_the_command_refuses_a_damaged_file_with_its_exit_code(tmp_path: Path) -> None:
    content = bytearray(random_graph(3).tflite)
    (tmp_path / "cut.tflite").write_bytes(content[: len(content) // 2])
    content[4:8] = b"TFL9"
    (tmp_path / "other.tflite").write_bytes(content)
    (tmp_path / "empty.keras").write_bytes(b"")
    for name in ("cut.tflite", "other.tflite", "empty.keras"):
        command = [sys.executable, "-m", "pipeline", "analyze", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
        assert done.returncode == ModelNotSupported.exit_code, done.stderr
        assert "E_MODEL_DAMAGED" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def keras_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small model in each of Keras's forms, by suffix."""
    import keras

    folder = tmp_path_factory.mktemp("keras")
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(3, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    found = {}
    for suffix in (".keras", ".h5"):
        model.save(folder / f"model{suffix}")
        found[suffix] = (folder / f"model{suffix}").read_bytes()
    return found


def damaged_archive(dice: Dice, content: bytes) -> bytes:
    """A .keras file in which one member is damaged, under a valid checksum; or any of its bytes are."""
    if dice.chance(0.4):
        return damaged(dice, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    hurt = dice.pick(sorted(members))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, held in members.items():
            archive.writestr(name, damaged(dice, held) if name == hurt else held)
    return made.getvalue()


@pytest.mark.tensorflow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_damaged_keras_files_are_refused(
    keras_seeds: range, suffix: str, keras_files: dict[str, bytes], tmp_path: Path
) -> None:
    """Each file in a process of its own, as the command has it: HDF5 may end the process."""
    found = []
    for seed in keras_seeds:
        dice = Dice(seed, 8)
        hurt = damaged_archive if suffix == ".keras" else damaged
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(hurt(dice, keras_files[suffix]))
        said = in_a_child(lambda path=path: outcome(load_model, path), SECONDS)
        if wrong(said):
            found.append(f"seed {seed}: {said}")
    assert not found
