"""What TFLite's reference kernels make of an input: the integers that every target is held against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.quantize.predict import make_interpreter, quantize_input
from pipeline.read_tflite import unique_names

Progress = Callable[[str, int, int], None]
STAGE = "reference kernels of TFLite"


def quantize_inputs(tflite: bytes, x: np.ndarray) -> np.ndarray:
    """Raw bytes (N, bytes of the input) uint8 of real inputs (N, ...), as the model's input holds them."""
    detail = make_interpreter(tflite, reference=True).get_input_details()[0]
    return np.stack([_bytes(sample) for sample in quantize_input(x, detail)])


def reference_outputs(tflite: bytes, inputs: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """(N, bytes of the output) uint8 for inputs (N, bytes of the input) uint8, by BUILTIN_REF."""
    interpreter = make_interpreter(tflite, reference=True)
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for index, row in enumerate(inputs):
        if progress:
            progress(STAGE, index, len(inputs))
        interpreter.set_tensor(source["index"], row.view(source["dtype"]).reshape(source["shape"]))
        interpreter.invoke()
        outputs.append(_bytes(interpreter.get_tensor(result["index"])))
    if progress:
        progress(STAGE, len(inputs), len(inputs))
    return np.stack(outputs)


def reference_layers(tflite: bytes, sample: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of the file after one input, by the names that `read_tflite` gives them."""
    interpreter = make_interpreter(tflite, reference=True, keep_all=True)
    source = interpreter.get_input_details()[0]
    interpreter.set_tensor(source["index"], sample.view(source["dtype"]).reshape(source["shape"]))
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


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
