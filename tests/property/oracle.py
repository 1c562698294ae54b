"""The authority on every integer: TFLite's reference kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def run_graph(model: bytes, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """All outputs of a TFLite file for these inputs, by BUILTIN_REF.

    With all tensors kept: else TFLite lets an ADD write over an input that other views of it still need.
    """
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        num_threads=1,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def run_reference(model: bytes, arrays: list[np.ndarray]) -> np.ndarray:
    """The output of a TFLite file for these inputs, by BUILTIN_REF."""
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
