"""Where samples can lie: NumPy files, folders of images, and CIFAR-10 as it is distributed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.load.cifar10 import is_cifar10_folder, read_cifar10_folder
from pipeline.load.description import Raw, TensorSpec
from pipeline.progress import Progress
from pipeline.registry import nearest
from pipeline.tensors import Bundle

# (samples, labels) under the names that people give them, the test set first
KEYS = (
    ("x_test", "y_test"),
    ("x", "y"),
    ("X_test", "Y_test"),
    ("X", "Y"),
    ("images", "labels"),
    ("test_images", "test_labels"),
    ("data", "labels"),
    ("inputs", "labels"),
    ("samples", "labels"),
)
TRAINING_KEYS = ("x_train", "X_train", "train_images", "calibration")
CLASS_KEYS = ("classes", "class_names")
LABEL_KEYS = ("y", "labels")
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff", ".gif"}
MOST_IMAGES = 20_000
"""Of a folder; more are left out evenly, so that they fit the host's memory."""


def read_source(
    source: Path,
    inputs: Sequence[TensorSpec],
    *,
    resize: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Raw:
    """Read what the user named: for several inputs arrays under their names, else an array or images.

    The input's shape decides between grey and coloured images.
    """
    if not source.exists():
        names = sorted(p.name for p in source.parent.iterdir()) if source.parent.is_dir() else []
        near = nearest(source.name, names)
        raise UsageError(
            "there is no such file or folder of samples",
            code="E_SAMPLES_MISSING",
            where=source,
            hint=f"did you mean {source.parent / near}?" if near else None,
        )
    if len(inputs) > 1:
        return _read_named(source, inputs)
    (spec,) = inputs
    if source.is_dir():
        if is_cifar10_folder(source):
            return read_cifar10_folder(source, f"CIFAR-10 ({source.name})")
        return _read_images(source, spec.shape, resize, limit, progress)
    if source.suffix.lower() == ".npz":
        return _read_npz(source)
    if source.suffix.lower() == ".npy":
        return Raw(_load_array(source), None, None, source.name, str(source))
    raise UsageError(
        f"{source.suffix or 'a file without a suffix'} is no format of samples that can be read",
        code="E_SAMPLES_FORMAT",
        where=source,
        hint="give a .npz (x and y), a .npy, a cifar-10-batches-py folder or a folder of images",
    )


# --- NumPy files ---------------------------------------------------------------------------------


def _damaged(source: Path, error: Exception) -> UsageError:
    objects = "allow_pickle" in str(error)
    return UsageError(
        "the file holds Python objects" if objects else f"the file cannot be read ({error})",
        code="E_SAMPLES_DTYPE" if objects else "E_SAMPLES_DAMAGED",
        where=source,
        hint="save plain arrays of numbers" if objects else "write it again with numpy.save or numpy.savez",
    )


def _load_array(source: Path) -> np.ndarray:
    try:
        loaded = np.load(source, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _damaged(source, error) from error
    if not isinstance(loaded, np.ndarray):
        raise _damaged(source, ValueError("an archive under the name of an array"))
    return loaded


@dataclass(frozen=True, slots=True, eq=False)
class _Archive:
    """What a .npz holds: the names of all arrays, and those that were read."""

    files: tuple[str, ...]
    held: Mapping[str, np.ndarray]


def _load_archive(source: Path, wanted: Callable[[list[str]], list[str]]) -> _Archive:
    try:
        with np.load(source, allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise ValueError("an array under the name of an archive")
            return _Archive(tuple(archive.files), {key: archive[key] for key in wanted(archive.files)})
    except (
        ValueError,
        OSError,
        EOFError,
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
        AttributeError,
        TypeError,
    ) as error:
        raise _damaged(source, error) from error


def _read_npz(source: Path) -> Raw:
    archive = _load_archive(source, _wanted)
    arrays, files = archive.held, archive.files
    x_key, y_key = _keys(files, source)
    if x_key not in arrays:
        x_key, y_key = files[0], ""
    training = next((key for key in TRAINING_KEYS if key in arrays), None)
    origin = str(arrays["origin"]) if "origin" in arrays else source.name
    return Raw(
        x=arrays[x_key],
        labels=arrays.get(y_key),
        classes=_class_names(arrays),
        origin=origin,
        where=str(source),
        calibration=arrays[training] if training and training != x_key else None,
    )


def _class_names(arrays: Mapping[str, np.ndarray]) -> tuple[str, ...] | None:
    classes = next((arrays[key] for key in CLASS_KEYS if key in arrays), None)
    return None if classes is None else tuple(str(name) for name in classes.reshape(-1))


def _read_named(source: Path, inputs: Sequence[TensorSpec]) -> Raw:
    """An array for each input, under its name, and perhaps labels, classes and where the data are from."""
    expected = [f"{spec.name}: (N, {', '.join(map(str, spec.shape))})" for spec in inputs]
    hint = "np.savez('data.npz', " + ", ".join(f"**{{{spec.name!r}: ...}}" for spec in inputs) + ")"
    if source.is_dir() or source.suffix.lower() != ".npz":
        raise UsageError(
            f"the model has {len(inputs)} inputs, expected a .npz file with an array for each",
            code="E_SAMPLES_FORMAT",
            where=source,
            details=expected,
            hint=hint,
        )
    names = [spec.name for spec in inputs]
    known = {*names, *LABEL_KEYS, *CLASS_KEYS, "origin"}
    arrays = _load_archive(source, lambda files: [key for key in files if key in known])
    missing = [text for name, text in zip(names, expected, strict=True) if name not in arrays.held]
    extra = [key for key in arrays.files if key not in known]
    if missing or extra:
        words = [f"{len(missing)} of the model's {len(inputs)} inputs have no array"] if missing else []
        words += [f"{len(extra)} arrays are no input of the model"] if extra else []
        raise UsageError(
            ", and ".join(words),
            code="E_SAMPLES_FORMAT",
            where=source,
            details=[*(f"missing: {text}" for text in missing), *(f"no such input: {key}" for key in extra)],
            hint=hint,
        )
    return Raw(
        x=Bundle({name: arrays.held[name] for name in names}),
        labels=next(
            (arrays.held[key] for key in LABEL_KEYS if key in arrays.held and key not in names), None
        ),
        classes=_class_names(arrays.held),
        origin=str(arrays.held["origin"]) if "origin" in arrays.held else source.name,
        where=str(source),
    )


def _wanted(files: list[str]) -> list[str]:
    """The keys worth reading: a training set beside a test set can be large, its labels are not needed."""
    known = {*CLASS_KEYS, *TRAINING_KEYS, "origin"} | {key for pair in KEYS for key in pair}
    return files if len(files) == 1 else [key for key in files if key in known]


def _keys(files: tuple[str, ...], source: Path) -> tuple[str, str]:
    for x_key, y_key in (*KEYS, ("x_train", "y_train")):
        if x_key in files:
            return x_key, y_key
    if len(files) == 1:
        return files[0], ""
    raise UsageError(
        f"the file holds {', '.join(files) or 'nothing'}, expected x (and y for labels)",
        code="E_SAMPLES_FORMAT",
        where=source,
        hint=f"known pairs: {', '.join('/'.join(pair) for pair in KEYS)}, or a single array",
    )


# --- images --------------------------------------------------------------------------------------


def _read_images(
    folder: Path, input_shape: tuple[int, ...], resize: bool, limit: int | None, progress: Progress | None
) -> Raw:
    """A folder of images, or of one folder of images per class, whose names are the classes."""
    if len(input_shape) != 3 or input_shape[-1] not in (1, 3):
        raise UsageError(
            f"images do not fit the model's input {input_shape}, expected (height, width, 1 or 3)",
            code="E_SAMPLES_SHAPE",
            where=folder,
        )
    groups = {
        p.name: _images_in(p) for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith(".")
    }
    groups = {name: files for name, files in groups.items() if files}
    classes = tuple(groups) if groups else None
    pairs = [(file, index) for index, files in enumerate(groups.values()) for file in files]
    pairs = pairs or [(file, 0) for file in _images_in(folder)]
    if not pairs:
        raise UsageError(
            "the folder holds neither images nor folders of images",
            code="E_SAMPLES_FORMAT",
            where=folder,
            hint=f"one folder per class, with images inside ({', '.join(sorted(IMAGE_SUFFIXES))})",
        )
    most = min(limit or MOST_IMAGES, MOST_IMAGES)
    if len(pairs) > most:
        pairs = [pairs[i * len(pairs) // most] for i in range(most)]
    x = np.empty((len(pairs), *input_shape), np.uint8)
    for index, (file, _) in enumerate(pairs):
        x[index] = _read_image(file, input_shape, resize)
        if progress:
            progress("reading images", index + 1, len(pairs))
    labels = np.array([label for _, label in pairs]) if classes else None
    return Raw(x, labels, classes, f"{folder.name} ({len(pairs)} images)", str(folder))


def _images_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())


def _read_image(file: Path, input_shape: tuple[int, ...], resize: bool) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    height, width, channels = input_shape
    try:
        with Image.open(file) as opened:
            image = opened.convert("L" if channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(
            f"the image cannot be read ({error})", code="E_SAMPLES_DAMAGED", where=file
        ) from error
    if image.size != (width, height):
        if not resize:
            raise UsageError(
                f"the image is {image.size[0]} x {image.size[1]} pixels, expected {width} x {height}",
                code="E_SAMPLES_SHAPE",
                where=file,
                hint="have the images scaled: --preprocess resize=yes",
            )
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(input_shape)
