"""The trained models of MLPerf Tiny, as Keras files and as int8 TFLite files, and samples for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.load import Preprocessing, Samples, load_model, load_samples
from pipeline.load.description import FloatModel
from pipeline.metrics import classify
from pipeline.quantize import predict_float, predict_int8, quantize_model

FILES = (
    "ad01.h5",
    "ad01_int8.tflite",
    "kws_ref_model.tflite",
    "pretrainedResnet.h5",
    "pretrainedResnet_quant.tflite",
)
RESNET = ("pretrainedResnet.h5", "pretrainedResnet_quant.tflite")


def path_of(shared: Path, file: str) -> Path:
    """Where a file lies."""
    return shared / "models" / "mlperf_tiny" / file


def samples_of(shared: Path, file: str, folder: Path) -> tuple[Path | None, str | None]:
    """A file of samples and its preprocessing; (None, None): random inputs will do."""
    if file in RESNET:
        return shared / "data" / "cifar10" / "test.npz", "scale=1"
    if file == "ad01.h5":
        found = folder / "frames.npz"
        # Like log-mel energies in dB.
        frames = np.random.default_rng(0).normal(-30, 8, (60, 640))
        np.savez(found, x=frames.astype(np.float32))
        return found, None
    return None, None


def accuracies(shared: Path) -> dict[str, float]:
    """Of ResNet8 on all 10,000 test images of CIFAR-10: the float model, its int8 form, the int8 file.

    Of int8 by TFLite's optimized kernels, which differ from the reference by units and take a hundredth
    of its time.
    """
    float_model = load_model(path_of(shared, RESNET[0]))
    assert isinstance(float_model, FloatModel)
    raw = {spec.name: Preprocessing() for spec in float_model.inputs}
    data = shared / "data" / "cifar10"
    test = load_samples(float_model, data / "test.npz", declared=raw)
    training = load_samples(float_model, data / "train.npz", declared=raw, limit=200)
    quantized = quantize_model(float_model, training)
    given = path_of(shared, RESNET[1]).read_bytes()
    return {
        "float": _accuracy(test, predict_float(float_model, test.x)),
        RESNET[0]: _accuracy(test, predict_int8(quantized.tflite, test.x, reference=False)[0]),
        RESNET[1]: _accuracy(test, predict_int8(given, test.x, reference=False)[0]),
    }


def _accuracy(samples: Samples, scores: np.ndarray) -> float:
    assert samples.labels is not None
    classes = scores.reshape(len(scores), -1)
    return classify("", classes.argmax(axis=1), samples.labels, None, classes.shape[1]).accuracy
