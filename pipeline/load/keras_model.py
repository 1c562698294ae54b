"""Read a model that Keras saved, and describe its graph of layers."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ModelNotSupported, PipelineError
from pipeline.limits import limited_time
from pipeline.load.description import FloatLayer, FloatModel, TensorSpec, identifier
from pipeline.load.frameworks import (
    captured_stderr,
    import_keras,
    import_legacy_keras,
    import_tensorflow,
)
from pipeline.load.refusals import damaged, digest, dynamic
from pipeline.load.signature import unique_names

# What readers of HDF5, zip and JSON raise on a file that says what cannot be; RecursionError among them.
UNREADABLE = (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError)


def load_keras_archive(path: Path, content: bytes) -> FloatModel:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            if broken:
                raise zipfile.BadZipFile(f"{broken} fails its checksum")
            metadata = json.loads(archive.read("metadata.json"))
            config = json.loads(archive.read("config.json"))
        version = str(dict(metadata).get("keras_version", "3"))
    except KeyError as error:
        raise damaged(
            path, f"the archive is no Keras model ({error.args[0]})", "save it with model.save('model.keras')"
        ) from error
    except (*UNREADABLE, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise damaged(
            path, f"the Keras archive is damaged ({error})", "copy it again, or save the model again"
        ) from error
    return _load_with_keras(path, content, config, version)


def load_h5(path: Path, content: bytes) -> FloatModel:
    import h5py

    try:
        with limited_time(), h5py.File(path, "r") as file:  # type: ignore[no-untyped-call, attr-defined]
            text = file.attrs.get("model_config")
            version = file.attrs.get("keras_version", "2")
            # h5py gives a name that is no UTF-8 as bytes.
            keys = [key.decode(errors="replace") if isinstance(key, bytes) else key for key in file]
    except UNREADABLE as error:
        raise damaged(
            path, f"the HDF5 file is damaged ({error})", "copy it again, or save the model again"
        ) from error
    if text is None:
        raise ModelNotSupported(
            "the file holds weights without the model's structure "
            f"(its groups: {', '.join(keys[:4]) or 'none'})",
            code="E_MODEL_WEIGHTS_ONLY",
            where=path,
            hint="build the model, load these weights into it, and save the whole: "
            "model.load_weights(...); model.save('model.keras')",
        )
    try:
        config = json.loads(text)
    except UNREADABLE as error:
        raise damaged(
            path, f"the model's structure cannot be read ({error})", "save the model again"
        ) from error
    return _load_with_keras(
        path, content, config, version.decode() if isinstance(version, bytes) else str(version)
    )


def _load_with_keras(path: Path, content: bytes, config: Mapping[str, Any], version: str) -> FloatModel:
    """`version` is the Keras that wrote the file: 3 reads it, or tf_keras where it is older."""
    legacy = version.split(".")[0] in {"0", "1", "2"}
    keras = import_legacy_keras() if legacy else import_keras()
    try:
        with captured_stderr(), limited_time():
            # Without compiling: losses, metrics and optimizers are the training's business.
            live = keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever Keras raises on a file that it cannot revive
        raise _refusal(path, config, keras, error) from error
    tensorflow = import_tensorflow()
    package = "tf_keras" if legacy else "Keras"
    framework = (
        f"{package} {keras.__version__} (TensorFlow {tensorflow.__version__}), saved by Keras {version}"
    )
    return describe_keras(path, digest(content), framework, "tf_keras" if legacy else "keras", live)


def _refusal(path: Path, config: Mapping[str, Any], keras: Any, error: Exception) -> PipelineError:
    """Why Keras could not revive the model: its own classes first, since the user can do most there."""
    unknown = sorted(_unknown_classes(config, keras))
    if unknown:
        in_h5 = path.suffix != ".keras"
        return ModelNotSupported(
            f"the model uses {len(unknown)} classes that are not Keras's own{' layers' if in_h5 else ''}",
            code="E_MODEL_CUSTOM",
            where=path,
            details=unknown,
            hint="replace them by Keras layers, or export the model with model.export('folder') "
            "and give that SavedModel folder"
            + (
                "; operations such as x[...] or keras.ops: save with model.save('model.keras')"
                if in_h5
                else ""
            ),
        )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return damaged(
        path, f"Keras cannot read it: {lines[0][:300]}", "save it again with model.save('model.keras')"
    )


def _unknown_classes(config: Any, keras: Any) -> set[str]:
    """`layer: class` of every layer, at any depth, that Keras does not define itself; a Lambda holds code."""
    if not isinstance(config, Mapping):
        return set()
    found: set[str] = set()
    kind = config.get("class_name")
    inner = config.get("config")
    inner = inner if isinstance(inner, Mapping) else {}
    known = kind in {"Functional", "Sequential", "Model", "Operation", "TFOpLambda", "SlicingOpLambda"}
    own = str(config.get("module") or "keras").split(".")[0] in {
        "keras",
        "tf_keras",
        "tensorflow",
        "builtins",
    }
    if isinstance(kind, str) and not known:
        is_layer = hasattr(keras.layers, kind) or str(config.get("module", "")).startswith("keras.src.ops")
        if kind == "Lambda" or not own or not is_layer:
            found.add(f"{inner.get('name', 'the model')}: {kind}")
    layers = inner.get("layers")
    for layer in layers if isinstance(layers, list) else []:
        found |= _unknown_classes(layer, keras)
    return found


COSTLY_ATTRIBUTES = (
    "kernel_size", "strides", "padding", "groups", "depth_multiplier", "dilation_rate", "pool_size",
    "use_bias", "axis", "max_value", "negative_slope", "data_format", "scale", "offset",
)  # fmt: skip


def describe_keras(path: Path, sha256: str, framework: str, api: str, live: Any) -> FloatModel:
    graph = functional_graph(live)
    if graph is None:
        raise ModelNotSupported(
            f"a model of class {type(live).__name__} without a fixed graph of layers, "
            "expected a functional or sequential one",
            code="E_SHAPE_DYNAMIC",
            where=path,
            hint="give it an Input layer with a fixed shape, or export it with model.export('folder')",
        )
    if api == "keras":
        _refuse_quantized(path, live)
    _refuse_border(path, graph)
    input_names = unique_names(_layer_of(source).name for source in graph.inputs)
    names = {id(source): name for source, name in zip(graph.inputs, input_names, strict=True)}
    layers: list[FloatLayer] = []
    _walk(graph, names, "", layers, set(input_names), set())
    unknown = [
        f"{layer.name}: {list(shape)}"
        for layer in layers
        for shape in (*layer.input_shapes, layer.output_shape)
        if any(size < 0 for size in shape)
    ]
    if unknown:
        raise dynamic(path, list(dict.fromkeys(unknown)))
    _refuse_layout(path, layers)
    output_names = unique_names(names[id(tensor)] for tensor in graph.outputs)
    squashing = {layer.name for layer in layers if layer.is_sigmoid}
    return FloatModel(
        name=identifier(path.stem),
        path=path,
        sha256=sha256,
        framework=framework,
        api=api,
        layers=tuple(layers),
        inputs=tuple(TensorSpec(names[id(tensor)], tensor_shape(tensor)) for tensor in graph.inputs),
        outputs=tuple(
            TensorSpec(name, tensor_shape(tensor), is_sigmoid=names[id(tensor)] in squashing)
            for name, tensor in zip(output_names, graph.outputs, strict=True)
        ),
        live=live,
    )


def functional_graph(model: Any) -> Any:
    """The graph of a functional or built sequential model, None of anything else."""
    inner = getattr(model, "_functional", None)  # Keras 3 keeps a sequential model's graph there
    graph = inner if inner is not None else model
    has_graph = getattr(graph, "_nodes_by_depth", None) and getattr(graph, "inputs", None)
    return graph if has_graph else None


def has_fixed_batch(model: Any) -> bool:
    """Whether it takes only batches of one size; so may the function of a SavedModel."""
    graph = functional_graph(model)
    return graph is None or graph.inputs[0].shape[0] is not None


def _refuse_border(path: Path, graph: Any) -> None:
    unknown = [source for source in graph.inputs if any(size < 0 for size in tensor_shape(source))]
    if unknown:
        raise dynamic(path, [f"input {source.name}: {list(tensor_shape(source))}" for source in unknown])
    whole = [
        f"input {source.name}: {dtype}"
        for source in graph.inputs
        if not (dtype := str(getattr(source.dtype, "name", source.dtype))).startswith(("float", "bfloat"))
    ]
    if whole:
        raise ModelNotSupported(
            f"{len(whole)} of the model's {len(graph.inputs)} inputs are not float32",
            code="E_MODEL_INPUTS",
            where=path,
            details=whole,
            hint="integer inputs (token numbers, say) cannot be quantized to int8",
        )


def _refuse_layout(path: Path, layers: list[FloatLayer]) -> None:
    turned = [layer.name for layer in layers if layer.attributes.get("data_format") == "channels_first"]
    if turned:
        raise ModelNotSupported(
            f"{len(turned)} layers have their channels first, expected channels last",
            code="E_MODEL_LAYOUT",
            where=path,
            details=turned,
            hint="build the model with data_format='channels_last' and load the weights into that",
        )


def _walk(
    graph: Any,
    names: dict[int, str],
    prefix: str,
    layers: list[FloatLayer],
    taken: set[str],
    counted: set[int],
) -> None:
    """Append the layers of a functional graph, those of inner models in their place.

    `names` maps the id of each tensor to the layer that makes it; `counted` holds the ids of layers
    whose parameters are already counted.
    """
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer = operation_of(node)
            inputs, outputs = node_tensors(node)
            inner = functional_graph(layer)
            if inner is not None:
                names.update({id(t): names[id(s)] for t, s in zip(inner.inputs, inputs, strict=True)})
                _walk(inner, names, f"{prefix}{layer.name}/", layers, taken, counted)
                made = [names[id(t)] for t in inner.outputs]
                names.update({id(t): name for t, name in zip(outputs, made, strict=True)})
                continue
            name = _unique(f"{prefix}{layer.name}", taken)
            names.update({id(t): name for t in outputs})
            layers.append(
                FloatLayer(
                    name=name,
                    kind=_kind(layer),
                    inputs=tuple(names[id(t)] for t in inputs if id(t) in names),
                    input_shapes=tuple(tensor_shape(t) for t in inputs),
                    output_shape=tensor_shape(outputs[0]),
                    attributes=_attributes(layer),
                    parameters=0 if id(layer) in counted else _parameters(layer),
                )
            )
            counted.add(id(layer))


def operation_of(node: Any) -> Any:
    """A node's layer: Keras 3 and Keras 2 name it differently."""
    return node.operation if hasattr(node, "operation") else node.layer


