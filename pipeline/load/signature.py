"""The inputs and outputs of a TFLite file: their names, shapes and types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from pipeline.load.description import TensorSpec

CONVERTING = {schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE}


def border_specs(model: Any, side: str) -> tuple[TensorSpec, ...]:
    """The "inputs" or "outputs" of a parsed file: named by its signature, else by their tensors."""
    (subgraph,) = model.subgraphs
    tensors = [subgraph.tensors[index] for index in getattr(subgraph, side)]
    names = signature_names(model, side) or unique_names(tensor_name(tensor.name) for tensor in tensors)
    squashed = _made_by_sigmoid(model) if side == "outputs" else set()
    return tuple(
        _spec(name, tensor, int(index) in squashed)
        for name, tensor, index in zip(names, tensors, getattr(subgraph, side), strict=True)
    )


def _made_by_sigmoid(model: Any) -> set[int]:
    """The tensors that LOGISTIC makes, also those whose type is changed behind it."""
    made: set[int] = set()
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if kind == schema.BuiltinOperator.LOGISTIC or (kind in CONVERTING and operator.inputs[0] in made):
            made |= {int(index) for index in operator.outputs}
    return made


def _spec(name: str, tensor: Any, is_sigmoid: bool) -> TensorSpec:
    held = tensor.quantization
    quantized = held is not None and held.scale is not None and len(held.scale) == 1
    return TensorSpec(
        name=name,
        shape=tuple(int(size) for size in tensor.shape)[1:],
        dtype=next(key for key, code in vars(schema.TensorType).items() if code == tensor.type).lower(),
        scale=float(held.scale[0]) if quantized else None,
        zero_point=int(held.zeroPoint[0]) if quantized and held.zeroPoint is not None else 0,
        is_sigmoid=is_sigmoid,
    )


def signature_names(model: Any, side: str) -> tuple[str, ...]:
    """What the file's signature calls its "inputs" or "outputs", in the subgraph's order.

    Empty where there is no signature, or where it does not name each of them. Of several signatures the
    first that does so counts.
    """
    (subgraph,) = model.subgraphs
    tensors = [int(index) for index in getattr(subgraph, side)]
    for signature in model.signatureDefs or ():
        named = {int(each.tensorIndex): tensor_name(each.name) for each in getattr(signature, side) or ()}
        if named.keys() >= set(tensors):
            return tuple(unique_names(named[index] for index in tensors))
    return ()


def tensor_name(raw: Any) -> str:
    """The text of a flatbuffer's string, empty for none."""
    return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw or "")


def unique_names(names: Iterable[str]) -> list[str]:
    """The names, each followed by a number where it has been taken."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            candidate = f"{name}_{number}"
            number += 1
        taken.add(candidate)
        result.append(candidate)
    return result
