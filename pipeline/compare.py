"""Hold the measurement against the host's prediction and the reference outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from pipeline.lower import Place, Program, place_bytes
from pipeline.measure import Measurement, Source
from pipeline.metrics import FLOAT_MODEL, QUANTIZED_MODEL

if TYPE_CHECKING:
    from pipeline.build import Firmware
    from pipeline.forecast import CycleForecast
    from pipeline.metrics import Agreement, Classification
    from pipeline.timing import Estimate

# (sample, layer) -> that layer's output for that sample: its own dtype, or raw bytes as uint8.
LayerOutputs = Mapping[tuple[int, int], np.ndarray]

# Where good becomes "good, but look": chosen so that a healthy deployment never meets them.
NEARLY_FULL = 0.95
"""Share of a board's flash or RAM."""
STACK_NEARLY_FULL = 0.80
"""Share of the reserved stack: the mark is of the samples that ran, others may go deeper."""
LOW_AGREEMENT = 0.97
"""Share of samples for which float and quantized model predict the same class."""
ACCURACY_LOSS = 0.01
"""Accuracy of the quantized model below that of float."""


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """What the comparison has to know of a board."""

    name: str
    title: str
    flash_bytes: int
    ram_bytes: int
    clock_hz: int
    """0 where it has no meaning, as in a simulator."""
    core: str = ""
    """Such as `cortex-m4`; empty where it is not known."""


@dataclass(frozen=True)
class Prediction:
    """What the host expects before anything is compiled; `basis` says where each field comes from."""

    weights_bytes: int
    code_bytes: int
    """Flash besides the weights."""
    flash_bytes: int
    arena_bytes: int
    ram_bytes: int
    """Arena, static data, code in RAM and the reserved stack."""
    code_in_ram_bytes: int
    """Of it, code, which stays in flash where there is no room for it."""
    instructions: int | None
    """Of one inference; None where no kernel has a cost formula."""
    layer_instructions: tuple[int, ...]
    """One a call of the program, or empty."""
    one_macc_per_cycle_seconds: float
    """A convention for comparing models, not a forecast of time."""
    board: str
    clock_hz: int
    cycles: CycleForecast | None = None
    """Of one inference; None where no board is known whose cycles could be predicted."""
    basis: Mapping[str, str] = field(default_factory=dict)
    """In words, by the name of the field above."""


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The earliest element that is not what the reference has."""

    sample: int
    layer: int | None
    """Index of the call that wrote it; None where the output is no call's."""
    layer_name: str
    tensor: str
    element: int
    """Flat index."""
    position: tuple[int, ...]
    """The same in the tensor's shape, NHWC."""
    measured: int | float
    expected: int | float
    found_in: str
    """Whose values these are: `target`, or the build that dumped its layers."""


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """How one layer's output compares, over the samples whose layers were dumped."""

    layer: int
    name: str
    elements: int
    differing_elements: int
    largest_difference: float


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """How one of several outputs compares, over all samples."""

    name: str
    """What C calls it after the model's name, such as `output_box`."""
    tensor: str
    elements: int
    differing_elements: int
    largest_difference: float


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """The target's outputs against a reference, element by element."""

    reference: str
    samples: int
    elements: int
    differing_elements: int
    differing_samples: int
    largest_difference: float
    first: FirstDifference | None
    layers: tuple[LayerDifference, ...]
    """Empty unless layers were dumped."""
    layers_source: str
    remark: str
    """What the layers say of a difference at the end; empty without one."""
    each: tuple[OutputDifference, ...] = ()
    """Output by output, where there are several."""

    @property
    def exact(self) -> bool:
        """Something was compared, and no element differs."""
        return self.elements > 0 and self.differing_elements == 0


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """(samples, bytes) uint8 of an array whose first axis is the samples."""
    array = np.ascontiguousarray(array)
    return array.reshape(array.shape[0], math.prod(array.shape[1:])).view(np.uint8)


def _as_elements(array: np.ndarray, dtype: str, name: str) -> np.ndarray:
    """The flat elements of one tensor, given as itself or as raw bytes."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype != np.dtype(dtype) and flat.dtype != np.uint8:
        raise ValueError(f"{name}: {flat.dtype} values cannot be compared with {dtype}")
    return flat.view(dtype)


def _differing(measured: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Mask of elements whose bytes differ: two NaNs of the same bits are equal, 0.0 and -0.0 are not."""
    raw = np.dtype(f"u{measured.dtype.itemsize}")
    return np.asarray(measured.view(raw) != expected.view(raw))