def _layer_of(tensor: Any) -> Any:
    history = tensor._keras_history
    return history.operation if hasattr(history, "operation") else history.layer


def node_tensors(node: Any) -> tuple[list[Any], list[Any]]:
    if hasattr(node, "operation"):
        return list(node.input_tensors), list(node.output_tensors)
    flatten = import_tensorflow().nest.flatten
    return list(node.keras_inputs), list(flatten(node.outputs))


def tensor_shape(tensor: Any) -> tuple[int, ...]:
    """Without the batch; -1 where unknown."""
    return tuple(-1 if size is None else int(size) for size in tuple(tensor.shape)[1:])


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        candidate = f"{name}_{number}"
        number += 1
    taken.add(candidate)
    return candidate


def _kind(layer: Any) -> str:
    """The class name; of a TensorFlow function in a Keras 2 graph the function's name."""
    kind = type(layer).__name__
    if kind in {"TFOpLambda", "SlicingOpLambda"}:
        return "".join(word.title() for word in str(layer.function.__name__).split("_"))
    return kind


def _attributes(layer: Any) -> Mapping[str, Any]:
    try:
        config = layer.get_config()
    except (NotImplementedError, TypeError, ValueError):
        config = {}
    found = {key: config[key] for key in COSTLY_ATTRIBUTES if config.get(key) is not None}
    activation = getattr(layer, "activation", None)
    if activation is not None:
        found["activation"] = str(getattr(activation, "__name__", type(activation).__name__)).lower()
    return found


