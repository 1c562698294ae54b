"""The table of docs/benchmarks.md: what the generated code costs, on models that anyone can run again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.boards import load_board
from pipeline.compare import Prediction
from pipeline.config import Settings
from pipeline.demand import predict
from pipeline.deploy import (
    Executed,
    choose_runner,
    estimate_run,
    load_quantized,
    run_image,
)
from pipeline.errors import CheckFailed, UsageError
from pipeline.files import write_file
from pipeline.progress import Progress
from pipeline.reference import reference_outputs
from pipeline.registry import data_folder
from pipeline.schedule import Aim
from pipeline.timing import Estimate, timing_model

BOARD = "nucleo_l4r5zi"
AIMS: tuple[Aim, ...] = ("time", "balanced", "ram", "flash")
# Of the folder models/; calibrated with what the project ships, so that weights and counts are the same
# everywhere.
REFERENCE_MODEL = "cifar10_cnn/cifar10_cnn.keras"
REFERENCE_SAMPLES = "cifar10_cnn/cifar10_cnn_samples.npz"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
SAMPLES = 2
# Models whose layers are shown one by one, by how their names begin.
LAYERED = ("cifar10_cnn", "pretrainedResnet")
COLUMNS = (
    "model", "aim", "instructions", "estimated cycles", "core", "fetch stalls", "data stalls", "per MACC",
    "ms", "predicted", "arena B", "weights in RAM B", "code in RAM B", "RAM B", "code B", "weights B",
    "flash B", "exact",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BenchLayer:
    """One layer of one image."""

    name: str
    operator: str
    kernel: str
    variant: str
    step: int
    macc: int
    scratch_bytes: int
    predicted_cycles: int | None
    estimated_cycles: int | None


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One model built for one aim: an inference's cost, and the sizes of its image."""

    model: str
    aim: str
    macc: int
    instructions: int
    estimated_cycles: int | None
    """None where the timing core could not be built."""
    zero_wait_cycles: int | None
    fetch_stall_cycles: int | None
    data_stall_cycles: int | None
    estimated_seconds: float | None
    predicted_cycles: int | None
    """Before anything was built, by the kernels' cost formulas."""
    arena_bytes: int
    """Activations and scratch."""
    weights_in_ram_bytes: int
    code_in_ram_bytes: int
    stack_bytes: int
    ram_bytes: int
    """All that the image claims, the reserved stack and the harness's copy of the input among it."""
    code_bytes: int
    """Flash besides weights: kernels, model code, harness, startup, C library."""
    weights_bytes: int
    flash_bytes: int
    differing_elements: int
    """Of the outputs, against TFLite's reference kernels."""
    layers: tuple[BenchLayer, ...]


def bench_models(folder: Path | None, write: Path | None, progress: Progress) -> tuple[BenchRow, ...]:
    """Measure the reference model and every .tflite of a folder, for each aim; keep the table in a file.

    The reference model is the checkout's own, from whatever folder this is called. BuildFailed where an
    installation has none.
    """
    if folder is not None and not folder.is_dir():
        raise UsageError("there is no such folder", code="E_MODEL_MISSING", where=folder)
    shipped = data_folder("models")
    models: dict[Path, Path | None] = {shipped / REFERENCE_MODEL: shipped / REFERENCE_SAMPLES}
    models |= dict.fromkeys(sorted(folder.glob("*.tflite")) if folder else [])
    rows = []
    for path, samples in models.items():
        for done, aim in enumerate(AIMS):
            progress(f"bench {path.stem}", done, len(AIMS))
            rows.append(_bench(path, samples, aim, progress))
        progress(f"bench {path.stem}", len(AIMS), len(AIMS))
    if write is not None:
        keep_between(write, BEGIN, END, markdown_table(tuple(rows)))
    wrong = [f"{row.model} ({row.aim})" for row in rows if row.differing_elements]
    if wrong:
        raise CheckFailed(f"outputs differ from the reference: {', '.join(wrong)}", code="E_OUTPUTS_DIFFER")
    return tuple(rows)


def _bench(path: Path, samples: Path | None, aim: Aim, progress: Progress) -> BenchRow:
    settings = Settings(
        model=path, board=BOARD, samples=samples, optimize=aim, inferences=SAMPLES, timed_runs=1,
        output=Path("build") / "bench" / f"{path.stem}_{aim}",
    )  # fmt: skip
    loaded = load_quantized(settings, progress)
    executed = run_image(settings, progress, loaded)
    runner, _ = choose_runner(settings, executed.board)
    model = timing_model(load_board(BOARD))
    assert settings.output is not None
    estimate, _ = estimate_run(executed, runner, model, settings.output, progress)
    prediction = predict(executed.generated.program, executed.generated.schedule, executed.board, model, aim)
    return _row(path.stem, aim, executed, estimate, prediction, loaded.quantized.tflite)


