"""The table of docs/benchmarks.md: what the generated code costs, on models that anyone can run again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.boards import load_board
from pipeline.config import Settings
from pipeline.deploy import (
    ESTIMATED_BOARD,
    Executed,
    Progress,
    choose_runner,
    estimate_run,
    load_quantized,
    run_image,
    write_file,
)
from pipeline.errors import CheckFailed, UsageError
from pipeline.reference import reference_outputs
from pipeline.timing import Estimate, timing_model

BOARD = "qemu_mps2_an386"
REFERENCE_MODEL = Path("models/cifar10_cnn/cifar10_cnn.keras")
# Calibrated with what the project ships, so that the weights and the counts are the same everywhere.
REFERENCE_SAMPLES = REFERENCE_MODEL.with_name("cifar10_cnn_samples.npz")
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
SAMPLES = 2


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One model on one board: an inference's instructions, and the sizes of its image."""

    model: str
    macc: int
    instructions: int
    estimated_cycles: int | None
    """Of ESTIMATED_BOARD; None where no plugin could be built."""
    estimated_seconds: float | None
    arena_bytes: int
    stack_bytes: int
    code_bytes: int
    """Flash besides weights: kernels, model code, harness, startup, C library."""
    weights_bytes: int
    flash_bytes: int
    differing_elements: int
    """Of the outputs, against TFLite's reference kernels."""

    @property
    def instructions_per_macc(self) -> float:
        return self.instructions / self.macc


def bench_models(folder: Path | None, write: Path | None, progress: Progress) -> tuple[BenchRow, ...]:
    """Measure the reference model and every .tflite of a folder; keep the table in a Markdown file."""
    if folder is not None and not folder.is_dir():
        raise UsageError("there is no such folder", code="E_MODEL_MISSING", where=folder)
    models = sorted(folder.glob("*.tflite")) if folder else []
    rows = []
    for path in [REFERENCE_MODEL, *models]:
        progress(f"bench {path.stem}", 0, 1)
        rows.append(_bench(path, progress))
        progress(f"bench {path.stem}", 1, 1)
    if write is not None:
        _keep(write, markdown_table(tuple(rows)))
    wrong = [row.model for row in rows if row.differing_elements]
    if wrong:
        raise CheckFailed(f"outputs differ from the reference: {', '.join(wrong)}", code="E_OUTPUTS_DIFFER")
    return tuple(rows)


def _bench(path: Path, progress: Progress) -> BenchRow:
    samples = REFERENCE_SAMPLES if path == REFERENCE_MODEL else None
    settings = Settings(
        model=path, board=BOARD, samples=samples, inferences=SAMPLES, timed_runs=1,
        output=Path("build") / "bench" / path.stem,
    )  # fmt: skip
    loaded = load_quantized(settings, progress)
    executed = run_image(settings, progress, loaded)
    runner, _ = choose_runner(settings, executed.board)
    model = timing_model(load_board(ESTIMATED_BOARD))
    assert settings.output is not None
    estimate, _ = estimate_run(executed, runner, model, settings.output, progress)
    return _row(path.stem, executed, estimate, loaded.quantized.tflite)


def _row(name: str, executed: Executed, estimate: Estimate | None, tflite: bytes) -> BenchRow:
    firmware, measurement = executed.firmware, executed.measurement
    expected = reference_outputs(tflite, executed.inputs)
    return BenchRow(
        model=name,
        macc=executed.generated.program.macs,
        instructions=measurement.total.median,
        estimated_cycles=estimate.total.cycles if estimate else None,
        estimated_seconds=estimate.seconds if estimate else None,
        arena_bytes=measurement.arena_bytes,
        stack_bytes=measurement.stack_bytes,
        code_bytes=firmware.code_bytes,
        weights_bytes=firmware.weights_bytes,
        flash_bytes=firmware.flash_bytes,
        differing_elements=int((expected != measurement.outputs).sum()),
    )


def markdown_table(rows: tuple[BenchRow, ...]) -> str:
    """The rows as Markdown."""
    lines = [
        "| model | MACC | instructions | per MACC | estimated cycles | per MACC | ms "
        "| arena B | stack B | code B | weights B | flash B | exact |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    lines += [
        f"| {row.model} | {row.macc:,} | {row.instructions:,} | {row.instructions_per_macc:.2f} "
        f"| {_cycles(row)} | {row.arena_bytes:,} | {row.stack_bytes:,} | {row.code_bytes:,} "
        f"| {row.weights_bytes:,} | {row.flash_bytes:,} | {'no' if row.differing_elements else 'yes'} |"
        for row in rows
    ]
    model = timing_model(load_board(ESTIMATED_BOARD))
    return "\n".join(
        [
            f"Instructions per inference in {load_board(BOARD).title}; estimated cycles of {model.title} at "
            f"{model.words} (docs/timing.md).",
            "",
            *lines,
        ]
    )


def _cycles(row: BenchRow) -> str:
    """Cycles, cycles per MACC, milliseconds."""
    if row.estimated_cycles is None or row.estimated_seconds is None:
        return "– | – | –"
    return (
        f"{row.estimated_cycles:,} | {row.estimated_cycles / row.macc:.2f} "
        f"| {1000 * row.estimated_seconds:,.1f}"
    )


def _keep(path: Path, table: str) -> None:
    """Put the table between the marks of a Markdown file."""
    text = path.read_text(encoding="utf-8") if path.is_file() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    if BEGIN not in text or END not in text:
        raise UsageError(
            "the file has no marks for the table",
            code="E_OUTPUT",
            where=path,
            hint=f"put {BEGIN} and {END} in it",
        )
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    write_file(path, f"{head}{BEGIN}\n{table}\n{END}{tail}".encode())
