"""The cures' tables of docs/quantization.md: reference model, ResNet8, two MobileNets, on CIFAR-10."""

from __future__ import annotations

from pathlib import Path

from pipeline.bench.table import BOARD, REFERENCE_MODEL, keep_between
from pipeline.config import Settings
from pipeline.cures import CureTable, cure_table, markdown_table
from pipeline.deploy import Progress
from pipeline.registry import data_folder

BEGIN, END = "<!-- cures: begin -->", "<!-- cures: end -->"
# Models of a folder that take CIFAR-10's images, and what they take of a byte.
FURTHER = {"pretrainedResnet.h5": "scale=1"}
MOBILENETS = ("mobilenets/mobilenet_v1.keras", "mobilenets/mobilenet_v2.keras")
EVALUATED = 10_000
EPOCHS = 1


def bench_cures(
    models: Path | None, samples: Path, training: Path | None, write: Path | None, progress: Progress
) -> tuple[CureTable, ...]:
    """Try every recipe on the models that the project ships, and on those of `FURTHER` that the folder holds.

    `samples` are labelled test images, `training` those that calibrate and fine-tune. The tables go between
    the marks of the Markdown file `write`.
    """
    shipped = data_folder("models")
    wanted: dict[Path, str | None] = {shipped / REFERENCE_MODEL: None}
    for name, scale in FURTHER.items():
        if models and (models / name).is_file():
            wanted[models / name] = scale
    wanted |= dict.fromkeys(shipped / name for name in MOBILENETS)
    tables = []
    for path, preprocess in wanted.items():
        settings = Settings(
            model=path, board=BOARD, samples=samples, training=training, preprocess=preprocess,
            evaluate=EVALUATED, epochs=EPOCHS, estimate_for=BOARD,
        )  # fmt: skip
        tables.append(cure_table(settings, progress))
    if write is not None:
        text = "\n\n".join(f"### {table.model}\n\n{markdown_table(table)}" for table in tables)
        keep_between(write, BEGIN, END, text)
    return tuple(tables)
