"""Read a TFLite file as a graph."""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.errors import ModelNotSupported
from pipeline.graph import Graph, Node
from pipeline.load.signature import signature_names, tensor_name, unique_names
from pipeline.operators import BY_TFLITE_NAME, REFUSED, REFUSED_INT16, evaluate, is_of_int16, operator_of
from pipeline.operators.base import Part
from pipeline.tensors import Quantization, Tensor

FILE_IDENTIFIER = b"TFL3"

OPERATOR_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
# What Keras 3 calls its operations, where TensorFlow has a word with a capital.
KERAS_OPERATION = re.compile(
    r"/((convolution|depthwise|conv_transpose)\d*(/(ExpandDims|Squeeze)\w*)?|(concat|stack|split|sub)\d*)$"
)
# What a parser without checks of its own raises on a damaged file.
MALFORMED = (struct.error, LookupError, ValueError, TypeError, AttributeError, MemoryError, ArithmeticError)
LARGEST_TENSOR = 2**27
"""Elements: more than any microcontroller addresses, and few enough to reckon with."""
ACTIVATIONS = ("int8", "int16")
TYPE_NAMES = {code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)}


def read_tflite(content: bytes, name: str) -> Graph:
    """Parse a TFLite file of int8 or int16 activations; all in it that cannot be carried is listed at once.

    `name` becomes the graph's name. Raises ModelNotSupported: E_MODEL_DAMAGED, E_MODEL_NOT_INT8,
    E_MODEL_INPUTS, E_SHAPE_DYNAMIC or E_OP_UNSUPPORTED.
    """
    subgraph, model = _parse(content, name)
    tensor_names = unique_names(
        tensor_name(tensor.name) or f"tensor_{i}" for i, tensor in enumerate(subgraph.tensors)
    )
    _refuse_border(subgraph, tensor_names, name)
    try:
        tensors = [
            _read_tensor(tensor, tensor_name, model)
            for tensor, tensor_name in zip(subgraph.tensors, tensor_names, strict=True)
        ]
        kinds = [_kind(operator, model) for operator in subgraph.operators]
        tensors = _without_groups(subgraph, kinds, _fold_shapes(subgraph, kinds, tensors))
    except MALFORMED as error:
        raise _damaged(name, error) from error
    if not any(tensor.dtype in ACTIVATIONS and not tensor.is_constant for tensor in tensors):
        dtypes = ", ".join(sorted({tensor.dtype for tensor in tensors if not tensor.is_constant}))
        raise ModelNotSupported(
            f"the TFLite file holds no int8 or int16 activations (its tensors are {dtypes})",
            code="E_MODEL_NOT_INT8",
            where=name,
            hint="give the Keras model instead, and it will be quantized; or convert it to full int8 "
            "(inference_input_type = inference_output_type = tf.int8 with a representative data set)",
        )
    fixed = [tensors[i].name for i in subgraph.outputs if tensors[i].is_constant]
    if fixed:
        raise ModelNotSupported(
            f"the model has outputs that depend on no input: {', '.join(fixed)}",
            code="E_MODEL_INPUTS",
            where=name,
            hint="leave them out of the model: they are constants, the same in every inference",
        )
    nodes = _read_nodes(subgraph, kinds, tensors, name)
    try:
        return Graph(
            name=name,
            tensors={tensor.name: tensor for tensor in tensors},
            nodes=nodes,
            inputs=tuple(tensor_names[i] for i in subgraph.inputs),
            outputs=tuple(tensor_names[i] for i in subgraph.outputs),
            input_names=signature_names(model, "inputs"),
            output_names=signature_names(model, "outputs"),
        )
    except MALFORMED as error:
        raise _damaged(name, error) from error


def _parse(content: bytes, name: str) -> tuple[Any, Any]:
    if content[4:8] != FILE_IDENTIFIER:
        raise ModelNotSupported(
            f"this is no TFLite file: bytes 4 to 8 are {content[4:8]!r}, expected {FILE_IDENTIFIER!r}",
            code="E_MODEL_DAMAGED",
            where=name,
            hint="give a file written by tf.lite.TFLiteConverter, or the Keras model itself",
        )
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        (subgraph,) = model.subgraphs
        _refuse_strays(subgraph, model)
    except MALFORMED as error:
        raise _damaged(name, error) from error
    return subgraph, model


