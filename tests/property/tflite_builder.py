"""Build TFLite files of one operator, with the schema's object API and nothing of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


@dataclass(frozen=True)
class Spec:
    """A tensor of the file: constant where it has data."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float | tuple[float, ...] | None = None
    zero_point: int = 0
    axis: int = 0
    data: np.ndarray | None = None


TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int4": schema.TensorType.INT4,
    "int16": schema.TensorType.INT16,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
}


# Where the newest version that the reference kernels know is below 3, or an older one does.
VERSIONS = {
    **dict.fromkeys(
        ("RESHAPE", "RELU_N1_TO_1", "HARD_SWISH", "PRELU", "EXPAND_DIMS", "SQUEEZE", "DEPTH_TO_SPACE"), 1
    ),
    "SHAPE": 1,
    **dict.fromkeys(
        (
            "RELU",
            "RELU6",
            "PAD",
            "PADV2",
            "LOGISTIC",
            "TANH",
            "LEAKY_RELU",
            "EXP",
            "GELU",
            "SUM",
            "RSQRT",
            "SQRT",
            "LOG",
        ),
        2,
    ),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "SPACE_TO_DEPTH"), 2),
}


def build(
    operator: str, options: Any, inputs: list[Spec | None], output: Spec, options_type: str | None = None
) -> bytes:
    """The file's bytes. Inputs without data become the model's inputs, in order."""
    model = schema.ModelT()
    model.version = 3
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = VERSIONS.get(operator, 3)
    model.operatorCodes = [code]
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.name = b"main"
    graph.tensors, graph.inputs, graph.outputs = [], [], []

    def add(spec: Spec, name: str) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(spec.shape), TYPES[spec.dtype]
        if spec.scale is not None:
            scales = spec.scale if isinstance(spec.scale, tuple) else (spec.scale,)
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(np.float32(s)) for s in scales]
            tensor.quantization.zeroPoint = [spec.zero_point] * len(scales)
            tensor.quantization.quantizedDimension = spec.axis
        tensor.buffer = 0
        if spec.data is not None:
            assert spec.data.dtype.name == ("int8" if spec.dtype == "int4" else spec.dtype)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(spec.data).tobytes(), np.uint8)
            if spec.dtype == "int4":
                nibbles = np.append(buffer.data & 15, np.zeros(buffer.data.size % 2, np.uint8))
                buffer.data = nibbles[0::2] | nibbles[1::2] << 4
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    call = schema.OperatorT()
    call.opcodeIndex = 0
    call.inputs = []
    for i, spec in enumerate(inputs):
        index = -1 if spec is None else add(spec, f"input_{i}")
        call.inputs.append(index)
        if spec is not None and spec.data is None:
            graph.inputs.append(index)
    call.outputs = [add(output, "output")]
    graph.outputs = list(call.outputs)
    if options is not None:
        name = options_type or type(options).__name__.removesuffix("T")
        call.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        call.builtinOptions = options
    graph.operators = [call]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