def _largest(measured: np.ndarray, expected: np.ndarray) -> float:
    """The largest finite |measured - expected|, 0 for nothing."""
    wide = np.float64 if measured.dtype.kind == "f" else np.int64
    gaps = np.abs(measured.astype(wide) - expected.astype(wide))
    return float(np.max(gaps[np.isfinite(gaps)], initial=0))


def _point(
    sample: int,
    layer: int | None,
    layer_name: str,
    place: Place,
    measured: np.ndarray,
    expected: np.ndarray,
    found_in: str,
) -> FirstDifference:
    element = int(np.flatnonzero(_differing(measured, expected))[0])
    return FirstDifference(
        sample=sample,
        layer=layer,
        layer_name=layer_name,
        tensor=place.tensor,
        element=element,
        position=tuple(int(i) for i in np.unravel_index(element, place.shape)),
        measured=measured[element].item(),
        expected=expected[element].item(),
        found_in=found_in,
    )


def compare_outputs(
    measured: np.ndarray,
    expected: np.ndarray,
    *,
    reference: str,
    layer_dumps: LayerOutputs | None = None,
    expected_layers: LayerOutputs | None = None,
    program: Program,
    layers_source: str = "the host build of the same source",
) -> OutputComparison:
    """Compare outputs element by element, in the dtype of the program's outputs.

    `measured` is (samples, bytes) uint8; `expected` is that, or (samples, ...) of the output's dtype.
    Where layers are given, the first difference is the earliest layer's of the first sample that has
    one. Raises ValueError where the two cannot be the same thing.
    """
    got, want = _as_bytes(measured), _as_bytes(expected)
    width = sum(place_bytes(place) for place in program.outputs)
    if got.shape != want.shape or got.shape[1] != width:
        raise ValueError(
            f"outputs (samples, bytes) {got.shape} against {want.shape}; the program writes {width} bytes"
        )
    writers = {call.writes.tensor: call for call in program.calls}
    differing = elements = 0
    largest = 0.0
    bad_samples: set[int] = set()
    candidates: list[FirstDifference] = []
    each: list[OutputDifference] = []
    start = 0
    for symbol, place in program.output_ports:
        end = start + place_bytes(place)
        ours = np.ascontiguousarray(got[:, start:end]).view(place.dtype)
        theirs = np.ascontiguousarray(want[:, start:end]).view(place.dtype)
        mask = _differing(ours, theirs)
        found = OutputDifference(symbol, place.tensor, mask.size, int(mask.sum()), _largest(ours, theirs))
        each.append(found)
        elements += found.elements
        differing += found.differing_elements
        largest = max(largest, found.largest_difference)
        rows = np.flatnonzero(mask.any(axis=1))
        bad_samples.update(rows.tolist())
        if rows.size:
            row, writer = int(rows[0]), writers.get(place.tensor)
            index, name = (writer.index, writer.name) if writer else (None, place.tensor)
            candidates.append(_point(row, index, name, place, ours[row], theirs[row], "target"))
        start = end
    first = min(candidates, key=lambda point: point.sample, default=None)

    layers, in_layers = _compare_layers(layer_dumps or {}, expected_layers or {}, program, layers_source)
    remark = ""
    if first and in_layers:
        remark = f"Seen in {layers_source}; the layers before this one equal the reference."
        first = in_layers
    elif first and layers:
        remark = (
            f"Every layer of {layers_source} equals the reference, though the outputs did not: "
            "suspect what that run does not share, such as the transfer, memory or compiler flags."
        )
    elif in_layers:
        remark = (
            f"The outputs are equal, yet a layer of {layers_source} differs on the way: "
            f"layer {in_layers.layer} ({in_layers.layer_name})."
        )
        first = in_layers
    return OutputComparison(
        reference=reference,
        samples=got.shape[0],
        elements=elements,
        differing_elements=differing,
        differing_samples=len(bad_samples),
        largest_difference=largest,
        first=first,
        layers=layers,
        layers_source=layers_source if layers else "",
        remark=remark,
        each=tuple(each) if len(each) > 1 else (),
    )