def _refuse_strays(subgraph: Any, model: Any) -> None:
    """Raise ValueError where a number of the file leads nowhere; Python would count -1 from the end."""

    def check(what: str, index: int, count: int, first: int = 0) -> None:
        if not first <= index < count:
            raise ValueError(f"{what} {index}, expected {first} to {count - 1}")

    tensors = len(subgraph.tensors)
    for i, tensor in enumerate(subgraph.tensors):
        check(f"tensor {i} is of type", tensor.type, max(TYPE_NAMES) + 1)
        check(f"tensor {i} lies in buffer", tensor.buffer, len(model.buffers))
        shape = list(_shape(tensor))
        if any(size < 0 for size in shape) or math.prod(shape) > LARGEST_TENSOR:
            raise ValueError(f"tensor {i} has the shape {shape}, expected at most {LARGEST_TENSOR} elements")
        held = tensor.quantization
        scales, zeros = (0, 0) if held is None else (_count(held.scale), _count(held.zeroPoint))
        if zeros not in {0, scales}:
            raise ValueError(
                f"tensor {i} has {scales} scales and {zeros} zero points, expected as many or none"
            )
    for i, operator in enumerate(subgraph.operators):
        check(f"operator {i} is of kind", operator.opcodeIndex, len(model.operatorCodes))
        if not len(operator.outputs):
            raise ValueError(f"operator {i} writes nothing, expected an output at least")
        for index in operator.inputs:
            check(f"operator {i} reads tensor", int(index), tensors, first=-1)
        for index in operator.outputs:
            check(f"operator {i} writes tensor", int(index), tensors)
        for index in operator.intermediates if operator.intermediates is not None else ():
            check(f"operator {i} has an intermediate tensor", int(index), tensors, first=-1)
    for index in (*subgraph.inputs, *subgraph.outputs):
        check("the model has at its border tensor", int(index), tensors)


def _damaged(name: str, error: Exception) -> ModelNotSupported:
    return ModelNotSupported(
        f"the TFLite file is damaged or of an unknown form ({error})",
        code="E_MODEL_DAMAGED",
        where=name,
        hint="convert the model again; files with several subgraphs (control flow) are not supported",
    )


def _refuse_border(subgraph: Any, names: Sequence[str], name: str) -> None:
    """An input and an output at least, none empty, and static shapes, which memory can be planned for."""
    counts = (len(subgraph.inputs), len(subgraph.outputs))
    if 0 in counts:
        raise ModelNotSupported(
            f"the model has {counts[0]} inputs and {counts[1]} outputs, expected one of each at least",
            code="E_MODEL_INPUTS",
            where=name,
            hint="a model whose outputs depend on nothing needs no inference: convert the whole model",
        )
    empty = [names[i] for i in subgraph.inputs if 0 in _shape(subgraph.tensors[i])]
    if empty:
        raise ModelNotSupported(
            f"the model has inputs of no elements: {', '.join(empty)}",
            code="E_MODEL_INPUTS",
            where=name,
            hint="convert it with the shape of its inputs: keras.Input(batch_shape=(1, ...))",
        )
    dynamic = [
        f"{tensor_name}: {[int(size) for size in tensor.shapeSignature]}"
        for tensor, tensor_name in zip(subgraph.tensors, names, strict=True)
        if tensor.shapeSignature is not None and any(size < 0 for size in tensor.shapeSignature)
    ]
    # A converter that saw a batch of None marks every activation; the batch of one stands in `shape`.
    only_batch = all(
        size >= 0 or axis == 0
        for tensor in subgraph.tensors
        if tensor.shapeSignature is not None
        for axis, size in enumerate(tensor.shapeSignature)
    )
    if dynamic and not only_batch:
        raise ModelNotSupported(
            "the model has dynamic shapes, expected every dimension to be known",
            code="E_SHAPE_DYNAMIC",
            where=name,
            details=dynamic,
            hint="convert it with a fixed shape: keras.Input(batch_shape=(1, ...))",
        )