def float_weights(layer: Any) -> list[np.ndarray]:
    """The layer's weights as it would hold them in float: as they are, but for Keras 3's int8 layers.

    Those keep integers and a scale for each output channel, kernel = integer / scale. TFLite's symmetric
    scale for a channel is its largest magnitude by 127, which gives the very same integers again.
    """
    if getattr(layer, "quantization_mode", None) is None:
        found: list[np.ndarray] = layer.get_weights()
        return found
    held = {weight.name: np.asarray(weight) for weight in layer.weights}
    kernel = held["kernel"].astype(np.float32) / held["kernel_scale"]
    return [kernel, held["bias"]] if layer.use_bias else [kernel]


def _refuse_quantized(path: Path, live: Any) -> None:
    """Keras's own quantization, but for int8 Dense layers: what else it does is unlike int8 on a target."""
    unlike = [
        f"{layer.name}: {type(layer).__name__}, {layer.quantization_mode}"
        for layer in live._flatten_layers()
        if getattr(layer, "quantization_mode", None) is not None
        and (layer.quantization_mode != "int8" or type(layer).__name__ != "Dense")
    ]
    if unlike:
        raise ModelNotSupported(
            f"{len(unlike)} layers were quantized by Keras in a way that cannot be carried",
            code="E_MODEL_QUANTIZED",
            where=path,
            details=unlike,
            hint="save the model before model.quantize(...); int8 Dense layers may stay",
        )


def _parameters(layer: Any) -> int:
    weights = [weight for weight in getattr(layer, "weights", []) if weight.name != "kernel_scale"]
    if type(layer).__name__ in {"BatchNormalization", "SyncBatchNormalization", "Normalization"}:
        # However many statistics are stored, what acts is one scale and one offset a channel.
        channels = max((int(_size(weight)) for weight in weights), default=0)
        return 2 * channels
    return sum(int(_size(weight)) for weight in weights)


def _size(weight: Any) -> int:
    size = 1
    for extent in weight.shape:
        size *= int(extent)
    return size
