"""Cures side by side: what each gains in accuracy and costs on a board, measured on one model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pipeline.config import Settings
from pipeline.deploy import layers_of, model_path, predict_file, samples_of, try_recipes
from pipeline.errors import ModelNotSupported, UsageError
from pipeline.load import FloatModel, Samples, TfliteModel, load_model
from pipeline.progress import Progress
from pipeline.quantize import (
    Check,
    Cured,
    Fidelity,
    FloatRun,
    Prepared,
    Recipe,
    candidates,
    compare_recipes,
    prepare_model,
    run_float_graph,
)
from pipeline.report import words

FEWER_SAMPLES = (10, 50)
UNFOLDED = "minmax, batch norm not folded"
HEADER = (
    "recipe", "calibrated with", "measured on", "SQNR dB", "same class", "accuracy", "points lost",
    "weights B", "RAM B", "predicted cycles", "s to apply",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CureRow:
    """One way to quantize a model: how near to float it stays, and what its image is predicted to take."""

    recipe: str
    calibration_samples: int
    fidelity: Fidelity
    weights_bytes: int
    ram_bytes: int
    cycles: int | None
    """None where no single figure is given for the board."""
    seconds: float
    is_best: bool


@dataclass(frozen=True, slots=True)
class CureTable:
    """All of one model."""

    model: str
    board: str
    samples: int
    origin: str
    float_accuracy: float | None
    rows: tuple[CureRow, ...]
    best: str
    """The recipe that `auto` takes."""
    refused: str = ""
    """Why there is no row of int16, where there is none."""


def cure_table(
    settings: Settings, progress: Progress, *, harm: Callable[[Prepared], Prepared] | None = None
) -> CureTable:
    """Try every recipe on a Keras model; with `harm` on what that makes of its float graph, without training.

    Raises UsageError E_RECIPE for a model that is int8 already, and as `quantize_model`.
    """
    model = load_model(model_path(settings))
    if isinstance(model, TfliteModel):
        raise UsageError(
            "the model is a .tflite file, which is quantized already: no cure can be applied",
            code="E_RECIPE",
            where=model.path,
            hint="give the Keras model that it was made of",
        )
    samples = samples_of(model, settings, progress)
    count = settings.calibration_samples
    prepared = prepare_model(model, samples, count=count, progress=progress)
    if harm:
        prepared = replace(harm(prepared), training=None)
    recipes = candidates(prepared, settings.epochs, count)
    if len(recipes) == 1:
        raise UsageError(
            "the model was trained for int8 and has its own ranges: there is nothing to compare",
            code="E_RECIPE",
            where=model.path,
            hint="quantize it without --cures: the ranges of its fake-quant nodes are kept",
        )
    run = run_float_graph(prepared, samples.take(settings.evaluate))

    check = layers_of(model.name)
    fewer = [Recipe(samples=few) for few in FEWER_SAMPLES if few < len(prepared.x)]
    coarse = compare_recipes(prepared, run, fewer, check=check, progress=progress)
    tried = try_recipes(prepared, run, recipes, settings, progress)
    wide, refused = _wide(prepared, run, count, check)
    rows = [
        _row(one, prepared, settings, is_best=one is tried.best)
        for one in (*coarse, *tried.plain, *tried.mixed, *wide)
    ]
    return CureTable(
        model=model.name,
        board=settings.board,
        samples=len(run.samples),
        origin=samples.origin,
        float_accuracy=run.accuracy,
        rows=(*(() if harm else _unfolded(model, samples, run, settings, prepared)), *rows),
        best=str(tried.best.recipe),
        refused=refused,
    )


def _wide(prepared: Prepared, run: FloatRun, samples: int, check: Check) -> tuple[tuple[Cured, ...], str]:
    """The model in int16; or, where TFLite or a kernel has no such form, why not."""
    recipes = [
        Recipe(samples=samples, activations="int16", correct_bias=corrected) for corrected in (False, True)
    ]
    try:
        return compare_recipes(prepared, run, recipes, check=check), ""
    except ModelNotSupported as error:
        return (), f"int16 cannot be tried: {'; '.join([error.problem, *error.details])}"


def _unfolded(
    model: FloatModel, samples: Samples, run: FloatRun, settings: Settings, prepared: Prepared
) -> Iterator[CureRow]:
    """What the converter makes of a model by itself, where batch norm was folded for it."""
    if not prepared.rewrites:
        return
    alone = prepare_model(model, samples, count=settings.calibration_samples, fold=False)
    (tried,) = compare_recipes(alone, run, [Recipe(samples=settings.calibration_samples)])
    yield replace(_row(tried, alone, settings, is_best=False), recipe=UNFOLDED)


def _row(tried: Cured, prepared: Prepared, settings: Settings, *, is_best: bool) -> CureRow:
    predicted = predict_file(tried.tflite, prepared.model.name, settings)
    return CureRow(
        recipe=str(tried.recipe),
        calibration_samples=min(tried.recipe.samples, len(prepared.x)),
        fidelity=tried.fidelity,
        weights_bytes=predicted.weights_bytes,
        ram_bytes=predicted.ram_bytes,
        cycles=predicted.cycles.cycles if predicted.cycles else None,
        seconds=tried.seconds,
        is_best=is_best,
    )


def row_words(row: CureRow) -> tuple[str, ...]:
    """The row's cells, as `HEADER` names them."""
    held = row.fidelity
    lost = None
    if held.float_accuracy is not None and held.accuracy is not None:
        lost = 100 * (held.float_accuracy - held.accuracy)
    return (
        row.recipe,
        words.count(row.calibration_samples),
        words.count(held.samples),
        f"{held.sqnr_db:.1f}",
        "–" if held.same_class is None else f"{100 * held.same_class:.2f} %",
        "–" if held.accuracy is None else f"{held.accuracy:.4f}",
        "–" if lost is None else f"{lost:+.2f}".replace("-", "−"),
        words.count(row.weights_bytes),
        words.count(row.ram_bytes),
        words.count(row.cycles),
        f"{row.seconds:.1f}",
    )


def table_words(table: CureTable) -> str:
    """What the table was measured on, in a sentence or two."""
    accuracy = ""
    if table.float_accuracy is not None:
        accuracy = f"; the float model's accuracy on them is {table.float_accuracy:.4f}"
    return (
        f"{table.model}, on {words.plural(table.samples, 'sample')} ({table.origin}){accuracy}. "
        f"Sizes and cycles are predicted for {table.board}."
        f"{f' {table.refused}.' if table.refused else ''}"
    )


def markdown_table(table: CureTable) -> str:
    """The table as Markdown; the recipe that `auto` takes is bold."""
    lines = [
        table_words(table),
        "",
        f"| {' | '.join(HEADER)} |",
        f"|---|{'---:|' * (len(HEADER) - 1)}",
    ]
    for row in table.rows:
        name, *rest = row_words(row)
        cells = [f"**{name}**" if row.is_best else name, *rest]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