def _read_tensor(tensor: Any, name: str, model: Any) -> Tensor:
    dtype = TYPE_NAMES[tensor.type]
    shape = _shape(tensor)
    quantization = None
    held = tensor.quantization
    if held is not None and held.scale is not None and len(held.scale):
        zeros = held.zeroPoint if _count(held.zeroPoint) else [0] * len(held.scale)
        quantization = Quantization(
            scale=tuple(float(scale) for scale in held.scale),
            zero_point=tuple(int(zero) for zero in zeros),
            axis=int(held.quantizedDimension),
        )
    content = model.buffers[tensor.buffer].data
    data = None
    if content is not None and len(content) and dtype == "int4":
        # As TFLite's kernels do: a weight of four bits is an int8 that uses few of its values.
        dtype, data = "int8", _unpacked(np.frombuffer(bytes(content), np.uint8), shape)
    elif content is not None and len(content) and _numpy_name(dtype):
        data = np.frombuffer(bytes(content), dtype=np.dtype(dtype).newbyteorder("<")).astype(dtype)
        data = data.reshape(shape)
        data.setflags(write=False)
    return Tensor(name=name, shape=shape, dtype=dtype, quantization=quantization, data=data)


def _count(listed: Any) -> int:
    return 0 if listed is None else len(listed)


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in (tensor.shape if tensor.shape is not None else ()))


