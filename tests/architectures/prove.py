"""Carry one model through the pipeline, and hold it against the reference on the host and in a simulator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.config import Settings
from pipeline.deploy import inspect_loaded, load_quantized, run_image
from pipeline.reference import reference_outputs
from tests.architectures.shipped import path_of, samples_of
from tests.architectures.zoo import make

BOARD = "nucleo_l4r5zi"
RUNNERS = ("host", "qemu")
INFERENCES = 2


@dataclass(frozen=True, slots=True)
class Proof:
    """What a model needs, and whether it computed the reference's integers."""

    name: str
    macc: int
    instructions: int
    """Of one inference, counted by QEMU."""
    arena_bytes: int
    flash_bytes: int
    elements: int
    """Output values that were compared with the reference, by each runner."""
    differing: tuple[int, ...]
    """Of them, those that differ: host, simulator."""
    reference: np.ndarray
    """(samples, bytes) uint8: the reference's outputs."""
    unmatched: tuple[str, ...]
    """Layers that could not be held against float."""

    @property
    def exact(self) -> bool:
        return self.elements > 0 and not any(self.differing)


def prove_architecture(name: str, folder: Path) -> Proof:
    """Make a model of the zoo with its samples in `folder`, and prove it."""
    network, samples = make(name)
    model, data = folder / f"{name}.keras", folder / f"{name}.npz"
    network.save(model)
    named = samples if len(samples) > 1 else {"x": next(iter(samples.values()))}
    np.savez(data, **named)
    return prove(model, folder, data)


def prove_shipped(shared: Path, file: str, folder: Path) -> Proof:
    """Prove a file of MLPerf Tiny."""
    samples, preprocess = samples_of(shared, file, folder)
    return replace(prove(path_of(shared, file), folder, samples, preprocess), name=file)


def prove(model: Path, folder: Path, samples: Path | None, preprocess: str | None = None) -> Proof:
    """Quantize (unless it is done), build and run a model; `folder` takes what is built."""
    settings = Settings(
        model=model, board=BOARD, samples=samples, preprocess=preprocess, inferences=INFERENCES, timed_runs=1
    )
    loaded = load_quantized(settings, _quiet)
    runs = [
        run_image(settings.model_copy(update={"runner": runner, "output": folder / runner}), _quiet, loaded)
        for runner in RUNNERS
    ]
    last = runs[-1]
    inspection = inspect_loaded(loaded, _quiet).inspection
    expected = reference_outputs(loaded.quantized.tflite, last.inputs)
    return Proof(
        name=model.stem,
        macc=last.generated.program.macs,
        instructions=last.measurement.total.median,
        arena_bytes=last.measurement.arena_bytes,
        flash_bytes=last.firmware.flash_bytes,
        elements=expected.size,
        differing=tuple(int((run.measurement.outputs != expected).sum()) for run in runs),
        reference=expected,
        unmatched=inspection.unmatched if inspection else (),
    )


def _quiet(stage: str, done: int, total: int) -> None:
    pass
