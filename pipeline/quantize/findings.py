"""What is probably wrong with a quantized model or its samples: each with its values and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.load.samples import spread
from pipeline.quantize.inspect import INPUT, InspectedLayer, Inspection

FEWEST_SAMPLES = 8
"""From which on one class for all of them is remarkable."""
OUTSIDE = 1e-3
"""Share of an input's values beyond its calibrated range."""
LITTLE_USED = 1 / 8
"""Of an input's range."""
SATURATED = 0.01
"""Share of a layer's values beyond what its integers can stand for."""
LOST = 1 / 8
"""Share of a layer's channels that are constant in int8, and are not in float."""
WIDE = 0.5
"""Share of a range that no value reaches."""
SPOILED = 4.0
"""Two bits of eight that a few channels take from all others."""
COSTLY = 0.1
"""Share of the noise at the output, below which a spoiled scale does no harm."""
COMPARED_SAMPLES = 500
SPREAD_RATIO = 1.8
"""Between two sets' standard deviations; sets of one kind differ by far less."""
SHIFT = 0.75
"""Between two sets' means, in standard deviations."""
SIGNIFICANT = 4.0
"""Standard errors that a mean has to be from 0 for its sign to be believed."""
ALIKE = 0.15
"""Between two means, in standard deviations, that are the same."""
USUAL_FACTORS = {
    255.0: "0 to 255 against 0 to 1",
    127.5: "0 to 255 against -1 to 1",
    2.0: "-1 to 1 against 0 to 1",
}
NAMED = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that wants a look."""

    code: str
    """Stays the same: W_SAME_CLASS, W_INPUT_RANGE, W_PREPARATION, W_SATURATED, W_DEAD or W_SPOILED."""
    subject: str
    """The input, layer or output."""
    problem: str
    """A sentence that names it and the values."""
    remedy: str
    """What to do."""

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"


def find_in_layers(inspection: Inspection) -> tuple[Finding, ...]:
    """What the layers of an inspected model show."""
    found = []
    same = _same_class(inspection)
    if same:
        found.append(same)
    for layer in inspection.layers:
        if layer.operator != INPUT:
            finding = _dead(layer, inspection) or _saturated(layer) or _spoiled(layer)
            found += [finding] if finding else []
    return tuple(found)


def _same_class(inspection: Inspection) -> Finding | None:
    predicted, real = inspection.predicted, inspection.predicted_float
    if len(predicted) < FEWEST_SAMPLES or len(set(predicted)) > 1:
        return None
    others = len(set(real))
    problem = f"The int8 model predicts class {predicted[0]} for all {len(predicted)} samples"
    if others > 1:
        return Finding(
            "W_SAME_CLASS",
            "output",
            f"{problem}; the float model predicts {others} different ones.",
            "The layers that cost most say where int8 fails; calibrate with samples of all classes.",
        )
    also = "; so does the float model" if real else ""
    return Finding(
        "W_SAME_CLASS",
        "output",
        f"{problem}{also}.",
        "Either the samples are all of that class, or they are not prepared as in training (--preprocess).",
    )


def _dead(layer: InspectedLayer, inspection: Inspection) -> Finding | None:
    constant, lost = layer.constant_channels, layer.lost_channels
    if inspection.samples < FEWEST_SAMPLES:
        return None
    if constant == layer.channels:
        in_float = f"; in float it reaches from {layer.minimum:.4g} to {layer.maximum:.4g}" if lost else ""
        return Finding(
            "W_DEAD",
            layer.name,
            f"Layer {layer.name} gives the same integers for all {inspection.samples} samples{in_float}.",
            "Nothing behind it depends on the input: is the model trained, and are the samples prepared "
            "as in training?",
        )
    if lost is not None and lost > LOST * layer.channels:
        remedy = "Calibrate with samples that move them, or scale channels alike (--recipe equalize)."
        if layer.unused > WIDE:
            remedy = (
                f"Its range, {layer.low:.4g} to {layer.high:.4g}, is far wider than its values: TFLite keeps "
                "one scale across a concatenation or a pooling, so scale what meets there alike."
            )
        return Finding(
            "W_DEAD",
            layer.name,
            f"{lost} of {layer.channels} channels of layer {layer.name} never change in int8 (one step is "
            f"{layer.scale:.3g}), though they do in float.",
            remedy,
        )
    return None


def _saturated(layer: InspectedLayer) -> Finding | None:
    ends = f"{layer.low:.4g} to {layer.high:.4g}"
    if layer.clipped is not None:
        if layer.clipped <= SATURATED or (layer.floor and layer.ceiling):
            return None
        return Finding(
            "W_SATURATED",
            layer.name,
            f"{100 * layer.clipped:.1f} % of the values of layer {layer.name} lie beyond what int8 can hold "
            f"there: {ends}; in float they reach from {layer.minimum:.4g} to {layer.maximum:.4g}.",
            "Calibrate with samples that reach as far, and with ranges that do (--recipe minmax).",
        )
    shares = [(layer.at_low, layer.low, layer.floor), (layer.at_high, layer.high, layer.ceiling)]
    beyond = [(share, end) for share, end, natural in shares if share > SATURATED and not natural]
    if not beyond:
        return None
    share, end = max(beyond)
    return Finding(
        "W_SATURATED",
        layer.name,
        f"{100 * share:.1f} % of the values of layer {layer.name} stand at the end of its range, {end:.4g} "
        f"of {ends}, where nothing clamps them.",
        "It was calibrated with other samples than these, or with too few: convert it again.",
    )


def _spoiled(layer: InspectedLayer) -> Finding | None:
    cheap = layer.cost is not None and layer.cost < COSTLY
    if layer.spoiled is None or layer.spoiled.factor < SPOILED or cheap:
        return None
    channels = layer.spoiled.by
    named = ", ".join(f"{c.channel} ({c.minimum:.3g} to {c.maximum:.3g})" for c in channels[:NAMED])
    more = f" and {len(channels) - NAMED} more" if len(channels) > NAMED else ""
    word, verb = ("Channel", "makes") if len(channels) == 1 else ("Channels", "make")
    return Finding(
        "W_SPOILED",
        layer.name,
        f"{word} {named}{more} of layer {layer.name} {verb} its one scale {layer.spoiled.factor:.1f} times "
        f"as coarse for its other {layer.channels - len(channels)} channels.",
        "Scale channels alike (--recipe equalize), or cut the range (--recipe mse).",
    )


# --- inputs ----------------------------------------------------------------------------------------


def find_out_of_range(layer: InspectedLayer, x: np.ndarray) -> Finding | None:
    """Whether samples float32 (N, ...) of an input lie within what its integers stand for, and fill it."""
    slack = layer.scale / 2
    below, above = float((x < layer.low - slack).mean()), float((x > layer.high + slack).mean())
    low, high = float(x.min()), float(x.max())
    ends = f"{layer.low:.4g} to {layer.high:.4g}"
    if below + above > OUTSIDE:
        return Finding(
            "W_INPUT_RANGE",
            layer.name,
            f"{100 * (below + above):.2g} % of the samples' values lie outside of the range that input "
            f"{layer.name} was calibrated for, {ends}: they reach from {low:.4g} to {high:.4g}.",
            "Prepare both alike (--preprocess), or calibrate with samples that reach as far.",
        )
    used = (high - low) / (layer.high - layer.low)
    if used < LITTLE_USED:
        return Finding(
            "W_INPUT_RANGE",
            layer.name,
            f"The samples fill {100 * used:.2g} % of the range that input {layer.name} was calibrated for, "
            f"{ends}: they reach from {low:.4g} to {high:.4g}.",
            "Prepare both alike (--preprocess), or calibrate with samples such as these.",
        )
    return None


def find_other_preparation(name: str, calibration: np.ndarray, evaluation: np.ndarray) -> Finding | None:
    """Whether two sets of samples (N, ..., channels) of an input were prepared in different ways.

    Looked for are another scale, another offset (a mean subtracted from one of them), and channels in
    another order. Sets of one kind differ in all of these by far less than what is taken for a sign.
    """
    first, second = (
        x[spread(len(x), COMPARED_SAMPLES)].astype(np.float64) for x in (calibration, evaluation)
    )
    return (
        _other_scale(name, first, second)
        or _other_offset(name, first, second)
        or _other_order(name, first, second)
    )


def _channels(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(-1, 1)


def _in_words(x: np.ndarray) -> str:
    return f"mean {x.mean():.4g}, standard deviation {x.std():.4g}, {x.min():.4g} to {x.max():.4g}"


def _prepared(name: str, how: str, first: np.ndarray, second: np.ndarray, remedy: str) -> Finding:
    return Finding(
        "W_PREPARATION",
        name,
        f"Input {name} is prepared in one way for calibration and in another for evaluation: {how} "
        f"(calibration: {_in_words(first)}; evaluation: {_in_words(second)}).",
        remedy,
    )


def _other_scale(name: str, first: np.ndarray, second: np.ndarray) -> Finding | None:
    spreads = [_channels(x).std(axis=0) for x in (first, second)]
    alive = (spreads[0] > 0) & (spreads[1] > 0)
    if not alive.any():
        return None
    ratio = float(np.median(spreads[1][alive] / spreads[0][alive]))
    factor = max(ratio, 1 / ratio)
    if factor < SPREAD_RATIO:
        return None
    usual = next(
        (f" ({words}?)" for value, words in USUAL_FACTORS.items() if 0.8 < factor / value < 1.25), ""
    )
    larger = "evaluation" if ratio > 1 else "calibration"
    return _prepared(
        name,
        f"the values for {larger} spread {factor:.3g} times as wide{usual}",
        first,
        second,
        "Give both sets in one scale; --preprocess is applied to both.",
    )


def _other_offset(name: str, first: np.ndarray, second: np.ndarray) -> Finding | None:
    before, after = _channels(first), _channels(second)
    spreads = np.maximum(before.std(axis=0), 1e-12)
    shift = float(np.median((after.mean(axis=0) - before.mean(axis=0)) / spreads))
    if abs(shift) < SHIFT:
        return None
    means = [", ".join(f"{mean:.4g}" for mean in x.mean(axis=0)[:NAMED]) for x in (before, after)]
    return _prepared(
        name,
        f"means by channel {means[0]} against {means[1]}",
        first,
        second,
        "Subtract the mean from both sets or from neither.",
    )


def _other_order(name: str, first: np.ndarray, second: np.ndarray) -> Finding | None:
    """Of pictures: whether red is above blue in one set, and below it in the other."""
    if first.ndim != 4 or first.shape[-1] != 3:
        return None
    contrasts = [x[..., 0].mean(axis=(1, 2)) - x[..., 2].mean(axis=(1, 2)) for x in (first, second)]
    means = [float(contrast.mean()) for contrast in contrasts]
    errors = [float(contrast.std() / np.sqrt(len(contrast))) for contrast in contrasts]
    sure = all(abs(mean) > SIGNIFICANT * error for mean, error in zip(means, errors, strict=True))
    if not sure or means[0] * means[1] >= 0:
        return None
    # Pictures of the sky are blue, too; turned, those of the other set have the same color.
    before, after = _channels(first), _channels(second[..., ::-1])
    if not (np.abs(after.mean(axis=0) - before.mean(axis=0)) < ALIKE * before.std(axis=0)).all():
        return None
    return _prepared(
        name,
        f"the first channel less the last is {means[0]:+.3g} against {means[1]:+.3g}: "
        "red and blue seem swapped",
        first,
        second,
        "Give both sets in one order of channels; --preprocess channels=bgr turns both.",
    )


def find_in_inputs(
    inspection: Inspection, evaluation: Sequence[np.ndarray], calibration: Sequence[np.ndarray] | None
) -> tuple[Finding, ...]:
    """What the samples of each input show, beside the range that it was calibrated for and the other set."""
    inputs = [layer for layer in inspection.layers if layer.operator == INPUT]
    found = []
    for index, layer in enumerate(inputs):
        other = None
        if calibration is not None:
            other = find_other_preparation(layer.name, calibration[index], evaluation[index])
        # Of samples that are prepared otherwise, the range is only a consequence.
        found.append(other or find_out_of_range(layer, evaluation[index]))
    return tuple(finding for finding in found if finding)
