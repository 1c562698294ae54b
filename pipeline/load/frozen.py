"""Describe a serving function by the operations of its frozen graph.

A SavedModel need not know of layers. What is left of them are TensorFlow's operations; those whose
inputs are all constants are weights being prepared, the others are the layers.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import ModelNotSupported
from pipeline.load.description import FloatLayer, TensorSpec
from pipeline.load.frameworks import captured_stderr, import_tensorflow
from pipeline.load.signature import unique_names

# TensorFlow's operation -> the Keras layer of the same cost
KINDS = {
    "Conv2D": "Conv2D",
    "DepthwiseConv2dNative": "DepthwiseConv2D",
    "MatMul": "Dense",
    "FusedBatchNormV3": "BatchNormalization",
    "Relu": "ReLU",
    "Relu6": "ReLU",
    "LeakyRelu": "LeakyReLU",
    "MaxPool": "MaxPooling2D",
    "AvgPool": "AveragePooling2D",
    "Mean": "GlobalAveragePooling2D",
    "AddV2": "Add",
    "Mul": "Multiply",
    "Sub": "Subtract",
    "ConcatV2": "Concatenate",
    "Pad": "ZeroPadding2D",
    "PadV2": "ZeroPadding2D",
    "Squeeze": "Reshape",
    "ExpandDims": "Reshape",
}  # fmt: skip
PASSED_OVER = {
    "Identity", "StopGradient", "PreventGradient", "NoOp", "CheckNumerics",
    "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel",
}  # fmt: skip
LOOPS = {"While", "StatelessWhile", "LoopCond"}
WEIGHTED = {"Conv2D", "DepthwiseConv2D", "Dense"}
# Bookkeeping on shapes (where their results are no floats), which a batch of one turns into constants
SHAPE_OPERATIONS = {"Shape", "StridedSlice", "Pack", "Prod", "Fill", "Range"}


def freeze(function: Any, inputs: Sequence[TensorSpec]) -> Any:
    """The concrete function for a batch of one, with every variable a constant; its inputs in this order.

    `function` takes a tensor, or a list where there are several. A single input is called `input`, several
    have their own names.

    Raises ModelNotSupported E_MODEL_RUN.
    """
    tensorflow = import_tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    names = ["input"] if len(inputs) == 1 else _operation_names(inputs)
    specs = [
        tensorflow.TensorSpec((1, *spec.shape), tensorflow.float32, name=name)
        for name, spec in zip(names, inputs, strict=True)
    ]
    with captured_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras on inputs that it takes in a list or under a name
        try:
            concrete = tensorflow.function(
                lambda *tensors: function(list(tensors) if len(tensors) > 1 else tensors[0]),
                input_signature=specs,
            ).get_concrete_function()
        except Exception as error:  # a layer's own code may raise anything
            raise cannot_run(error) from error
        return convert_variables_to_constants_v2(concrete)  # type: ignore[no-untyped-call]


def cannot_run(error: Exception) -> ModelNotSupported:
    """What is said of a model that raised this in TensorFlow."""
    return ModelNotSupported(
        f"TensorFlow cannot run the model: {_reason(error)}",
        code="E_MODEL_RUN",
        hint="call it in a tf.function, which should fail alike (names of layers are letters, digits "
        "and _ there); if it does not, this is a bug in stm32-deploy: please report it with --debug",
    )


def _reason(error: Exception) -> str:
    """The first line of what a layer said, without where in whose code."""
    said = str(error).partition("Exception encountered when calling ")[2] or str(error)
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line).strip() for line in said.splitlines()]
    return ": ".join([line.rstrip(".") for line in lines if line][:2]) or type(error).__name__


def _operation_names(inputs: Sequence[TensorSpec]) -> list[str]:
    """The inputs' names as TensorFlow allows them for operations."""
    return unique_names(
        re.sub(r"\W", "_", spec.name, flags=re.ASCII).strip("_") or "input" for spec in inputs
    )


