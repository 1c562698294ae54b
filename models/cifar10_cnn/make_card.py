"""Measure the reference model and write its card, README.md: every figure in it comes from here.

    python models/cifar10_cnn/make_card.py --test test.npz --training train.npz

Runs the float model and two int8 models (calibrated with training images, and with the offline set) on
all test images. int8 runs on TFLite's reference kernels, which the targets reproduce bit for bit.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from pipeline.load import FloatModel, Samples, load_model, load_samples  # noqa: E402
from pipeline.metrics import Agreement, Classification, classify, compare_predictions  # noqa: E402
from pipeline.quantize import predict_float, predict_int8, quantize_model  # noqa: E402

CALIBRATION_SAMPLES = 500


@dataclass(frozen=True)
class Int8:
    """One int8 model and what it does on the test images."""

    calibration: str
    samples: int
    figures: Classification
    agreement: Agreement
    bytes: int


def show(what: str, done: int, total: int) -> None:
    """One line that rewrites itself; the end of each piece of work stays."""
    print(f"\r{what}: {done} of {total}", end="\n" if done == total else "", flush=True)


def measure(model: FloatModel, calibration: Samples, test: Samples, expected: np.ndarray) -> Int8:
    """Quantize with these samples and run the result on all test images."""
    quantized = quantize_model(model, calibration, progress=show)
    assert quantized.calibration is not None
    assert test.labels is not None
    _, real = predict_int8(quantized.tflite, test.x, progress=show)
    return Int8(
        calibration=quantized.calibration.origin,
        samples=quantized.calibration.samples,
        figures=classify("int8", real.argmax(axis=1), test.labels, test.classes, real.shape[1]),
        agreement=compare_predictions(expected, real),
        bytes=len(quantized.tflite),
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=HERE / "cifar10_cnn.keras")
    parser.add_argument("--test", type=Path, help="test images with labels (default: CIFAR-10 from Keras)")
    parser.add_argument("--training", type=Path, help="training images, where --test has none")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "README.md")
    arguments = parser.parse_args()

    model = load_model(arguments.model)
    if not isinstance(model, FloatModel):
        parser.error(f"{arguments.model} is no float model")
    test = load_samples(model, arguments.test)
    if test.labels is None:
        parser.error("the test images have no labels, and accuracy needs them")
    offline = load_samples(model, arguments.model.with_name(f"{arguments.model.stem}_samples.npz"))
    real = test
    if arguments.training:
        real = load_samples(model, arguments.training, limit=CALIBRATION_SAMPLES)
    real = replace(real, origin="CIFAR-10 training images")

    expected = predict_float(model, test.x, progress=show)
    figures = classify("float", expected.argmax(axis=1), test.labels, test.classes, expected.shape[1])
    quantized = [measure(model, samples, test, expected) for samples in (real, offline)]

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Markdown)
    )
    text = environment.get_template("README.md.j2").render(
        model=model,
        parameters=sum(layer.parameters for layer in model.layers),
        keras_bytes=arguments.model.stat().st_size,
        offline_count=len(offline),
        offline_bytes=arguments.model.with_name(f"{arguments.model.stem}_samples.npz").stat().st_size,
        training=json.loads((HERE / "training.json").read_text()),
        test_count=len(test),
        float_figures=figures,
        quantized=quantized,
    )
    temporary = arguments.output.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(arguments.output)
    print(f"float {figures.accuracy:.4f}, int8 " + ", ".join(f"{q.figures.accuracy:.4f}" for q in quantized))
    return 0


if __name__ == "__main__":
    sys.exit(main())
