"""What a terminal shows of an inspected quantized model: rows of text, printed by someone else."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report import words
from pipeline.report.schema import DeviationSection, InspectedLayerSection, InspectionSection

RANKED = 5
ROUGH = 0.7
"""Below that, layers' errors do not add up: what one costs depends on the others."""
CHANNELS_NAMED = 3
UNUSED = "unused: part of the integers' range that no sample reached"
EXACT = "exact"
# Above this two results of float32 arithmetic differ by its own roundings.
EXACT_DB = 120.0


@dataclass(frozen=True, slots=True)
class InspectionTable:
    """Plain text without markup: escape it where square brackets mean something."""

    before: tuple[str, ...]
    """Lines that say what is compared, and what costs most."""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int
    """How many columns, from the left, are text; the others are numbers."""
    wide: tuple[str, ...]
    """Columns that a narrow terminal can do without."""
    spoiled: tuple[str, ...]
    """Layers whose scale a few channels make coarse for the others, the coarsest first."""
    after: tuple[str, ...]
    """What the columns mean."""


def inspection_table(found: InspectionSection) -> InspectionTable:
    """The layers in order of execution, with what they cost where that is known."""
    if found.without_float:
        return InspectionTable(
            (found.without_float, f"Ranges are those of {words.plural(found.samples, 'sample')}."),
            ("layer", "operator", "seen, integers", "of", "unused", "at ends", "constant"),
            tuple(_row_without_float(layer) for layer in found.layers),
            2,
            ("operator",),
            _spoiled(found),
            (
                UNUSED,
                "at ends: values at the smallest or the largest integer",
                "constant: channels that never change",
            ),
        )
    return InspectionTable(
        (*summary_lines(found), *_ranking(found)),
        (
            "layer",
            "operator",
            "cost",
            "own dB",
            "total dB",
            "weights",
            "cosine",
            "bias",
            "seen, float",
            "unused",
            "beyond",
        ),
        tuple(_row(layer) for layer in found.layers),
        2,
        ("operator", "weights", "cosine", "beyond"),
        _spoiled(found),
        (
            "cost: share of the noise at the model's output that the layer's own error causes",
            "own dB: signal to noise of that error alone; total dB: with all that comes from earlier layers",
            "weights: signal to noise of the layer's integer weights alone, in dB",
            "cosine: between quantized and float; bias: mean own error, in steps of the layer's scale",
            f"{UNUSED}; beyond: float values outside of it",
        ),
    )


def summary_lines(found: InspectionSection) -> tuple[str, ...]:
    """What was compared, and how the whole came out."""
    lines = []
    if found.output_db is not None:
        lines.append(
            f"quantized against float on {words.plural(found.samples, 'sample')}: signal to noise "
            f"at the output {found.output_db:.1f} dB"
        )
        if found.explained:
            lines.append(
                f"the layers' own errors account for {words.share(found.explained)} of the noise there "
                f"({words.plural(found.costed_samples, 'sample')})"
                + (": they add up badly, so take the costs as rough" if found.explained < ROUGH else "")
            )
    if found.predicted_float:
        same = sum(a == b for a, b in zip(found.predicted, found.predicted_float, strict=True))
        lines.append(f"same class for {same} of {words.plural(len(found.predicted), 'sample')}")
    if found.unmatched:
        lines.append(f"not in the float model, and so held against nothing: {', '.join(found.unmatched)}")
    return tuple(lines)


def ranked(found: InspectionSection) -> list[InspectedLayerSection]:
    """The layers that cost something, the costliest first."""
    return sorted((layer for layer in found.layers if layer.cost), key=lambda layer: -(layer.cost or 0))


def _ranking(found: InspectionSection) -> tuple[str, ...]:
    costliest = ranked(found)[:RANKED]
    if not costliest:
        return ()
    return (
        f"what costs most: {', '.join(f'{layer.name} {words.share(layer.cost)}' for layer in costliest)}",
    )


def _spoiled(found: InspectionSection) -> tuple[str, ...]:
    lines = []
    spoiled = [(layer, layer.spoiled) for layer in found.layers if layer.spoiled]
    for layer, held in sorted(spoiled, key=lambda each: -each[1].factor):
        count, factor = len(held.by), words.ratio(held.factor)
        named = ", ".join(f"{c.channel} ({span(c.minimum, c.maximum)})" for c in held.by[:CHANNELS_NAMED])
        named += f" and {count - CHANNELS_NAMED} more" if count > CHANNELS_NAMED else ""
        lines.append(
            f"{layer.name}: its scale is {factor} times as coarse as {layer.channels - count} of its "
            f"{layer.channels} channels need, for {'channel' if count == 1 else 'channels'} {named}"
        )
    return tuple(lines)


def decibels(deviation: DeviationSection | None) -> str:
    """`28.4`; `exact` where nothing differs; a dash where nothing is known."""
    if deviation is None:
        return words.UNKNOWN
    if deviation.sqnr_db is None:
        return EXACT if deviation.rms == 0 else words.UNKNOWN
    return EXACT if deviation.sqnr_db > EXACT_DB else f"{deviation.sqnr_db:.1f}"


def steps(value: float | None, scale: float) -> str:
    """A real number in steps of a scale: `+0.25`."""
    return words.UNKNOWN if value is None else f"{value / scale:+.2f}".replace("-", "−")


def span(low: float, high: float) -> str:
    """`−1.6 … 13.3`"""
    return f"{low:.3g} … {high:.3g}".replace("-", "−")


def _row(layer: InspectedLayerSection) -> tuple[str, ...]:
    cosine = layer.total.cosine if layer.total else None
    return (
        layer.name,
        layer.operator,
        words.share(layer.cost),
        decibels(layer.own),
        decibels(layer.total),
        words.UNKNOWN if layer.weights_db is None else f"{layer.weights_db:.1f}",
        words.UNKNOWN if cosine is None else f"{cosine:.4f}",
        steps(layer.own.bias if layer.own else None, layer.scale),
        span(layer.minimum, layer.maximum),
        words.share(layer.unused),
        words.share(layer.clipped),
    )


def _row_without_float(layer: InspectedLayerSection) -> tuple[str, ...]:
    return (
        layer.name,
        layer.operator,
        span(layer.minimum, layer.maximum),
        span(layer.low, layer.high),
        words.share(layer.unused),
        words.share(layer.at_low + layer.at_high),
        f"{layer.constant_channels} of {layer.channels}",
    )