def _compare_layers(
    dumps: LayerOutputs, expected: LayerOutputs, program: Program, source: str
) -> tuple[tuple[LayerDifference, ...], FirstDifference | None]:
    first: FirstDifference | None = None
    found: dict[int, LayerDifference] = {}
    for sample, layer in sorted(dumps.keys() & expected.keys()):
        call = program.calls[layer]
        ours = _as_elements(dumps[sample, layer], call.writes.dtype, call.name)
        theirs = _as_elements(expected[sample, layer], call.writes.dtype, call.name)
        if ours.shape != theirs.shape:
            raise ValueError(f"{call.name}: {ours.size} elements against {theirs.size}")
        count = int(_differing(ours, theirs).sum())
        if count and first is None:
            first = _point(sample, layer, call.name, call.writes, ours, theirs, source)
        before = found.get(layer, LayerDifference(layer, call.name, 0, 0, 0.0))
        found[layer] = LayerDifference(
            layer,
            call.name,
            before.elements + ours.size,
            before.differing_elements + count,
            max(before.largest_difference, _largest(ours, theirs)),
        )
    return tuple(found[layer] for layer in sorted(found)), first


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and, in words, where it comes from."""

    value: int | float
    source: str


@dataclass(frozen=True, slots=True)
class Difference:
    """`of` less `against`, for two figures of the same kind."""

    of: str
    against: str
    absolute: int | float
    percent: float | None
    """Of `against`; None where that is 0."""


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure as predicted, linked and measured; a blank is a figure that nobody has."""

    key: str
    """Stable, for programs."""
    figure: str
    unit: str
    predicted: Figure | None = None
    linked: Figure | None = None
    measured: Figure | None = None
    estimated: Figure | None = None
    differences: tuple[Difference, ...] = ()
    """Only between figures that may be compared."""
    remark: str = ""
    """Why the others may not."""


# What a count is, and what it is not. The Source enum's value is the unit.
COUNTS = {
    Source.CYCLES: ("Clock cycles per inference", "clock cycles counted by the core itself"),
    Source.INSTRUCTIONS: (
        "Instructions per inference",
        "instructions executed, counted by a simulator; a count of work, not of time",
    ),
    Source.ESTIMATED_CYCLES: (
        "Estimated cycles per inference",
        "clock cycles estimated by a model of the core; not measured on a board",
    ),
    Source.HOST: ("Host time per inference", "nanoseconds on this computer; they say nothing of a board"),
}


def difference(of: str, value: int | float, against: str, base: int | float) -> Difference:
    """How far `value` lies above (positive) or below `base`."""
    return Difference(of, against, value - base, 100 * (value - base) / base if base else None)


def compare_figures(
    prediction: Prediction | None,
    firmware: Firmware | None,
    measurement: Measurement | None,
    estimate: Estimate | None = None,
    *,
    same_plan: bool = True,
) -> tuple[FigureRow, ...]:
    """Every figure as predicted, linked and measured, with differences where they mean something.

    `firmware` is the image linked for the board asked for; the measurement may come from another image
    of the same core, which each measured figure's source then says by naming its board. Without
    `same_plan` it comes from one whose kernels are others, and with them its plan of memory.
    """
    rows = [
        _row(
            "flash",
            "Flash",
            "bytes",
            predicted=_predicted(prediction, "flash_bytes", "the sum of the two below"),
            linked=_linked(firmware, "flash_bytes", "ELF file, all that is stored in flash"),
        ),
        _row(
            "weights",
            "of it weights and constants",
            "bytes",
            predicted=_predicted(prediction, "weights_bytes", "the program's constants"),
            linked=_linked(firmware, "weights_bytes", "ELF file, the model's constants"),
        ),
        _row(
            "code",
            "of it everything else",
            "bytes",
            predicted=_predicted(prediction, "code_bytes", "usual size of the kernels and the harness"),
            linked=_linked(firmware, "code_bytes", "ELF file, flash less weights"),
        ),
        _row(
            "ram",
            "RAM",
            "bytes",
            predicted=_predicted(prediction, "ram_bytes", "arena, static data and reserved stack"),
            linked=_linked(firmware, "ram_bytes", "ELF file, all RAM claimed, reserved stack included"),
        ),
        _row(
            "arena",
            "of it arena (activations, scratch)",
            "bytes",
            predicted=_predicted(prediction, "arena_bytes", "the memory plan"),
            linked=_part(firmware, "arena", "ELF file, the arena's symbol"),
            measured=_measured(measurement if same_plan else None, "arena_bytes", "said by the image"),
        ),
        FigureRow(
            "stack",
            "of it stack",
            "bytes",
            linked=_part(firmware, "stack", "reserved by the linker script"),
            measured=_measured(measurement, "stack_bytes", "high-water mark during inference"),
            remark="Reserved against used: the gap is a margin, not an error of either.",
        ),
        *_count_rows(prediction, measurement, estimate),
        *([] if counted_cycles(measurement, prediction, estimate) else _cycle_rows(prediction, estimate)),
        _time_row(prediction, measurement, estimate),
    ]
    return tuple(row for row in rows if row.predicted or row.linked or row.measured or row.estimated)