def describe_frozen(
    function: Any, inputs: Sequence[TensorSpec], path: Path
) -> tuple[tuple[FloatLayer, ...], tuple[TensorSpec, ...]]:
    """The layers in order, and the outputs, named after the layers that make them.

    Raises ModelNotSupported E_OP_UNSUPPORTED where there are loops.
    """
    frozen = freeze(function, inputs)
    _refuse_loops(frozen, path)
    tensorflow = import_tensorflow()
    # which layer makes a tensor's values; None for a constant
    makers: dict[str, str | None] = {
        source.name: spec.name for source, spec in zip(frozen.inputs, inputs, strict=True)
    }
    layers: dict[str, FloatLayer] = {}
    for operation in frozen.graph.get_operations():
        reads = [tensor for tensor in operation.inputs if tensor.dtype != tensorflow.resource]
        live = [tensor for tensor in reads if makers.get(tensor.name) is not None]
        if operation.type == "Placeholder":
            continue
        of_shapes = operation.type in SHAPE_OPERATIONS and not any(map(_is_float, operation.outputs))
        if not live or of_shapes:
            makers.update({tensor.name: None for tensor in operation.outputs})
            continue
        maker = makers[live[0].name]
        constants = sum(math.prod(_whole(t)) for t in reads if makers.get(t.name) is None and _is_float(t))
        before = layers.get(maker or "")
        if operation.type in PASSED_OVER:
            pass
        elif before is not None and _is_bias(operation, before, constants):
            layers[before.name] = _with_parameters(before, constants)
        else:
            layer = _layer(operation, live, makers, constants)
            layers[layer.name] = layer
            maker = layer.name
        makers.update({tensor.name: maker for tensor in operation.outputs})
    short = _short_names([*layers, *(spec.name for spec in inputs)])
    described = tuple(
        replace(layer, name=short[layer.name], inputs=tuple(short[name] for name in layer.inputs))
        for layer in layers.values()
    )
    names = unique_names(short[str(makers[output.name])] for output in frozen.outputs)
    squashing = {layer.name for layer in described if layer.is_sigmoid}
    outputs = tuple(
        TensorSpec(name, _whole(output)[1:], is_sigmoid=short[str(makers[output.name])] in squashing)
        for name, output in zip(names, frozen.outputs, strict=True)
    )
    return described, outputs


def _refuse_loops(frozen: Any, path: Path) -> None:
    """A loop over time is a graph of its own, which the converter makes no static int8 graph of."""
    loops = [operation.name for operation in frozen.graph.get_operations() if operation.type in LOOPS]
    if loops:
        raise ModelNotSupported(
            f"the SavedModel has {len(loops)} loops, expected layers that run once",
            code="E_OP_UNSUPPORTED",
            where=path,
            details=loops[:10],
            hint="give the .keras or .h5 file, whose recurrent layers are unrolled here; or build the model "
            "with unroll=True and export it again",
        )


def _short_names(names: list[str]) -> dict[str, str]:
    """Names without the folders that all of them share: the call, the model."""
    paths = {name: name.split("/") for name in names}
    nested = [path for path in paths.values() if len(path) > 1]
    shared = 0
    while len(nested) > 1 and all(len(p) > shared + 1 and p[shared] == nested[0][shared] for p in nested):
        shared += 1
    return {name: "/".join(path[shared:]) if len(path) > 1 else name for name, path in paths.items()}


def _layer(operation: Any, live: list[Any], makers: dict[str, str | None], constants: int) -> FloatLayer:
    kind = KINDS.get(operation.type, operation.type)
    attributes: dict[str, Any] = {}
    if kind in {"Conv2D", "DepthwiseConv2D"}:
        height, width, depth, per = (int(size) for size in operation.inputs[1].shape)
        attributes["kernel_size"] = (height, width)
        if kind == "Conv2D":
            attributes["groups"] = int(operation.inputs[0].shape[-1]) // depth
        else:
            attributes["depth_multiplier"] = per
    if kind in {"Conv2D", "DepthwiseConv2D", "MaxPooling2D", "AveragePooling2D"}:
        attributes["strides"] = tuple(operation.get_attr("strides")[1:3])
        attributes["padding"] = operation.get_attr("padding").decode().lower()
    if kind in {"MaxPooling2D", "AveragePooling2D"}:
        attributes["pool_size"] = tuple(operation.get_attr("ksize")[1:3])
    if kind in WEIGHTED:
        attributes["use_bias"] = False
    return FloatLayer(
        name=operation.name,
        kind=kind,
        inputs=tuple(str(makers[tensor.name]) for tensor in live),
        input_shapes=tuple(_whole(tensor)[1:] for tensor in live),
        output_shape=_whole(operation.outputs[0])[1:],
        attributes=attributes,
        parameters=2 * constants // 4 if kind == "BatchNormalization" else constants,
    )


def _is_bias(operation: Any, before: FloatLayer, constants: int) -> bool:
    """Whether the operation adds the bias of the weighted layer before it."""
    return (
        operation.type in {"BiasAdd", "AddV2", "Add"}
        and before.kind in WEIGHTED
        and before.attributes.get("use_bias") is False
        and constants == before.output_shape[-1]
    )


def _with_parameters(layer: FloatLayer, further: int) -> FloatLayer:
    return replace(
        layer, attributes={**layer.attributes, "use_bias": True}, parameters=layer.parameters + further
    )


def _whole(tensor: Any) -> tuple[int, ...]:
    if tensor.shape.rank is None:
        return (1, -1)
    return tuple(-1 if size is None else int(size) for size in tensor.shape)


def _is_float(tensor: Any) -> bool:
    return bool(tensor.dtype.is_floating)