def _unpacked(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """int8 of this shape, of uint8 that hold two signed numbers of four bits each, the lower one first."""
    nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[: math.prod(shape)]
    numbers: np.ndarray = ((nibbles ^ 8).astype(np.int8) - 8).reshape(shape)
    numbers.setflags(write=False)
    return numbers


def _fold_shapes(subgraph: Any, kinds: Sequence[str], tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors, with data where they follow from static shapes."""
    found = list(tensors)
    for operator, kind in zip(subgraph.operators, kinds, strict=True):
        if len(operator.outputs) != 1:
            continue
        (index,) = operator.outputs
        inputs = [found[i] if i >= 0 else None for i in operator.inputs]
        data = evaluate(kind, operator.builtinOptions, inputs, found[index])
        if data is not None:
            found[index] = replace(found[index], data=data)
    return found


def _without_groups(subgraph: Any, kinds: Sequence[str], tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors, where weights of convolutions with groups span all channels, zeros between the groups.

    Each output of a group is the same sum with products of zero added, and so the same integer.
    """
    found = list(tensors)
    for operator, kind in zip(subgraph.operators, kinds, strict=True):
        if kind != "CONV_2D" or min(operator.inputs[:2]) < 0:
            continue
        x, w = (tensors[i] for i in operator.inputs[:2])
        if w.data is None or len(x.shape) != 4 or len(w.shape) != 4:
            continue
        outputs, depth, channels = w.shape[0], w.shape[3], x.shape[3]
        groups = channels // max(depth, 1)
        if groups < 2 or channels != groups * depth or outputs % groups:
            continue
        data = np.zeros((*w.shape[:3], channels), w.dtype)
        for group in range(groups):
            rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
            data[rows, :, :, group * depth : (group + 1) * depth] = w.data[rows]
        data.setflags(write=False)
        found[operator.inputs[1]] = replace(w, shape=data.shape, data=data)
    return found


def _read_nodes(
    subgraph: Any, kinds: Sequence[str], tensors: Sequence[Tensor], name: str
) -> tuple[Node, ...]:
    problems: list[str] = []
    wide = False
    nodes: list[Node] = []
    prefix = _common_prefix(tensor.name for tensor in tensors if not tensor.is_constant)
    outputs = [[tensors[i] for i in operator.outputs] for operator in subgraph.operators]
    names = _node_names([layer_name(made[0].name, prefix) for made in outputs], kinds)
    for operator, kind, made, node_name in zip(subgraph.operators, kinds, outputs, names, strict=True):
        if all(output.is_constant for output in made):
            continue
        # An operator's intermediates hold no data between others; some lend their scale to it.
        places = (*operator.inputs, *(operator.intermediates if operator.intermediates is not None else ()))
        operands = tuple(tensors[i] if i >= 0 else None for i in places)
        parts, reasons = _read_parts(kind, operator.builtinOptions, operands, made)
        problems += [f"{node_name}: {reason}" for reason in reasons]
        wide |= bool(reasons) and is_of_int16(operands, made)
        nodes += [
            Node(
                node_name if len(parts) == 1 else f"{node_name}_{index}",
                op,
                tuple(tensor.name if tensor is not None else "" for tensor in given),
                output.name,
            )
            for index, ((op, given), output) in enumerate(zip(parts, made, strict=False))
        ]
    if problems:
        raise ModelNotSupported(
            f"{len(problems)} of the model's {len(subgraph.operators)} layers cannot be carried",
            code="E_OP_UNSUPPORTED",
            where=name,
            details=problems,
            hint=f"replace these layers; supported operators{' of int16' if wide else ''}: "
            + ", ".join(sorted(BY_TFLITE_NAME.keys() - (REFUSED_INT16.keys() if wide else set()))),
        )
    unique = unique_names(node.name for node in nodes)
    return tuple(replace(node, name=own) for node, own in zip(nodes, unique, strict=True))


def _read_parts(
    kind: str, options: Any, operands: Sequence[Tensor | None], outputs: Sequence[Tensor]
) -> tuple[Sequence[Part], list[str]]:
    """An operator for each output, or why there is none: attributes of a strange file can be anything."""
    known = operator_of(kind, operands, outputs)
    if known is None:
        reason = f" ({REFUSED[kind]})" if kind in REFUSED else ""
        return (), [f"operator {kind} is not supported{reason}"]
    if kind in REFUSED_INT16 and is_of_int16(operands, outputs):
        return (), [f"operator {kind} is not supported with int16 activations ({REFUSED_INT16[kind]})"]
    try:
        parts = known.read_parts(options, operands, outputs)
        found = [
            reason
            for (op, given), output in zip(parts, outputs, strict=True)
            for reason in op.problems(given, output)
        ]
        found = found or [f"its output {list(each.shape)} is empty" for each in outputs if not each.elements]
    except MALFORMED as error:
        return (), [f"{kind}: its attributes or operands are malformed ({error})"]
    return parts, [f"{kind}: {reason}" for reason in found]


def _kind(operator: Any, model: Any) -> str:
    """The operator's name in the schema; of a custom one also its own."""
    code = model.operatorCodes[operator.opcodeIndex]
    kind = OPERATOR_NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "?")
    return f"CUSTOM {tensor_name(code.customCode)}" if kind == "CUSTOM" else kind


def _node_names(layers: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """A layer's first operator has its name, a further one also its own: `dense_2`, `dense_2_softmax`."""
    seen: set[str] = set()
    names = []
    for index, (layer, kind) in enumerate(zip(layers, kinds, strict=True)):
        name = layer or f"layer_{index}"
        names.append(f"{name}_{kind.lower()}" if name in seen else name)
        seen.add(name)
    return unique_names(names)


def layer_name(tensor: str, prefix: str = "") -> str:
    """What a person would call the layer that writes this tensor.

    The converter names a fused result after all that went into it, such as
    `net/relu/Relu;net/conv/BiasAdd;net/conv/Conv2D`: the path of its bias is the layer's own, else the
    first one, without the model's name and without TensorFlow's operation at its end.
    """
    paths = tensor.split(";")
    chosen = next((path for path in paths if path.endswith("/BiasAdd")), paths[0])
    parts = [part for part in KERAS_OPERATION.sub("", chosen.removeprefix(prefix)).split("/") if part]
    while len(parts) > 1 and (parts[-1][:1].isupper() or parts[-1] in {"add", "mul"}):
        parts.pop()
    return parts[-1].split(":")[0] if parts else ""


def _common_prefix(names: Iterable[str]) -> str:
    """The model's name, where all tensors with a path are called `<model>/...`.

    Of most of them it may be a layer's, which many operators make.
    """
    heads = Counter(name.split("/")[0] for name in names if "/" in name)
    return f"{next(iter(heads))}/" if len(heads) == 1 and heads.total() > 2 else ""


def _numpy_name(dtype: str) -> bool:
    try:
        np.dtype(dtype)
    except TypeError:
        return False
    return True
