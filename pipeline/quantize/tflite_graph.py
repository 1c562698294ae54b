"""A TFLite graph that can be changed: the float one that stands between Keras's model and the int8 file.

TFLite's converter goes the same way: float graph, ranges measured on samples and written beside the
tensors, integers made of both. Stopping in the middle lets a cure change ranges or constants, whichever
framework the model came from, and leaves the making of integers to the converter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers.builder import Builder

from pipeline.quantize.predict import dequantize, give_samples, make_interpreter
from pipeline.tensors import Values

DTYPES: dict[int, np.dtype[Any]] = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.INT64: np.dtype(np.int64),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.BOOL: np.dtype(np.bool_),
}
Operator = schema.BuiltinOperator
Activation = schema.ActivationFunctionType
OPTIONS = {
    Operator.ADD: "AddOptions",
    Operator.CONCATENATION: "ConcatenationOptions",
    Operator.EXP: "ExpOptions",
    Operator.MAXIMUM: "MaximumMinimumOptions",
    Operator.MEAN: "ReducerOptions",
    Operator.MINIMUM: "MaximumMinimumOptions",
    Operator.MUL: "MulOptions",
    Operator.SUB: "SubOptions",
}
"""How the schema calls the options of an operator that is added here, where it has any."""
CONVERTING = frozenset({Operator.QUANTIZE, Operator.DEQUANTIZE})
SQUASHING = frozenset({Operator.SOFTMAX, Operator.LOGISTIC, Operator.TANH})


class TfliteGraph:
    """One subgraph of a TFLite file, in execution order; tensors go by their index."""

    def __init__(self, content: bytes) -> None:
        self.model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
        (self.subgraph,) = self.model.subgraphs
        self.kinds = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in self.model.operatorCodes]

    def pack(self) -> bytes:
        builder = Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    @property
    def operators(self) -> list[Any]:
        return list(self.subgraph.operators)

    def kind(self, operator: Any) -> int:
        """A value of `Operator`."""
        return int(self.kinds[operator.opcodeIndex])

    def name(self, tensor: int) -> str:
        """As the int8 file names it too."""
        return str(self.subgraph.tensors[tensor].name.decode(errors="replace"))

    def shape(self, tensor: int) -> tuple[int, ...]:
        held = self.subgraph.tensors[tensor].shape
        return () if held is None else tuple(int(size) for size in held)

    def readers(self, tensor: int) -> list[Any]:
        return [op for op in self.subgraph.operators if tensor in {int(index) for index in op.inputs}]

    def only_reader(self, tensor: int) -> Any | None:
        """The one operator that reads the tensor; None where there are others, or the caller is one."""
        readers = self.readers(tensor)
        is_result = tensor in {int(index) for index in self.subgraph.outputs}
        return readers[0] if len(readers) == 1 and not is_result else None

    def made(self) -> list[int]:
        """The graph's inputs and every operator's outputs, in order."""
        inputs = [int(index) for index in self.subgraph.inputs]
        outputs = [int(index) for operator in self.subgraph.operators for index in operator.outputs]
        return list(dict.fromkeys(inputs + outputs))

    def activations(self) -> list[int]:
        """Those of `made` that hold float32."""
        return [index for index in self.made() if self.is_float(index)]

    def is_float(self, tensor: int) -> bool:
        return self._type(tensor) == schema.TensorType.FLOAT32

    def is_integer(self, tensor: int) -> bool:
        """Whether it holds int8, uint8 or int16: values that stand for real ones."""
        kinds = (schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16)
        return self._type(tensor) in kinds

    @property
    def has_own_ranges(self) -> bool:
        """Whether the model said how to quantize it: its fake-quant nodes have become integers already."""
        return any(self._type(index) == schema.TensorType.INT8 for index in self.made())

    def dtype(self, tensor: int) -> str:
        """NumPy's name of its type; empty for one that no operator here works on."""
        held = DTYPES.get(self._type(tensor))
        return held.name if held else ""

    def _type(self, tensor: int) -> int:
        return int(self.subgraph.tensors[tensor].type)

    # --- constants ---------------------------------------------------------------------------------

    def constant(self, tensor: int) -> np.ndarray | None:
        """What the tensor holds from the start; None of an activation."""
        if tensor < 0 or self._type(tensor) not in DTYPES:
            return None
        data = self.model.buffers[self.subgraph.tensors[tensor].buffer].data
        if data is None or not len(data):
            return None
        values = np.frombuffer(bytes(np.asarray(data, np.uint8)), DTYPES[self._type(tensor)])
        shaped: np.ndarray = values.reshape(self.shape(tensor))
        return shaped

    def real_constant(self, tensor: int) -> np.ndarray:
        """float64: a constant's real values, whether it is float or quantized."""
        values = self.constant(tensor)
        assert values is not None
        held = self.subgraph.tensors[tensor].quantization
        if values.dtype.kind == "f" or held is None or held.scale is None:
            return values.astype(np.float64)
        shape = [1] * values.ndim
        shape[int(held.quantizedDimension)] = -1
        zero_point = np.asarray(held.zeroPoint, np.float64).reshape(shape)
        real: np.ndarray = (values - zero_point) * np.asarray(held.scale, np.float64).reshape(shape)
        return real

    def set_constant(self, tensor: int, values: np.ndarray) -> None:
        """Give the tensor a constant of its own: buffers may be shared, and other tensors keep theirs."""
        self.subgraph.tensors[tensor].buffer = self._add_buffer(values.astype(DTYPES[self._type(tensor)]))

    def add_constant(self, name: str, values: np.ndarray) -> int:
        """The index of a new float32 constant."""
        index = self.add_tensor(name, values.shape)
        self.set_constant(index, values)
        return index

    def add_input(self, name: str, shape: tuple[int, ...]) -> int:
        """The index of a new float32 input, the last one."""
        index = self.add_tensor(name, shape)
        self.subgraph.inputs = [*(int(tensor) for tensor in self.subgraph.inputs), index]
        return index

    def add_tensor(self, name: str, shape: tuple[int, ...]) -> int:
        """The index of a new float32 tensor, which nothing makes yet."""
        tensor: Any = schema.TensorT()
        tensor.name, tensor.type = name.encode(), schema.TensorType.FLOAT32
        tensor.shape = np.array(shape, np.int32)
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def _add_buffer(self, values: np.ndarray) -> int:
        buffer: Any = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    # --- operators ---------------------------------------------------------------------------------

    def insert_behind(self, operator: Any, kind: int, constant: int) -> Any:
        """Put `kind(output, constant)` between the operator's output and all that read it; the new operator.

        The new operator takes over the output tensor and its name, and the operator writes a new one.
        """
        behind = int(operator.outputs[0])
        before: Any = schema.TensorT()
        held = self.subgraph.tensors[behind]
        before.name = held.name + b"/unclamped"
        before.type, before.shape, before.shapeSignature = held.type, held.shape, held.shapeSignature
        before.quantization = held.quantization
        self.subgraph.tensors.append(before)
        operator.outputs = np.array([len(self.subgraph.tensors) - 1], np.int32)
        added = self.make_operator(kind, (int(operator.outputs[0]), constant), behind)
        self.replace(operator, [operator, added])
        return added

    def make_operator(self, kind: int, inputs: Sequence[int], output: int, **options: Any) -> Any:
        """An operator that stands nowhere yet; options that are not given are the schema's own."""
        added: Any = schema.OperatorT()
        added.opcodeIndex = self.opcode(kind)
        added.inputs, added.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        if name := OPTIONS.get(kind):
            added.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            added.builtinOptions = getattr(schema, f"{name}T")()
        for key, value in options.items():
            setattr(added.builtinOptions, key, value)
        return added

    def replace(self, operator: Any, others: Sequence[Any]) -> None:
        """Put others in the operator's place, in this order."""
        place = next(i for i, one in enumerate(self.subgraph.operators) if one is operator)
        self.subgraph.operators[place : place + 1] = others

    def opcode(self, kind: int, version: int = 1) -> int:
        """The index of the operator's code, of this version at least; it is added where it is not there."""
        if kind not in self.kinds:
            code: Any = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), version
            self.model.operatorCodes.append(code)
            self.kinds.append(kind)
        index = self.kinds.index(kind)
        held = self.model.operatorCodes[index]
        held.version = max(held.version, version)
        return index

    # --- ranges ------------------------------------------------------------------------------------

    def range(self, tensor: int) -> tuple[float, float] | None:
        """(low, high) of an activation; None where nothing has been measured."""
        held = self.subgraph.tensors[tensor].quantization
        if held is None or held.min is None or not len(held.min):
            return None
        return float(held.min[0]), float(held.max[0])

    def reach(self, tensor: int) -> tuple[float, float] | None:
        """The smallest and largest real value that an int8 or int16 tensor can hold; None of another."""
        held, kind = self.subgraph.tensors[tensor].quantization, self._type(tensor)
        if (
            kind not in {schema.TensorType.INT8, schema.TensorType.INT16}
            or held is None
            or held.scale is None
        ):
            return None
        scale, zero_point, bounds = float(held.scale[0]), int(held.zeroPoint[0]), np.iinfo(DTYPES[kind])
        return scale * (int(bounds.min) - zero_point), scale * (int(bounds.max) - zero_point)

    def set_range(self, tensor: int, low: float, high: float) -> None:
        """What the converter makes the tensor's scale and zero point of."""
        held = self.subgraph.tensors[tensor].quantization or schema.QuantizationParametersT()
        held.min, held.max = np.array([low], np.float32), np.array([high], np.float32)
        self.subgraph.tensors[tensor].quantization = held