def _row(
    key: str,
    figure: str,
    unit: str,
    *,
    predicted: Figure | None = None,
    linked: Figure | None = None,
    measured: Figure | None = None,
) -> FigureRow:
    """A row whose figures all mean the same thing: each is held against the first that is known."""
    known = [
        (name, value)
        for name, value in (("predicted", predicted), ("linked", linked), ("measured", measured))
        if value is not None
    ]
    base = known[0] if known else None
    differences = tuple(
        difference(name, value.value, base[0], base[1].value) for name, value in known[1:] if base is not None
    )
    return FigureRow(key, figure, unit, predicted, linked, measured, differences=differences)


def _predicted(prediction: Prediction | None, name: str, basis: str) -> Figure | None:
    value = getattr(prediction, name) if prediction else None
    if prediction is None or value is None:
        return None
    return Figure(value, prediction.basis.get(name, basis))


def _linked(firmware: Firmware | None, name: str, words: str) -> Figure | None:
    return Figure(getattr(firmware, name), f"{words} ({firmware.board})") if firmware else None


def _part(firmware: Firmware | None, part: str, words: str) -> Figure | None:
    """A part of the image's RAM."""
    if firmware is None or part not in firmware.ram_parts:
        return None
    return Figure(firmware.ram_parts[part], f"{words} ({firmware.board})")


def _measured(measurement: Measurement | None, name: str, words: str) -> Figure | None:
    if measurement is None:
        return None
    return Figure(getattr(measurement, name), f"{words} ({measurement.runner}, {measurement.board})")


def counted_cycles(
    measurement: Measurement | None, prediction: Prediction | None, estimate: Estimate | None
) -> bool:
    """Whether a core counted its cycles, and what was predicted and estimated is of that very board."""
    if measurement is None or measurement.source is not Source.CYCLES:
        return False
    boards = {estimate.model.board if estimate else None}
    boards.add(prediction.cycles.board if prediction and prediction.cycles else None)
    return boards - {None} == {measurement.board}


def _count_rows(
    prediction: Prediction | None, measurement: Measurement | None, estimate: Estimate | None
) -> list[FigureRow]:
    """Predicted instructions beside measured ones; any other measured unit in a row of its own.

    Cycles that a board's core counted stand beside those that were predicted and estimated for it.
    """
    predicted = _predicted(prediction, "instructions", "cost formulas of the kernels")
    figure, unit = COUNTS[Source.INSTRUCTIONS][0], Source.INSTRUCTIONS.value
    if measurement is None:
        return [_row("instructions", figure, unit, predicted=predicted)]
    meaning = COUNTS[measurement.source][1]
    count = Figure(
        measurement.total.median,
        f"{meaning}; {measurement.counter} ({measurement.runner}, {measurement.board})",
    )
    if measurement.source is Source.INSTRUCTIONS:
        row = _row("instructions", figure, unit, predicted=predicted, measured=count)
        return [row]
    if counted_cycles(measurement, prediction, estimate):
        (cycles,) = _cycle_rows(prediction, estimate)
        differences = cycles.differences
        if cycles.estimated:
            differences += (difference("measured", count.value, "estimated", cycles.estimated.value),)
        elif cycles.predicted:
            differences += (difference("measured", count.value, "predicted", cycles.predicted.value),)
        own = replace(
            cycles,
            key="count",
            figure=COUNTS[measurement.source][0],
            unit=measurement.source.value,
            measured=count,
            differences=differences,
        )
        return [_row("instructions", figure, unit, predicted=predicted), own]
    own = FigureRow(
        "count",
        COUNTS[measurement.source][0],
        measurement.source.value,
        measured=count,
        remark=f"No {measurement.source.value} were predicted; instructions are another unit.",
    )
    return [_row("instructions", figure, unit, predicted=predicted), own]


def same_board(forecast: CycleForecast | None, estimate: Estimate | None) -> bool:
    """Whether predicted and estimated cycles are of one board, and may be held against each other."""
    return forecast is not None and estimate is not None and forecast.board == estimate.model.board


