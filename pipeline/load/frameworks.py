"""Bring up TensorFlow without its chatter."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from pipeline.errors import BuildFailed


@contextmanager
def captured_stderr() -> Iterator[Callable[[], str]]:
    """Hold back what C++ code writes to file descriptor 2; yields a function that returns it.

    TensorFlow's converter and runtime log there directly, past Python's `sys.stderr`. What Python
    writes to `sys.stderr` meanwhile, a progress bar say, still arrives.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, AttributeError):  # a process without stderr
        yield lambda: ""
        return
    with tempfile.TemporaryFile() as held, _python_stderr_to(saved):
        os.dup2(held.fileno(), 2)

        def read() -> str:
            held.seek(0)
            return held.read().decode(errors="replace")

        try:
            yield read
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextmanager
def _python_stderr_to(descriptor: int) -> Iterator[None]:
    """Let `sys.stderr`, where it is file descriptor 2, write to this descriptor instead."""
    before = sys.stderr
    try:
        same = before.fileno() == 2
    except (OSError, AttributeError, ValueError):  # replaced by something without a descriptor
        same = False
    if not same:
        yield
        return
    with open(
        descriptor, "w", buffering=1, encoding=before.encoding, errors="replace", closefd=False
    ) as file:
        sys.stderr = file
        try:
            yield
        finally:
            sys.stderr = before


def import_tensorflow() -> Any:
    """TensorFlow, quiet; and Keras 3, imported later, runs on it."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ["KERAS_BACKEND"] = "tensorflow"
        try:
            with captured_stderr():
                import tensorflow
        except ImportError as error:
            raise BuildFailed(
                f"TensorFlow cannot be imported ({error})",
                code="E_TENSORFLOW",
                hint="reading and quantizing Keras models needs it: pip install -e . ; "
                "an int8 .tflite file needs no TensorFlow",
            ) from error
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        logging.getLogger("absl").setLevel(logging.ERROR)
        return tensorflow
    return sys.modules["tensorflow"]


def import_keras() -> ModuleType:
    """Keras 3 on TensorFlow."""
    import_tensorflow()
    import keras

    return keras


def import_legacy_keras() -> Any:
    """Keras 2, which the package tf_keras carries on."""
    import_tensorflow()
    with captured_stderr():
        import tf_keras

    return tf_keras
