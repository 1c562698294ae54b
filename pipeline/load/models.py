"""Read a model file: find out what it is, and hand it to the reader of that form."""

from __future__ import annotations

from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from pipeline.errors import UsageError
from pipeline.load.description import FloatModel, TfliteModel, identifier
from pipeline.load.keras_model import load_h5, load_keras_archive
from pipeline.load.refusals import HDF5_MAGIC, TFLITE_MAGIC, ZIP_MAGIC, damaged, digest, what_it_is
from pipeline.load.saved_model import load_saved_model
from pipeline.load.signature import border_specs
from pipeline.registry import nearest

SUFFIXES = (".keras", ".h5", ".hdf5", ".tflite")


def load_model(path: Path | str) -> FloatModel | TfliteModel:
    """Read a .keras, .h5 (Keras 2 or 3), SavedModel folder or .tflite file.

    Raises UsageError E_MODEL_MISSING or E_MODEL_FORMAT, and ModelNotSupported E_MODEL_DAMAGED,
    E_MODEL_WEIGHTS_ONLY, E_MODEL_CUSTOM, E_MODEL_INPUTS, E_MODEL_LAYOUT or E_SHAPE_DYNAMIC.
    A TFLite file is read without TensorFlow.
    """
    path = Path(path)
    if not path.exists():
        raise _missing(path)
    if path.is_dir():
        return load_saved_model(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise _unknown_format(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the model file cannot be read ({error.strerror})", code="E_MODEL_MISSING", where=path
        ) from error
    if suffix == ".tflite":
        return _load_tflite(path, content)
    # Keras wrote HDF5 under any name before it had its own format: the contents decide.
    if content.startswith(HDF5_MAGIC):
        return load_h5(path, content)
    if content.startswith(ZIP_MAGIC) and suffix == ".keras":
        return load_keras_archive(path, content)
    raise damaged(path, what_it_is(content), f"expected a {suffix} file as model.save() writes it")


def _missing(path: Path) -> UsageError:
    folder = path.parent
    names = sorted(p.name for p in folder.iterdir() if _may_be_model(p)) if folder.is_dir() else []
    near = nearest(path.name, names)
    return UsageError(
        "there is no such model file" if folder.is_dir() else f"there is no folder {folder}",
        code="E_MODEL_MISSING",
        where=path,
        hint=f"did you mean {folder / near}?" if near else "give the path of a .keras, .h5 or .tflite file",
    )


def _may_be_model(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or (path / "saved_model.pb").is_file()


def _unknown_format(path: Path) -> UsageError:
    near = nearest(path.suffix.lower(), SUFFIXES) if path.suffix else None
    hint = f"did you mean {path.with_suffix(near).name}? " if near else ""
    if path.suffix == ".pb":
        hint = f"give the SavedModel's folder: {path.parent} "
    return UsageError(
        f"{path.suffix or 'a file without a suffix'} is no model format that can be read",
        code="E_MODEL_FORMAT",
        where=path,
        hint=f"{hint}(known: {', '.join(SUFFIXES)} and SavedModel folders)",
    )


def _load_tflite(path: Path, content: bytes) -> TfliteModel:
    if content[4:8] != TFLITE_MAGIC:
        raise damaged(path, f"this is no TFLite file: {what_it_is(content)}", "convert the model again")
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        inputs = border_specs(model, "inputs")
        outputs = border_specs(model, "outputs")
        if not inputs or not outputs:
            raise ValueError(f"{len(inputs)} inputs and {len(outputs)} outputs")
    except Exception as error:  # flatbuffers reads any bytes and fails in any way
        raise damaged(
            path, f"the TFLite file is damaged or of an unknown form ({error})", "convert the model again"
        ) from error
    return TfliteModel(identifier(path.stem), path, digest(content), content, inputs, outputs)