def _cycle_rows(prediction: Prediction | None, estimate: Estimate | None) -> list[FigureRow]:
    """Predicted and estimated cycles: the prediction is of the timing model's own figure."""
    forecast = prediction.cycles if prediction else None
    predicted = estimated = None
    if forecast:
        predicted = Figure(forecast.cycles, f"cost formulas of the kernels on {forecast.board_title}")
    if estimate:
        what = f"timing model of {estimate.model.title} over the run of {estimate.simulator}"
        estimated = Figure(estimate.total.cycles, what)
    differences: tuple[Difference, ...] = ()
    if predicted and estimated and same_board(forecast, estimate):
        differences = (difference("estimated", estimated.value, "predicted", predicted.value),)
    return [
        FigureRow(
            "estimated_cycles",
            "Estimated cycles per inference",
            Source.ESTIMATED_CYCLES.value,
            predicted=predicted,
            estimated=estimated,
            differences=differences,
        )
    ]


def _time_row(
    prediction: Prediction | None, measurement: Measurement | None, estimate: Estimate | None
) -> FigureRow:
    convention = measured = None
    if prediction:
        convention = Figure(
            prediction.one_macc_per_cycle_seconds,
            prediction.basis.get(
                "one_macc_per_cycle_seconds",
                f"convention: one MACC per cycle at {prediction.clock_hz / 1e6:g} MHz ({prediction.board})",
            ),
        )
    estimated = None
    if estimate:
        where = f"at {estimate.model.clock_hz / 1e6:g} MHz ({estimate.model.board})"
        estimated = Figure(estimate.seconds, f"estimated cycles {where}")
    remark = "The convention is a yardstick for comparing models, not a forecast of this board's time."
    if measurement:
        where = f"({measurement.runner}, {measurement.board})"
        count = measurement.total.median
        if measurement.source is Source.HOST:
            measured = Figure(count / 1e9, f"this computer's clock {where}; says nothing of a board")
        elif measurement.source is Source.INSTRUCTIONS:
            remark += " A simulator counts instructions; it has no wait states, so " + (
                "the time is that of a model of the board." if estimate else "no time is claimed."
            )
        elif measurement.counter_hz:
            what = "estimated cycles" if measurement.source is Source.ESTIMATED_CYCLES else "measured cycles"
            measured = Figure(
                count / measurement.counter_hz, f"{what} at {measurement.counter_hz / 1e6:g} MHz {where}"
            )
    return FigureRow(
        "time",
        "Time per inference",
        "seconds",
        predicted=convention,
        measured=measured,
        estimated=estimated,
        remark=remark,
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """The measurement held against the prediction and against the reference."""

    outputs: OutputComparison | None
    figures: tuple[FigureRow, ...]


class Level(StrEnum):
    """How a deployment stands."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence, and every reason that kept it from being better."""

    level: Level
    word: str
    """The level in a word or two; an amber that was never run is not called a pass."""
    headline: str
    failures: tuple[str, ...]
    cautions: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return self.level is not Level.RED


def verdict(
    *,
    board: BoardFacts,
    program: Program,
    firmware: Firmware | None,
    measurement: Measurement | None,
    outputs: OutputComparison | None,
    run_firmware: Firmware | None = None,
    agreement: Agreement | None = None,
    classifications: Sequence[Classification] = (),
    findings: Sequence[str] = (),
) -> Verdict:
    """Judge a deployment. Red: a check failed. Amber: nothing failed, but something wants a look.

    `findings` are what quantization and its samples were found to have, in words.
    """
    failures = [*_failures(board, program, firmware, run_firmware or firmware, measurement, outputs)]
    cautions = [*_cautions(board, firmware, run_firmware or firmware, measurement, outputs)]
    same = agreement.same_class if agreement and agreement.samples and program.classifies else None
    if agreement and same is not None and same < LOW_AGREEMENT:
        cautions.append(
            f"Float and quantized model predict the same class for only {100 * same:.1f} % "
            f"of {agreement.samples} samples: calibrate with data like the model's own."
        )
    cautions.extend(_accuracy_cautions(classifications))
    cautions.extend(findings)
    if failures:
        return Verdict(Level.RED, "Fail", failures[0], tuple(failures), tuple(cautions))
    headline = _good(board, firmware, outputs)
    if cautions:
        word = "Pass, with cautions" if outputs and outputs.exact else "Not verified"
        return Verdict(Level.AMBER, word, headline, (), tuple(cautions))
    return Verdict(Level.GREEN, "Pass", headline, (), ())


def _failures(
    board: BoardFacts,
    program: Program,
    firmware: Firmware | None,
    ran: Firmware | None,
    measurement: Measurement | None,
    outputs: OutputComparison | None,
) -> list[str]:
    found = []
    if outputs and outputs.differing_elements:
        where = ""
        if outputs.first:
            layer = f"layer {outputs.first.layer}, " if outputs.first.layer is not None else ""
            where = f" The first is in {layer}{outputs.first.layer_name}."
        found.append(
            f"The target does not compute what the reference computes: {outputs.differing_elements:,} of "
            f"{outputs.elements:,} output values differ.{where}"
        )
    elif outputs and outputs.first:
        found.append(outputs.remark)
    for region, used, available in _regions(board, firmware):
        if used > available:
            found.append(
                f"The image does not fit {board.title}: it needs {used:,} bytes of {region}, "
                f"{used - available:,} more than there are."
            )
    if measurement and ran:
        if measurement.digest != ran.digest:
            found.append(
                f"The target ran another image than the one that was built: digest {measurement.digest}, "
                f"built {ran.digest}."
            )
        reserved = ran.ram_parts.get("stack", 0)
        if reserved and measurement.stack_bytes > reserved:
            found.append(
                f"The stack overflowed: {measurement.stack_bytes:,} bytes used of {reserved:,} reserved."
            )
    if measurement and measurement.arena_bytes != program.arena_bytes:
        found.append(
            f"The image has an arena of {measurement.arena_bytes:,} bytes; "
            f"{program.arena_bytes:,} were planned."
        )
    return found


def _cautions(
    board: BoardFacts,
    firmware: Firmware | None,
    ran: Firmware | None,
    measurement: Measurement | None,
    outputs: OutputComparison | None,
) -> list[str]:
    found = []
    if firmware is None:
        found.append("No image was linked: flash and RAM are predictions.")
    if measurement is None:
        found.append("Nothing was run: counts, stack and outputs are unknown.")
    elif outputs is None or not outputs.elements:
        found.append("The target ran, but its outputs were not compared with a reference.")
    for region, used, available in _regions(board, firmware):
        if NEARLY_FULL * available < used <= available:
            found.append(f"{100 * used / available:.1f} % of the {region} of {board.title} is taken.")
    reserved = ran.ram_parts.get("stack", 0) if ran else 0
    if measurement and STACK_NEARLY_FULL * reserved < measurement.stack_bytes <= reserved:
        found.append(
            f"{measurement.stack_bytes:,} of {reserved:,} bytes of reserved stack were used: little is left."
        )
    return found


def _accuracy_cautions(classifications: Sequence[Classification]) -> list[str]:
    """A loss is stated between sets of the same size only: accuracies of other samples differ anyway."""
    known = {c.subject: c for c in classifications}
    before, after = known.get(FLOAT_MODEL), known.get(QUANTIZED_MODEL)
    if before is None or after is None or before.samples != after.samples:
        return []
    loss = before.accuracy - after.accuracy
    if loss <= ACCURACY_LOSS:
        return []
    return [
        f"Quantizing costs {100 * loss:.2f} points of accuracy: {100 * before.accuracy:.2f} % in float, "
        f"{100 * after.accuracy:.2f} % in integers."
    ]


def _regions(board: BoardFacts, firmware: Firmware | None) -> tuple[tuple[str, int, int], ...]:
    if firmware is None:
        return ()
    return (
        ("flash", firmware.flash_bytes, board.flash_bytes),
        ("RAM", firmware.ram_bytes, board.ram_bytes),
    )


def _good(board: BoardFacts, firmware: Firmware | None, outputs: OutputComparison | None) -> str:
    fits = ""
    if firmware:
        fits = (
            f"fits {board.title} with {100 - 100 * firmware.flash_bytes / board.flash_bytes:.0f} % of "
            f"its flash and {100 - 100 * firmware.ram_bytes / board.ram_bytes:.0f} % of its RAM to spare"
        )
    exact = ""
    if outputs and outputs.exact:
        exact = (
            f"computes exactly what the reference computes (all {outputs.elements:,} output values of "
            f"{outputs.samples:,} samples are equal)"
        )
    words = " and ".join(part for part in (exact, fits) if part)
    return f"The deployed model {words}." if words else "The model can be built; nothing was linked or run."