def watched_outputs(graph: TfliteGraph) -> tuple[int, ...]:
    """The tensors whose values are compared: each output, or what a last squashing operator reads."""
    makers = {int(op.outputs[0]): op for op in graph.operators}

    def watched(tensor: int) -> int:
        for kinds in (CONVERTING, SQUASHING):  # a border of another type comes last
            maker = makers.get(tensor)
            if maker is not None and graph.kind(maker) in kinds:
                tensor = int(maker.inputs[0])
        return tensor

    return tuple(watched(int(output)) for output in graph.subgraph.outputs)


def operator_name(kind: int) -> str:
    """As the schema writes it, such as CONV_2D."""
    return next((name for name, value in vars(Operator).items() if value == kind), f"operator {kind}")


def run_graph(content: bytes, x: Values, tensors: Sequence[int]) -> Iterator[dict[int, np.ndarray]]:
    """For each sample of float32 (N, *input_shape): what the named tensors hold, as real values.

    Of a float file or an int8 one, with a batch of one, by TFLite's fast kernels without delegates.
    """
    interpreter = make_interpreter(content, reference=False, keep_all=True)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    for _ in give_samples(interpreter, x):
        interpreter.invoke()
        yield {tensor: dequantize(interpreter.get_tensor(tensor), details[tensor]) for tensor in tensors}
