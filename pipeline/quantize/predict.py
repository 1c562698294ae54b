"""Run the float model and the int8 model on the host."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.arithmetic import quantize_real
from pipeline.errors import ModelNotSupported
from pipeline.load import FloatModel
from pipeline.load.frameworks import captured_stderr, import_tensorflow
from pipeline.load.frozen import cannot_run
from pipeline.load.keras_model import has_fixed_batch
from pipeline.load.signature import unique_names
from pipeline.progress import Progress
from pipeline.tensors import Values, arrays_of, bundled

FLOAT_BATCH = 250


def predict_float(model: FloatModel, x: Values, progress: Progress | None = None) -> Values:
    """float32 (N, *output_shape) of the float model for float32 (N, *input_shape)."""
    found = run_float(model.live, x, progress=progress)
    return bundled(tuple(spec.name for spec in model.outputs), found)


def run_float(live: Any, x: Values, *, progress: Progress | None = None) -> tuple[np.ndarray, ...]:
    """The outputs of `live(x, training=False)`, in batches, or sample by sample where its batch is fixed.

    Raises ModelNotSupported E_MODEL_RUN.
    """
    tensorflow = import_tensorflow()
    compiled = tensorflow.function(lambda *batch: call_live(live, batch), reduce_retracing=True)
    step = 1 if has_fixed_batch(live) else FLOAT_BATCH
    results = []
    with captured_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras on inputs that it takes in a list or under a name
        for start in range(0, len(x), step):
            given = [tensorflow.constant(array[start : start + step]) for array in arrays_of(x)]
            try:
                found = compiled(*given)
            except Exception as error:  # a layer's own code may raise anything
                raise cannot_run(error) from error
            results.append([np.asarray(output, np.float32) for output in found])
            if progress:
                progress("running the float model", min(start + step, len(x)), len(x))
    return tuple(np.concatenate(batches) for batches in zip(*results, strict=True))


def call_live(live: Any, tensors: Sequence[Any]) -> list[Any]:
    """The outputs of a float model, in a list; its inputs in the model's order."""
    result = live(tensors[0] if len(tensors) == 1 else list(tensors), training=False)
    return list(import_tensorflow().nest.flatten(result))


def predict_int8(
    tflite: bytes, x: Values, *, reference: bool = True, progress: Progress | None = None
) -> tuple[Values, Values]:
    """The int8 outputs (N, *output_shape) and their real values (float32) for float32 (N, *input_shape).

    With `reference` the kernels are TFLite's reference ones, which the target reproduces bit for bit;
    without it the fast ones, which differ from them by units.
    """
    interpreter = make_interpreter(tflite, reference=reference)
    results = interpreter.get_output_details()
    outputs = tuple(np.empty((len(x), *result["shape"][1:]), result["dtype"]) for result in results)
    for index in give_samples(interpreter, x):
        interpreter.invoke()
        for result, output in zip(results, outputs, strict=True):
            output[index] = interpreter.get_tensor(result["index"])[0]
        if progress and (index % 50 == 49 or index + 1 == len(x)):
            progress("running the int8 model", index + 1, len(x))
    names = tuple(unique_names(result["name"] for result in results))
    real = tuple(dequantize(output, result) for output, result in zip(outputs, results, strict=True))
    return bundled(names, outputs), bundled(names, real)


def give_samples(interpreter: Any, x: Values) -> Iterator[int]:
    """Set the interpreter's inputs to each sample in turn, quantized as they ask; yields its number."""
    details = interpreter.get_input_details()
    columns = [quantize_input(array, detail) for array, detail in zip(arrays_of(x), details, strict=True)]
    for index, sample in enumerate(zip(*columns, strict=True)):
        interpreter.reset_all_variables()  # states of recurrent layers
        for detail, values in zip(details, sample, strict=True):
            interpreter.set_tensor(detail["index"], values[None])
        yield index


def make_interpreter(tflite: bytes, *, reference: bool, keep_all: bool = False) -> Any:
    """An allocated TFLite interpreter on one thread; `keep_all` keeps every activation readable.

    Without `reference` the kernels are the fast ones; with `keep_all` none of a delegate, which hides what
    lies between its own.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    fast = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if keep_all else OpResolverType.AUTO
    kind = OpResolverType.BUILTIN_REF if reference else fast
    try:
        with captured_stderr():
            interpreter = Interpreter(
                model_content=tflite,
                experimental_op_resolver_type=kind,
                experimental_preserve_all_tensors=keep_all,
                num_threads=1,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelNotSupported(
            f"TFLite itself cannot run the model: {str(error).strip()}",
            code="E_MODEL_DAMAGED",
            hint="convert it again with a TensorFlow of this year or last year's",
        ) from error
    return interpreter


def quantize_input(x: np.ndarray, detail: Any) -> Iterable[np.ndarray]:
    """Each sample as the model's input holds it: round half away from zero, saturate."""
    dtype = detail["dtype"]
    scale, zero_point = detail["quantization"]
    for sample in x:
        if np.issubdtype(dtype, np.integer):
            yield quantize_real(sample, scale, zero_point, np.dtype(dtype).name)
        else:
            yield sample.astype(dtype)


def dequantize(integers: np.ndarray, detail: Any) -> np.ndarray:
    """float32 of the same shape: scale * (integer - zero point)."""
    scale, zero_point = detail["quantization"]
    if not scale:
        return integers.astype(np.float32)
    real: np.ndarray = (integers.astype(np.int32) - zero_point) * np.float32(scale)
    return real
