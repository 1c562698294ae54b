"""Run the float model and the int8 model on the host."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from pipeline.arithmetic import quantize_real
from pipeline.errors import ModelNotSupported
from pipeline.load import FloatModel, Progress
from pipeline.load.frameworks import captured_stderr, import_tensorflow
from pipeline.load.keras_model import has_fixed_batch

FLOAT_BATCH = 250


def predict_float(model: FloatModel, x: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """float32 (N, *output_shape) of the float model for float32 (N, *input_shape)."""
    return run_float(model.live, x, progress=progress)


def run_float(live: Any, x: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
    """Run `live(x, training=False)` in batches, or sample by sample where its batch is fixed."""
    tensorflow = import_tensorflow()
    compiled = tensorflow.function(lambda batch: live(batch, training=False), reduce_retracing=True)
    step = 1 if has_fixed_batch(live) else FLOAT_BATCH
    results = []
    with captured_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras on inputs that it takes in a list or under a name
        for start in range(0, len(x), step):
            results.append(np.asarray(compiled(tensorflow.constant(x[start : start + step])), np.float32))
            if progress:
                progress("running the float model", min(start + step, len(x)), len(x))
    return np.concatenate(results)


def predict_int8(
    tflite: bytes, x: np.ndarray, *, reference: bool = True, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The int8 outputs (N, *output_shape) and their real values (float32) for float32 (N, *input_shape).

    With `reference` the kernels are TFLite's reference ones, which the target reproduces bit for bit;
    without it the fast ones, which differ from them by units.
    """
    interpreter = make_interpreter(tflite, reference=reference)
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = np.empty((len(x), *result["shape"][1:]), result["dtype"])
    for index, integers in enumerate(quantize_input(x, source)):
        interpreter.set_tensor(source["index"], integers[None])
        interpreter.invoke()
        outputs[index] = interpreter.get_tensor(result["index"])[0]
        if progress and (index % 50 == 49 or index + 1 == len(x)):
            progress("running the int8 model", index + 1, len(x))
    return outputs, dequantize(outputs, result)


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