def _row(
    name: str, aim: Aim, executed: Executed, estimate: Estimate | None, prediction: Prediction, tflite: bytes
) -> BenchRow:
    firmware, measurement = executed.firmware, executed.measurement
    expected = reference_outputs(tflite, executed.inputs)
    total = estimate.total if estimate else None
    return BenchRow(
        model=name,
        aim=aim,
        macc=executed.generated.program.macs,
        instructions=measurement.total.median,
        estimated_cycles=total.cycles if total else None,
        zero_wait_cycles=total.zero_wait_cycles if total else None,
        fetch_stall_cycles=total.fetch_stall_cycles if total else None,
        data_stall_cycles=total.data_stall_cycles if total else None,
        estimated_seconds=estimate.seconds if estimate else None,
        predicted_cycles=prediction.cycles.cycles if prediction.cycles else None,
        arena_bytes=measurement.arena_bytes,
        weights_in_ram_bytes=firmware.ram_parts.get("weights in RAM", 0),
        code_in_ram_bytes=firmware.ram_parts.get("code in RAM", 0),
        stack_bytes=measurement.stack_bytes,
        ram_bytes=firmware.ram_bytes,
        code_bytes=firmware.code_bytes,
        weights_bytes=firmware.weights_bytes,
        flash_bytes=firmware.flash_bytes,
        differing_elements=int((expected != measurement.outputs).sum()),
        layers=_layers(executed, estimate, prediction),
    )


def _layers(executed: Executed, estimate: Estimate | None, prediction: Prediction) -> tuple[BenchLayer, ...]:
    return tuple(
        BenchLayer(
            name=layer.name,
            operator=layer.operator,
            kernel=f"{layer.library}/{layer.kernel}",
            variant=layer.variant,
            step=call.index,
            macc=layer.macs,
            scratch_bytes=layer.scratch_bytes,
            predicted_cycles=prediction.cycles.layers[layer.index].cycles if prediction.cycles else None,
            estimated_cycles=estimate.layers[layer.index].cycles if estimate else None,
        )
        for call in executed.generated.program.calls
        for layer in call.layers
    )


def markdown_table(rows: tuple[BenchRow, ...]) -> str:
    """The rows as Markdown, then the layers of some models."""
    model = timing_model(load_board(BOARD))
    lines = [
        f"Of the image for {model.title} on the virtual board: instructions executed in one inference, and "
        f"estimated cycles at {model.words} (docs/timing.md). RAM is arena (activations and scratch), "
        "weights and code that are copied there, and the rest: stack, harness, its copy of the input. Code "
        "is all flash besides weights: kernels, model code, harness, startup, HAL, C library.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|---|---|{'---:|' * (len(COLUMNS) - 3)}---|",
        *map(_line, rows),
    ]
    for row in rows:
        if row.aim in {"time", "ram"} and row.model.startswith(LAYERED):
            lines += ["", *_layer_lines(row)]
    return "\n".join(lines)


def _line(row: BenchRow) -> str:
    cells = (
        row.model, row.aim, f"{row.instructions:,}", _count(row.estimated_cycles),
        _count(row.zero_wait_cycles), _count(row.fetch_stall_cycles), _count(row.data_stall_cycles),
        _ratio(row.estimated_cycles, row.macc),
        "–" if row.estimated_seconds is None else f"{1000 * row.estimated_seconds:,.2f}",
        _count(row.predicted_cycles), f"{row.arena_bytes:,}", f"{row.weights_in_ram_bytes:,}",
        f"{row.code_in_ram_bytes:,}", f"{row.ram_bytes:,}", f"{row.code_bytes:,}", f"{row.weights_bytes:,}",
        f"{row.flash_bytes:,}", "no" if row.differing_elements else "yes",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _layer_lines(row: BenchRow) -> list[str]:
    """A table of the layers of one image; those of one step run strip by strip."""
    return [
        f"Layers of {row.model} built for {row.aim}:",
        "",
        "| step | layer | kernel | way | MACC | scratch B | predicted cycles | estimated cycles | per MACC |",
        "|---:|---|---|---|---:|---:|---:|---:|---:|",
        *(
            f"| {layer.step} | {layer.name} | {layer.kernel} | {layer.variant} | {layer.macc:,} "
            f"| {layer.scratch_bytes:,} | {_count(layer.predicted_cycles)} "
            f"| {_count(layer.estimated_cycles)} | {_ratio(layer.estimated_cycles, layer.macc)} |"
            for layer in row.layers
        ),
    ]


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _ratio(value: int | None, base: int) -> str:
    return "–" if value is None or not base else f"{value / base:.2f}"


def keep_between(path: Path, begin: str, end: str, table: str) -> None:
    """Put a table between the marks of a Markdown file; raises UsageError E_OUTPUT where it has none."""
    text = path.read_text(encoding="utf-8") if path.is_file() else f"# Benchmarks\n\n{begin}\n{end}\n"
    if begin not in text or end not in text:
        raise UsageError(
            "the file has no marks for the table",
            code="E_OUTPUT",
            where=path,
            hint=f"put {begin} and {end} in it",
        )
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    write_file(path, f"{head}{begin}\n{table}\n{end}{tail}".encode())
