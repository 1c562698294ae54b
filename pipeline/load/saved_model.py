"""Read a SavedModel folder: through Keras 2 where it wrote it, else by its serving function."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ModelNotSupported, UsageError
from pipeline.load.description import FloatModel, TensorSpec, identifier
from pipeline.load.frameworks import captured_stderr, import_legacy_keras, import_tensorflow
from pipeline.load.frozen import describe_frozen
from pipeline.load.keras_model import describe_keras, functional_graph, tensor_shape
from pipeline.load.refusals import damaged, dynamic


class SavedFunction:
    """The serving function of a SavedModel, called like a Keras model."""

    def __init__(self, loaded: Any, signature: Any, arguments: Sequence[str], results: Sequence[str]) -> None:
        self.loaded = loaded  # keeps the variables alive
        self.signature = signature
        self.arguments = tuple(arguments)
        self.results = tuple(results)

    def __call__(self, x: Any, training: bool = False) -> Any:
        """One tensor for one input, a list for several; so are the outputs."""
        if training:
            raise ValueError("the serving function of a SavedModel cannot train")
        given = x if len(self.arguments) > 1 else [x]
        found = self.signature(**dict(zip(self.arguments, given, strict=True)))
        outputs = [found[name] for name in self.results]
        return outputs if len(outputs) > 1 else outputs[0]


def load_saved_model(path: Path) -> FloatModel:
    if not (path / "saved_model.pb").is_file():
        raise UsageError(
            "the folder holds no saved_model.pb, expected a SavedModel or a model file",
            code="E_MODEL_FORMAT",
            where=path,
            hint="give a .keras, .h5 or .tflite file, or the folder that model.export() wrote",
        )
    hashed = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        hashed.update(f"{file.relative_to(path).as_posix()}\0".encode() + file.read_bytes())
    tensorflow = import_tensorflow()
    framework = f"SavedModel (TensorFlow {tensorflow.__version__})"
    if (path / "keras_metadata.pb").is_file():
        legacy = import_legacy_keras()
        try:
            with captured_stderr():
                live = legacy.models.load_model(path, compile=False)
        except Exception:  # a class of the user's: the serving function below needs none
            live = None
        if live is not None and functional_graph(live) is not None:
            words = f"tf_keras {legacy.__version__} ({framework})"
            return describe_keras(path, hashed.hexdigest(), words, "tf_keras", live)
    try:
        with captured_stderr():
            loaded = tensorflow.saved_model.load(str(path))
    except Exception as error:  # protobuf, variables or functions: TensorFlow raises all kinds
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise damaged(path, f"the SavedModel is damaged ({first[:300]})", "export the model again") from error
    return _describe_saved_function(path, hashed.hexdigest(), framework, loaded)


def _describe_saved_function(path: Path, sha256: str, framework: str, loaded: Any) -> FloatModel:
    signatures = dict(loaded.signatures)
    signature = signatures.get("serving_default") or signatures.get("serve")
    if signature is None and len(signatures) == 1:
        (signature,) = signatures.values()
    if signature is None:
        raise ModelNotSupported(
            f"the SavedModel has no serving signature (it has: {', '.join(signatures) or 'none'})",
            code="E_MODEL_INPUTS",
            where=path,
            hint="export it with model.export('folder')",
        )
    arguments = dict(sorted(signature.structured_input_signature[1].items()))
    results = sorted(signature.structured_outputs)
    unknown = [
        f"input {name}: {spec.shape}"
        for name, spec in arguments.items()
        if spec.shape.rank is None or any(size < 0 for size in tensor_shape(spec))
    ]
    if unknown:
        raise dynamic(path, unknown)
    whole = [
        f"input {name}: {spec.dtype.name}" for name, spec in arguments.items() if spec.dtype.name != "float32"
    ]
    if whole:
        raise ModelNotSupported(
            f"{len(whole)} of the model's {len(arguments)} inputs are not float32",
            code="E_MODEL_INPUTS",
            where=path,
            details=whole,
        )
    inputs = tuple(TensorSpec(name, tensor_shape(spec)) for name, spec in arguments.items())
    function = SavedFunction(loaded, signature, tuple(arguments), results)
    layers, outputs = describe_frozen(function, inputs, path)
    if any(size < 0 for layer in layers for size in layer.output_shape):
        raise dynamic(
            path,
            [
                f"{layer.name}: {list(layer.output_shape)}"
                for layer in layers
                if any(size < 0 for size in layer.output_shape)
            ],
        )
    return FloatModel(
        name=identifier(path.name),
        path=path,
        sha256=sha256,
        framework=framework,
        api="saved_model",
        layers=layers,
        inputs=inputs,
        outputs=outputs,
        live=function,
    )
