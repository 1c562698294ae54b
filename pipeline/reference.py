"""What TFLite's reference kernels make of an input: the integers that every target is held against."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline.load.signature import unique_names
from pipeline.progress import Progress
from pipeline.quantize.predict import make_interpreter, quantize_input
from pipeline.tensors import Values, arrays_of

STAGE = "reference kernels of TFLite"


def quantize_inputs(tflite: bytes, x: Values) -> np.ndarray:
    """(N, bytes of all inputs) uint8 of real inputs (N, ...), as the model holds them, in its order."""
    details = make_interpreter(tflite, reference=True).get_input_details()
    columns = [
        np.stack([_bytes(sample) for sample in quantize_input(array, detail)])
        for array, detail in zip(arrays_of(x), details, strict=True)
    ]
    return np.concatenate(columns, axis=1)


def reference_outputs(tflite: bytes, inputs: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """(N, bytes of all outputs) uint8 for inputs (N, bytes of all inputs) uint8, by BUILTIN_REF."""
    interpreter = make_interpreter(tflite, reference=True)
    results = interpreter.get_output_details()
    outputs = []
    for index, row in enumerate(inputs):
        if progress:
            progress(STAGE, index, len(inputs))
        _give(interpreter, row)
        interpreter.invoke()
        outputs.append(
            np.concatenate([_bytes(interpreter.get_tensor(result["index"])) for result in results])
        )
    if progress:
        progress(STAGE, len(inputs), len(inputs))
    return np.stack(outputs)


def reference_layers(tflite: bytes, sample: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of the file after one input, by the names that `read_tflite` gives them."""
    interpreter = make_interpreter(tflite, reference=True, keep_all=True)
    _give(interpreter, sample)
    interpreter.invoke()
    details = interpreter.get_tensor_details()
    names = unique_names(detail["name"] or f"tensor_{i}" for i, detail in enumerate(details))
    found = {}
    for name, detail in zip(names, details, strict=True):
        try:
            found[name] = interpreter.get_tensor(detail["index"])
        except ValueError:  # a temporary of the interpreter's own, without data
            continue
    return found


def _give(interpreter: Any, row: np.ndarray) -> None:
    """Set the inputs from their bytes, one after the other; states of recurrent layers begin anew."""
    interpreter.reset_all_variables()
    start = 0
    for detail in interpreter.get_input_details():
        end = start + math.prod(detail["shape"]) * np.dtype(detail["dtype"]).itemsize
        content = row[start:end].copy().view(detail["dtype"])
        interpreter.set_tensor(detail["index"], content.reshape(detail["shape"]))
        start = end


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
