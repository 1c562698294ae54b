"""The cures' tables of docs/quantization.md: reference model, ResNet8, two MobileNets, on CIFAR-10.

The MobileNets also with uneven channels. Those that are trained on large data sets often have them, and
lose most of their accuracy in plain int8 (M. Nagel et al., ICCV 2019, table 1); these here do not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.bench.table import BOARD, REFERENCE_MODEL, keep_between
from pipeline.config import Settings
from pipeline.cures import CureTable, cure_table, markdown_table
from pipeline.progress import Progress
from pipeline.quantize import Prepared
from pipeline.quantize.equalize import Chain, scale_channels
from pipeline.quantize.ranges import measure_ranges, observe
from pipeline.quantize.tflite_graph import TfliteGraph
from pipeline.registry import data_folder

BEGIN, END = "<!-- cures: begin -->", "<!-- cures: end -->"
# Models of a folder that take CIFAR-10's images, and what they take of a byte.
FURTHER = {"pretrainedResnet.h5": "scale=1"}
MOBILENETS = ("mobilenets/mobilenet_v1.keras", "mobilenets/mobilenet_v2.keras")
EVALUATED = 10_000
EPOCHS = 1
APART = 1_000


def bench_cures(
    models: Path | None, samples: Path, training: Path | None, write: Path | None, progress: Progress
) -> tuple[CureTable, ...]:
    """Try every recipe on the models that the project ships, and on those of `FURTHER` that the folder holds.

    `samples` are labelled test images, `training` those that calibrate and fine-tune. The tables go between
    the marks of the Markdown file `write`, all anew as each is done.
    """
    shipped = data_folder("models")
    wanted: dict[Path, str | None] = {shipped / REFERENCE_MODEL: None}
    for name, scale in FURTHER.items():
        if models and (models / name).is_file():
            wanted[models / name] = scale
    wanted |= dict.fromkeys(shipped / name for name in MOBILENETS)
    tables: list[CureTable] = []

    def add(table: CureTable) -> None:
        tables.append(table)
        if write is not None:
            text = "\n\n".join(f"### {each.model}\n\n{markdown_table(each)}" for each in tables)
            keep_between(write, BEGIN, END, text)

    for path, preprocess in wanted.items():
        settings = Settings(
            model=path, board=BOARD, samples=samples, training=training, preprocess=preprocess,
            evaluate=EVALUATED, epochs=EPOCHS, estimate_for=BOARD,
        )  # fmt: skip
        add(cure_table(settings, progress))
        if str(path.relative_to(path.parents[1])) in MOBILENETS:
            table = cure_table(settings, progress, harm=uneven)
            add(replace(table, model=f"{table.model}, channels up to {APART:,} times apart"))
    return tuple(tables)


def uneven(prepared: Prepared) -> Prepared:
    """The same function in float, with the channels between two layers up to APART times apart.

    As equalization brings them together, by the inverse of random scales under a fixed seed.
    """
    rng = np.random.default_rng(7)
    end = np.log10(APART) / 2
    graph = TfliteGraph(prepared.graph)

    def apart(_graph: TfliteGraph, chain: Chain, _peaks: np.ndarray) -> np.ndarray:
        scales: np.ndarray = 10 ** rng.uniform(-end, end, chain.channels)
        return scales

    scale_channels(graph, observe(graph, prepared.x), apart)
    measure_ranges(graph, prepared.x)
    return replace(prepared, graph=graph.pack())
