"""CIFAR-10: the folder cifar-10-batches-py, and where Keras keeps its download.

Source of the format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.load.description import Raw
from pipeline.load.frameworks import import_keras
from pipeline.progress import Progress

ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CONNECT_TIMEOUT_S = 4.0
STALL_TIMEOUT_S = 20.0
"""Without a byte received, the download is given up."""
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
CALIBRATION_IMAGES = 500
"""Of the training images, the first of the first batch; they are in random order already."""


def find_cifar10(*, download: bool = True, progress: Progress | None = None) -> Raw | None:
    """The test images of `keras.datasets.cifar10` from its cache, else downloaded; None where neither works.

    Without a network this answers within CONNECT_TIMEOUT_S, silently.
    """
    folder = _cached()
    if folder is None and download and _reachable():
        if progress:
            progress("downloading CIFAR-10 (170 MB)", 0, 1)
        _download()
        folder = _cached()
    if folder is None:
        return None
    return read_cifar10_folder(folder, "CIFAR-10 (keras.datasets.cifar10)")


def is_cifar10_folder(folder: Path) -> bool:
    """Whether this is cifar-10-batches-py, or a folder that holds it."""
    return _batches(folder) is not None


def read_cifar10_folder(folder: Path, origin: str) -> Raw:
    """The 10,000 test images with labels, and training images to calibrate with where they are there."""
    batches = _batches(folder)
    if batches is None:
        raise UsageError("the folder holds no test_batch", code="E_SAMPLES_FORMAT", where=folder)
    x, labels = _read_batch(batches / "test_batch")
    training = batches / "data_batch_1"
    calibration = _read_batch(training)[0][:CALIBRATION_IMAGES] if training.is_file() else None
    return Raw(x, labels, CLASSES, origin, str(batches), calibration=calibration)


def read_cifar10_training(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """All 50,000 training images, uint8 (N, 32, 32, 3), and their labels, int64 (N,)."""
    batches = _batches(folder) or folder
    parts = [_read_batch(batches / f"data_batch_{number}") for number in range(1, 6)]
    return np.concatenate([x for x, _ in parts]), np.concatenate([labels for _, labels in parts])


def _batches(folder: Path) -> Path | None:
    for candidate in (folder, folder / "cifar-10-batches-py"):
        if (candidate / "test_batch").is_file():
            return candidate
    return None


class _PlainUnpickler(pickle.Unpickler):
    """Rebuilds NumPy arrays and nothing else: a batch file cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }:
            # What np.ndarray.__reduce__ names; reached through an array, since NumPy moved the module.
            return np.zeros(1).__reduce__()[0]
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if (module, name) == ("_codecs", "encode"):
            return lambda text, _encoding: text.encode("latin1")
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 32, 32, 3) and int64 (N,)"""
    try:
        with path.open("rb") as file:
            content = _PlainUnpickler(file, encoding="bytes").load()
        x = np.asarray(content[b"data"], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels = np.asarray(content[b"labels"], np.int64)
    except Exception as error:  # a damaged pickle fails in any way
        raise UsageError(
            f"the batch file cannot be read ({error})",
            code="E_SAMPLES_DAMAGED",
            where=path,
            hint="unpack cifar-10-python.tar.gz again",
        ) from error
    return np.ascontiguousarray(x), labels


# --- Keras's cache and download ------------------------------------------------------------------


def _cached() -> Path | None:
    """The folder that keras.datasets.cifar10 unpacked, of Keras 3 or of Keras 2."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    for name in ("cifar-10-batches-py-target", "cifar-10-batches-py"):
        found = _batches(home / "datasets" / name)
        if found is not None:
            return found
    return None


def _reachable() -> bool:
    """Whether the download answers; asked in a thread, since a name lookup has no time-out of its own."""
    answers: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(ORIGIN, method="HEAD")
        with contextlib.suppress(OSError, ValueError):
            urllib.request.urlopen(request, timeout=CONNECT_TIMEOUT_S).close()  # noqa: S310
            answers.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_TIMEOUT_S)
    return bool(answers)


def _download() -> None:
    """Let Keras fetch, check and unpack it; a failure leaves things as they were."""
    keras = import_keras()
    quiet = contextlib.redirect_stdout(io.StringIO())
    # urllib, tarfile and Keras raise their own kinds
    with _socket_timeout(STALL_TIMEOUT_S), quiet, contextlib.suppress(Exception):
        keras.datasets.cifar10.load_data()


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
