"""TFLite files of several operators in a row, built with the schema's object API and nothing else."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.property.tflite_builder import TYPES, VERSIONS

RELU = 1


class Chain:
    """A file under construction: tensors are added by name, operators in order."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes, self.model.buffers = [], [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str = "int8",
        scale: float | list[float] | None = None,
        zero_point: int = 0,
        data: np.ndarray | None = None,
        signature: list[int] | None = None,
        axis: int = 0,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), TYPES[dtype]
        tensor.shapeSignature = signature
        if scale is not None:
            scales = scale if isinstance(scale, list) else [scale]
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(np.float32(s)) for s in scales]
            tensor.quantization.zeroPoint = [zero_point] * len(scales)
            tensor.quantization.quantizedDimension = axis
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(
        self,
        kind: str,
        inputs: list[int],
        output: int | list[int],
        options: Any = None,
        custom: str = "",
    ) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.customCode = custom or None
        code.version = VERSIONS.get(kind, 3)
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs = inputs
        operator.outputs = output if isinstance(output, list) else [output]
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = options
        self.graph.operators.append(operator)

    def signature(self, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        """Name the file's inputs and outputs."""
        signature = schema.SignatureDefT()
        signature.signatureKey = b"serving_default"
        for side, named in (("inputs", inputs), ("outputs", outputs)):
            setattr(signature, side, [])
            for name, index in named.items():
                entry = schema.TensorMapT()
                entry.name, entry.tensorIndex = name.encode(), index
                getattr(signature, side).append(entry)
        self.model.signatureDefs = [signature]

    def finish(self, inputs: list[int], outputs: list[int]) -> bytes:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def convolution_options(stride: int = 1, same: bool = True, activation: int = 0) -> Any:
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = stride
    options.dilationHFactor = options.dilationWFactor = 1
    options.padding = schema.Padding.SAME if same else schema.Padding.VALID
    options.fusedActivationFunction = activation
    return options


def pool_options(window: int, stride: int, same: bool = False) -> Any:
    options = schema.Pool2DOptionsT()
    options.filterHeight = options.filterWidth = window
    options.strideH = options.strideW = stride
    options.padding = schema.Padding.SAME if same else schema.Padding.VALID
    return options


def padded_convolution(
    rng: np.random.Generator, pads: list[list[int]], stride: int, same: bool, value: int | None
) -> bytes:
    """input 6x7x2 -> PAD (PADV2 where a value is given) -> CONV_2D 3x3."""
    chain = Chain()
    shape = (1, 6, 7, 2)
    padded = tuple(size + sum(pair) for size, pair in zip(shape, pads, strict=True))
    x = chain.tensor("x", shape, scale=0.05, zero_point=-11)
    p = chain.tensor("pads", (4, 2), "int32", data=np.array(pads))
    y = chain.tensor("net/pad/Pad", padded, scale=0.05, zero_point=-11)
    if value is None:
        chain.operator("PAD", [x, p], y, schema.PadOptionsT())
    else:
        v = chain.tensor("value", (1,), scale=0.05, zero_point=-11, data=np.array([value]))
        chain.operator("PADV2", [x, p, v], y, schema.PadV2OptionsT())
    channels = padded[3]
    w = chain.tensor("w", (3, 3, 3, channels), scale=0.01, data=rng.integers(-127, 128, (3, 3, 3, channels)))
    b = chain.tensor("b", (3,), "int32", scale=0.0005, data=rng.integers(-500, 500, 3))
    size = [-(-s // stride) if same else (s - 3) // stride + 1 for s in padded[1:3]]
    z = chain.tensor("net/conv/Conv2D", (1, *size, 3), scale=0.04, zero_point=7)
    chain.operator("CONV_2D", [y, w, b], z, convolution_options(stride, same))
    return chain.finish([x], [z])


def clamped_convolution(
    rng: np.random.Generator,
    size: int,
    channels: tuple[int, int],
    clamps: tuple[str, ...],
    pool: tuple[int, int] | None,
    zero_point: int = -5,
    tap: bool = False,
) -> bytes:
    """input -> CONV_2D 3x3 -> each of `clamps` -> MAX_POOL_2D (window, stride) | nothing.

    `tap` makes the convolution's own output the file's output as well as feeding the rest through
    an ADD, so that nothing may be fused into it.
    """
    chain = Chain()
    cin, cout = channels
    x = chain.tensor("x", (1, size, size, cin), scale=0.05, zero_point=3)
    w = chain.tensor(
        "w", (cout, 3, 3, cin), scale=list(rng.uniform(0.002, 0.02, cout)),
        data=rng.integers(-127, 128, (cout, 3, 3, cin)),
    )  # fmt: skip
    scales = np.array(chain.graph.tensors[w].quantization.scale) * np.float32(0.05)
    b = chain.tensor("b", (cout,), "int32", list(map(float, scales)), data=rng.integers(-900, 900, cout))
    shape: tuple[int, ...] = (1, size, size, cout)
    last = first = chain.tensor("net/conv/BiasAdd", shape, scale=0.04, zero_point=zero_point)
    chain.operator("CONV_2D", [x, w, b], last, convolution_options())
    for index, clamp in enumerate(clamps):
        result = chain.tensor(f"net/clamp_{index}/Op", shape, scale=0.04, zero_point=zero_point)
        operands = [last]
        if clamp in {"MAXIMUM", "MINIMUM"}:
            bound = rng.integers(-100, 100, cout if index % 2 == 0 else 1)
            operands.append(
                chain.tensor(f"bound_{index}", bound.shape, scale=0.04, zero_point=zero_point, data=bound)
            )
        options = schema.MaximumMinimumOptionsT() if clamp in {"MAXIMUM", "MINIMUM"} else None
        chain.operator(clamp, operands, result, options)
        last = result
    if pool is not None:
        window, stride = pool
        out = (size - window) // stride + 1
        result = chain.tensor("net/pool/MaxPool", (1, out, out, cout), scale=0.04, zero_point=zero_point)
        chain.operator("MAX_POOL_2D", [last], result, pool_options(window, stride))
        last = result
    elif tap:
        result = chain.tensor("net/sum/add", shape, scale=0.08, zero_point=zero_point)
        chain.operator("ADD", [first, last], result, schema.AddOptionsT())
        last = result
    return chain.finish([x], [last])


def normalized_convolution(
    rng: np.random.Generator, size: int, channels: tuple[int, int], gamma: np.ndarray, pool: tuple[int, int]
) -> bytes:
    """input -> CONV_2D 3x3 with ReLU -> MUL (gamma) -> ADD -> MAX_POOL_2D (window, stride).

    What the converter makes of a batch norm behind an activation.
    """
    chain = Chain()
    cin, cout = channels
    x = chain.tensor("x", (1, size, size, cin), scale=0.05, zero_point=3)
    w = chain.tensor("w", (cout, 3, 3, cin), scale=0.01, data=rng.integers(-127, 128, (cout, 3, 3, cin)))
    b = chain.tensor("b", (cout,), "int32", 0.0005, data=rng.integers(-900, 900, cout))
    shape = (1, size, size, cout)
    y = chain.tensor("net/conv/Relu", shape, scale=0.03, zero_point=-128)
    chain.operator("CONV_2D", [x, w, b], y, convolution_options(activation=RELU))
    scale = float(np.abs(gamma).max()) / 127 or 1.0
    factors = chain.tensor("gamma", (cout,), scale=scale, data=np.round(gamma / scale))
    product = chain.tensor("net/norm/mul", shape, scale=0.04, zero_point=-20)
    chain.operator("MUL", [y, factors], product, schema.MulOptionsT())
    betas = chain.tensor("beta", (cout,), scale=0.02, data=rng.integers(-127, 128, cout))
    total = chain.tensor("net/norm/add", shape, scale=0.05, zero_point=-30)
    chain.operator("ADD", [product, betas], total, schema.AddOptionsT())
    window, stride = pool
    side = (size - window) // stride + 1
    pooled = chain.tensor("net/pool/MaxPool", (1, side, side, cout), scale=0.05, zero_point=-30)
    chain.operator("MAX_POOL_2D", [total], pooled, pool_options(window, stride))
    return chain.finish([x], [pooled])
