"""Read the samples that calibrate a model and test it, and refuse those that cannot be right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pipeline.errors import UsageError
from pipeline.load.cifar10 import find_cifar10
from pipeline.load.description import FloatModel, Raw, TensorSpec, TfliteModel
from pipeline.load.plausible import refuse_implausible
from pipeline.load.sources import read_source
from pipeline.progress import Progress
from pipeline.registry import nearest
from pipeline.tensors import Values, arrays_of, bundled

CALIBRATION_SAMPLES = 500
"""Kept of a training set, evenly spaced."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What turns the numbers of a file into what the float model takes: x = raw * scale + offset."""

    scale: float = 1.0
    offset: float = 0.0
    bgr: bool = False
    """The model takes blue first; files hold red first."""
    resize: bool = False
    """Scale image files to the model's height and width (bilinear); without it another size is refused."""
    of_bytes: bool = False
    """The numbers of the file are bytes, as a camera gives them."""

    def __str__(self) -> str:
        scale = f"/ {_whole(1 / self.scale)}" if self.scale < 1 else f"* {self.scale:g}"
        words = [] if self.scale == 1 else [scale]
        words += [f"{self.offset:+g}"] if self.offset else []
        words += ["channels reversed"] if self.bgr else []
        words += ["resized"] if self.resize else []
        return f"x {', '.join(words)}" if words else "as they are"

    @property
    def is_identity(self) -> bool:
        """Whether the model takes the numbers as they are."""
        return self.scale == 1 and not self.offset and not self.bgr

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """(N, ...) of any real dtype to float32 of the same shape."""
        x: np.ndarray = raw.astype(np.float32)
        if self.bgr:
            x = x[..., ::-1]
        if self.scale != 1:
            x *= np.float32(self.scale)
        if self.offset:
            x += np.float32(self.offset)
        return np.ascontiguousarray(x)


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs as the float model takes them, and what is known of them."""

    x: Values
    """float32 (N, *input_shape); of several inputs a bundle, by their names"""
    labels: np.ndarray | None
    """int64 (N,): the true class of each sample."""
    classes: tuple[str, ...] | None
    origin: str
    """In words: which data these are."""
    offline: bool
    """Made from the network itself: good for calibration and agreement, not for accuracy."""
    preprocessing: Preprocessing
    calibration: Values | None = None
    """float32, other samples of the same kind to calibrate with (a training set's); None: `x` itself."""
    preprocessings: Mapping[str, Preprocessing] = field(default_factory=dict)
    """Of each of several inputs, by its name; `preprocessing` is then that of the first."""
    random: bool = False
    """Random numbers, of which nothing follows but that two machines compute the same."""
    training: Values | None = None
    """float32 (M, *input_shape): samples that the model may be fine-tuned on; None where none were named."""

    def __len__(self) -> int:
        return len(self.x)

    def take(self, count: int) -> Samples:
        """At most `count` of them, evenly spaced, always the same ones."""
        if len(self.x) <= count:
            return self
        chosen = spread(len(self.x), count)
        labels = self.labels[chosen] if self.labels is not None else None
        return replace(self, x=self.x[chosen], labels=labels)

    @property
    def each_preprocessing(self) -> tuple[Preprocessing, ...]:
        """Of each input, in the model's order."""
        return tuple(self.preprocessings.values()) or (self.preprocessing,)

    def to_calibrate(self, count: int = CALIBRATION_SAMPLES) -> Values:
        """At most `count` samples for calibration, evenly spaced, always the same ones."""
        pool = self.x if self.calibration is None else self.calibration
        chosen: Values = pool[spread(len(pool), count)]
        return chosen


def spread(length: int, count: int) -> np.ndarray:
    """`count` indices (or all) evenly spaced over 0..length-1."""
    if length <= count:
        return np.arange(length)
    return np.arange(count) * length // count


def declare_preprocessing(text: str) -> Preprocessing:
    """Parse `scale=1/255,offset=-1,channels=bgr,resize=yes`; each part may be left out.

    Raises UsageError E_PREPROCESSING.
    """
    found = Preprocessing()
    for part in (part.strip() for part in text.split(",") if part.strip()):
        key, _, value = (piece.strip() for piece in part.partition("="))
        try:
            if key in {"scale", "offset"}:
                above, _, below = value.partition("/")
                number = float(above) / float(below or 1)
                if not math.isfinite(number) or (key == "scale" and number == 0):
                    raise ValueError
                found = replace(found, scale=number) if key == "scale" else replace(found, offset=number)
            elif key == "channels":
                found = replace(found, bgr={"rgb": False, "bgr": True}[value.lower()])
            elif key == "resize":
                found = replace(found, resize={"yes": True, "no": False}[value.lower()])
            else:
                near = nearest(key, ("scale", "offset", "channels", "resize"))
                raise UsageError(
                    f"the preprocessing {text!r} has an unknown part {key!r}",
                    code="E_PREPROCESSING",
                    hint=f"did you mean {near}?" if near else "known: scale, offset, channels, resize",
                )
        except (ValueError, KeyError, ZeroDivisionError) as error:
            raise UsageError(
                f"the preprocessing {text!r} has {part!r}, which cannot be read",
                code="E_PREPROCESSING",
                hint="for example: scale=1/255 or scale=1/127.5,offset=-1 or channels=bgr or resize=yes",
            ) from error
    return found


def declare_preprocessings(text: str, inputs: Sequence[str]) -> dict[str, Preprocessing]:
    """A formula for each input that is named: `image: scale=1/255; motion: scale=1/16`.

    Of a model with one input the name may be left out. Raises UsageError E_PREPROCESSING.
    """
    found: dict[str, Preprocessing] = {}
    for part in (part.strip() for part in text.split(";") if part.strip()):
        # A formula has no colon, the name of an input in a .tflite file may.
        name, _, formula = (piece.strip() for piece in part.rpartition(":"))
        if not name and len(inputs) == 1:
            name = inputs[0]
        near = nearest(name, inputs)
        if name not in inputs or name in found:
            what = f"for {name!r}{' twice' if name in found else ''}" if name else "without an input's name"
            raise UsageError(
                f"the preprocessing {text!r} has a formula {what}",
                code="E_PREPROCESSING",
                hint=(f"did you mean {near}? " if near and name not in found else "")
                + "name each input once, as in "
                + "; ".join(f"{each}: scale=1/255" for each in inputs),
            )
        found[name] = declare_preprocessing(formula)
    return found


def load_samples(
    model: FloatModel | TfliteModel,
    source: Path | str | None = None,
    *,
    declared: Mapping[str, Preprocessing] = MappingProxyType({}),
    limit: int | None = None,
    download: bool = True,
    progress: Progress | None = None,
) -> Samples:
    """Find samples for a model: the user's, else CIFAR-10 for a model of that name, else the offline set.

    A model with several inputs takes a .npz with an array for each, under its name. `declared` are the
    inputs, by name, whose preprocessing is known.

    `source` is a .npz or .npy file, a cifar-10-batches-py folder, a folder of class folders of
    images, or a folder of images. `<model>_samples.npz` beside the model is the offline set. At
    most `limit` samples are kept, evenly spaced. Without a declared preprocessing 8-bit images are
    divided by 255, unless the model rescales by itself or a quantized input says otherwise.

    Raises UsageError E_SAMPLES_MISSING, E_SAMPLES_FORMAT, E_SAMPLES_DAMAGED, E_SAMPLES_SHAPE,
    E_SAMPLES_DTYPE, E_SAMPLES_NAN, E_SAMPLES_RANGE or E_SAMPLES_LABELS.
    """
    raw = _find(model, source, declared, limit, download, progress)
    for array in arrays_of(raw.x):
        if array.dtype.kind not in "fiub":
            raise UsageError(
                f"the samples are of type {array.dtype}, expected float32 or uint8",
                code="E_SAMPLES_DTYPE",
                where=raw.where,
            )
    chosen = {
        spec.name: replace(
            declared.get(spec.name) or _default_preprocessing(model, spec, array, raw.where),
            of_bytes=_are_bytes(array),
        )
        for spec, array in zip(model.inputs, arrays_of(raw.x), strict=True)
    }
    x = _checked_inputs(model, raw.x, raw.where, chosen, declared)
    keep = spread(len(x), limit) if limit is not None else slice(None)
    calibration = None
    if raw.calibration is not None:
        pool = raw.calibration[spread(len(raw.calibration), CALIBRATION_SAMPLES)]
        calibration = _checked_inputs(model, pool, raw.where, chosen, declared)
    labels, origin = None, raw.origin
    first = chosen[model.inputs[0].name]
    if raw.labels is not None and len(model.outputs) > 1:
        origin = f"{raw.origin}; its labels left out, since the model has {len(model.outputs)} outputs"
    elif raw.labels is not None and model.outputs[0].classes == 1:
        origin = f"{raw.origin}; its labels left out, since one value that is no sigmoid's names no class"
    elif raw.labels is not None:
        labels = _checked_labels(model, raw.labels, len(x), raw.where)
    if isinstance(model, FloatModel) and not declared and isinstance(x, np.ndarray):
        refuse_implausible(model, x[spread(len(x), 64)], first.scale, raw.where)
    return Samples(
        x=x[keep],
        labels=None if labels is None else labels[keep],
        classes=_checked_classes(raw, model),
        origin=origin,
        offline=raw.offline,
        preprocessing=first,
        calibration=calibration,
        preprocessings=chosen if len(chosen) > 1 else {},
    )


def random_samples(model: TfliteModel, count: int = 16, seed: int = 0) -> Samples:
    """Uniformly random integers as inputs: good for comparing bits, not for accuracy or calibration."""
    rng = np.random.default_rng(seed)
    arrays = []
    for spec in model.inputs:
        low, high = _input_range(spec)
        integers = rng.integers(-128, 128, (count, *spec.shape))
        arrays.append((low + (integers + 128) * ((high - low) / 255)).astype(np.float32))
    return Samples(
        x=bundled(tuple(spec.name for spec in model.inputs), tuple(arrays)),
        labels=None,
        classes=None,
        origin=f"{count} random inputs (seed {seed})",
        offline=True,
        random=True,
        preprocessing=Preprocessing(),
        preprocessings={spec.name: Preprocessing() for spec in model.inputs if len(model.inputs) > 1},
    )


# --- sources -------------------------------------------------------------------------------------


def _find(
    model: FloatModel | TfliteModel,
    source: Path | str | None,
    declared: Mapping[str, Preprocessing],
    limit: int | None,
    download: bool,
    progress: Progress | None,
) -> Raw:
    if source is not None:
        resize = any(each.resize for each in declared.values())
        return read_source(Path(source), model.inputs, resize=resize, limit=limit, progress=progress)
    if model.name.startswith("cifar10") and [spec.shape for spec in model.inputs] == [(32, 32, 3)]:
        found = find_cifar10(download=download, progress=progress)
        if found is not None:
            return found
    beside = offline_samples(model.path)
    if beside.is_file():
        return replace(read_source(beside, model.inputs), labels=None, offline=True)
    wanted = "x" if len(model.inputs) == 1 else ", ".join(spec.name for spec in model.inputs)
    shapes = ", ".join(f"(N, {', '.join(map(str, spec.shape))})" for spec in model.inputs)
    raise UsageError(
        "there are no samples: none were named, and no offline set lies beside the model",
        code="E_SAMPLES_MISSING",
        where=model.path,
        hint="name a file or folder of samples such as the model was trained on: --samples data.npz, "
        f"with {wanted} of shape {shapes}; or have them made from its batch norms: "
        "stm32-deploy calibrate MODEL",
    )


def offline_samples(model: Path) -> Path:
    """Where a model's own samples lie, if there are any: `<model>_samples.npz` beside it."""
    return model.with_name(f"{model.stem}_samples.npz")


def _are_bytes(raw: np.ndarray) -> bool:
    """Whether the numbers are bytes, in whichever type they are kept: whole, and from 0 up to 255."""
    if raw.dtype in (np.uint8, np.int8) or not raw.size:
        return raw.dtype == np.uint8
    some = raw[spread(len(raw), 64)]
    return bool(some.min() >= 0 and 1 < some.max() <= 255 and (some == np.trunc(some)).all())


def _are_held(model: FloatModel | TfliteModel, spec: TensorSpec, raw: np.ndarray) -> bool:
    """Whether the numbers are the integers that a TFLite file's input holds itself: int8, or int16 as it."""
    wide = raw.dtype == np.int16 and spec.dtype == "int16"
    return (raw.dtype == np.int8 or wide) and isinstance(model, TfliteModel)


def _default_preprocessing(
    model: FloatModel | TfliteModel, spec: TensorSpec, raw: np.ndarray, where: str
) -> Preprocessing:
    if raw.dtype.kind == "f" or _are_held(model, spec, raw):
        return Preprocessing()
    if isinstance(model, FloatModel):
        return default_preprocessing(model, spec)
    if spec.scale is None:
        return Preprocessing(scale=1 / 255)
    low, high = _input_range(spec)
    for candidate in (
        Preprocessing(scale=1 / 255),
        Preprocessing(),
        Preprocessing(scale=1 / 127.5, offset=-1),
        Preprocessing(offset=-128),
    ):
        reach = candidate.offset + 255 * candidate.scale
        slack = 0.15 * (reach - candidate.offset)
        if abs(low - candidate.offset) <= slack and abs(high - reach) <= slack:
            return candidate
    raise UsageError(
        f"the model's input holds {low:.4g} to {high:.4g}, which fits no usual preprocessing of 8-bit images",
        code="E_PREPROCESSING",
        where=where,
        hint="declare it: --preprocess scale=...,offset=... so that raw * scale + offset fills that range",
    )


def default_preprocessing(model: FloatModel, spec: TensorSpec) -> Preprocessing:
    """Of bytes for a float model: one whose first layer scales takes the numbers as the files hold them."""
    return Preprocessing() if _rescales(model, spec) else Preprocessing(scale=1 / 255)


def _rescales(model: FloatModel, spec: TensorSpec) -> bool:
    """Whether the first layer that reads an input scales it."""
    reader = next((layer for layer in model.layers if spec.name in layer.inputs), None)
    return reader is not None and reader.kind in {"Rescaling", "Normalization"}


def _input_range(spec: TensorSpec) -> tuple[float, float]:
    """The real values that a quantized input can hold; -1 to 1 of one that is not quantized."""
    scale = spec.scale or 1 / 128
    bounds = np.iinfo(spec.dtype if spec.scale else "int8")
    return scale * (int(bounds.min) - spec.zero_point), scale * (int(bounds.max) - spec.zero_point)


# --- checks --------------------------------------------------------------------------------------


def _checked_inputs(
    model: FloatModel | TfliteModel,
    raw: Values,
    where: str,
    preprocessings: Mapping[str, Preprocessing],
    declared: Mapping[str, Preprocessing],
) -> Values:
    """Each input checked, and as many samples of each."""
    several = len(model.inputs) > 1
    arrays = tuple(
        _checked(
            model,
            spec,
            array,
            f"{where}: {spec.name}" if several else where,
            preprocessings[spec.name],
            spec.name in declared,
        )
        for spec, array in zip(model.inputs, arrays_of(raw), strict=True)
    )
    counts = {spec.name: len(array) for spec, array in zip(model.inputs, arrays, strict=True)}
    if len({*counts.values()}) > 1:
        raise UsageError(
            "the inputs have different numbers of samples, expected as many of each",
            code="E_SAMPLES_SHAPE",
            where=where,
            details=[f"{name}: {count} samples" for name, count in counts.items()],
        )
    return bundled(tuple(counts), arrays)


def _checked(
    model: FloatModel | TfliteModel,
    spec: TensorSpec,
    raw: np.ndarray,
    where: str,
    preprocessing: Preprocessing,
    declared: bool,
) -> np.ndarray:
    """float32 (N, *input_shape), or a refusal that says what was expected."""
    raw = _with_batch(raw, spec.shape, where)
    if _are_held(model, spec, raw) and spec.scale and not declared:
        real: np.ndarray = (raw.astype(np.int32) - spec.zero_point) * np.float32(spec.scale)
        return real
    if raw.dtype.kind in "iu" and not declared and (raw.min() < 0 or raw.max() > 255):
        raise UsageError(
            f"the samples are {raw.dtype} from {raw.min()} to {raw.max()}, expected 0 to 255 or floats",
            code="E_SAMPLES_RANGE",
            where=where,
            hint="declare what turns them into the model's input, such as --preprocess scale=1/32768",
        )
    if raw.dtype.kind == "f":
        _refuse_not_finite(raw, where)
        if not declared:
            _refuse_undeclared_bytes(model, spec, raw, where)
    x = preprocessing.apply(raw)
    low, high = float(x.min()), float(x.max())
    if low == high:
        raise UsageError(
            f"every number of the samples is {low:g}, expected data that vary",
            code="E_SAMPLES_RANGE",
            where=where,
        )
    if max(abs(low), abs(high)) > 1e6:
        raise UsageError(
            f"the samples reach from {low:.3g} to {high:.3g}, which no network takes as input",
            code="E_SAMPLES_RANGE",
            where=where,
            hint="declare what scales them: --preprocess scale=...",
        )
    if isinstance(model, TfliteModel) and spec.scale is not None:
        _refuse_saturating(spec, x, where)
    return x


def _with_batch(raw: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    if raw.shape == shape:
        raw = raw[None]
    if shape[-1:] == (1,) and raw.shape[1:] == shape[:-1]:
        raw = raw[..., None]  # grey images without a channel axis
    if raw.shape[1:] != shape or not len(raw):
        turned = len(shape) == 3 and raw.shape[1:] == (shape[2], *shape[:2])
        raise UsageError(
            f"the samples have shape {_text(raw.shape)}, expected (N, {', '.join(map(str, shape))})"
            + ("" if len(raw.shape) and len(raw) else " with at least one sample"),
            code="E_SAMPLES_SHAPE",
            where=where,
            hint="move the channels to the end: x.transpose(0, 2, 3, 1)" if turned else None,
        )
    return raw


def _refuse_not_finite(raw: np.ndarray, where: str) -> None:
    bad = ~np.isfinite(raw).reshape(len(raw), -1).all(axis=1)
    if bad.any():
        raise UsageError(
            f"{bad.sum()} of {len(raw)} samples hold NaN or infinity (first: sample {bad.argmax()})",
            code="E_SAMPLES_NAN",
            where=where,
            hint="clean the data; calibration would take these numbers for the range",
        )


def _refuse_undeclared_bytes(
    model: FloatModel | TfliteModel, spec: TensorSpec, raw: np.ndarray, where: str
) -> None:
    """Whole numbers up to 255 in a float array: images, and nobody said whether the model scales them."""
    if len(spec.shape) != 3 or spec.shape[-1] not in (1, 3, 4):
        return
    if isinstance(model, FloatModel) and _rescales(model, spec):
        return
    if isinstance(model, TfliteModel) and spec.scale is not None:
        return
    head = raw[spread(len(raw), 64)]
    if head.min() >= 0 and 2 < head.max() <= 255 and bool((head == np.round(head)).all()):
        raise UsageError(
            f"the samples are floats that hold whole numbers from {head.min():g} to {head.max():g}; "
            "expected either what the model was trained on, or 8-bit images",
            code="E_SAMPLES_RANGE",
            where=where,
            hint="say which: --preprocess scale=1 if the model takes 0 to 255, "
            "--preprocess scale=1/255 if it takes 0 to 1",
        )


def _refuse_saturating(spec: TensorSpec, x: np.ndarray, where: str) -> None:
    low, high = _input_range(spec)
    slack = (high - low) / 64
    outside = float(((x < low - slack) | (x > high + slack)).mean())
    share_used = (float(x.max()) - float(x.min())) / (high - low)
    if outside > 0.1 or share_used < 1 / 32:
        raise UsageError(
            f"the samples reach from {x.min():.4g} to {x.max():.4g}, the model's quantized input holds "
            f"{low:.4g} to {high:.4g} ({100 * outside:.0f} % of the numbers lie outside)",
            code="E_SAMPLES_RANGE",
            where=where,
            hint="declare what turns them into that range: --preprocess scale=...,offset=...",
        )


def _checked_labels(
    model: FloatModel | TfliteModel, labels: np.ndarray, count: int, where: str
) -> np.ndarray:
    """int64 (N,); one-hot rows become the index of their one."""

    def refusal(problem: str) -> UsageError:
        return UsageError(
            problem,
            code="E_SAMPLES_LABELS",
            where=where,
            hint="one class number per sample, counted from 0; "
            "leave the labels out of the file where the model does not classify",
        )

    classes = model.outputs[0].classes
    if labels.ndim == 2 and labels.shape[1] > 1:
        if (
            labels.dtype.kind not in "fiub"
            or not (np.sort(labels, axis=1) == [0] * (labels.shape[1] - 1) + [1]).all()
        ):
            raise refusal(
                f"the labels have shape {_text(labels.shape)}, expected {count} numbers or one-hot rows"
            )
        labels = labels.argmax(axis=1)
    labels = labels.reshape(-1) if labels.shape in {(count,), (count, 1)} else labels
    if labels.shape != (count,):
        raise refusal(f"the labels have shape {_text(labels.shape)}, expected ({count},)")
    if (
        labels.dtype.kind not in "fiub"
        or not np.all(np.isfinite(labels))
        or not (labels == np.round(labels)).all()
    ):
        raise refusal(f"the labels are {labels.dtype}, expected whole numbers")
    found = labels.astype(np.int64)
    if found.min() < 0 or (classes is not None and found.max() >= classes):
        last = "" if classes is None else f" to {classes - 1}, as the model tells {classes} classes apart"
        raise refusal(f"the labels reach from {found.min()} to {found.max()}, expected 0{last}")
    return found


def _checked_classes(raw: Raw, model: FloatModel | TfliteModel) -> tuple[str, ...] | None:
    """The class names, where there is one for each class."""
    if raw.classes is None:
        return None
    classes = model.outputs[0].classes if isinstance(model, FloatModel) else len(raw.classes)
    return raw.classes if len(raw.classes) == classes else None


def _text(shape: Iterable[int]) -> str:
    return str(tuple(int(size) for size in shape))


def _whole(number: float) -> str:
    return f"{number:.6g}"
