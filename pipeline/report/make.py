"""Put what the stages found into one report. Nothing is measured or judged here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from pipeline.compare import (
    COUNTS,
    BoardFacts,
    Comparison,
    FigureRow,
    FirstDifference,
    OutputComparison,
    Prediction,
    Verdict,
    compare_figures,
    same_board,
    verdict,
)
from pipeline.lower import Call, Layer, Place, Program, held_bytes, place_bytes
from pipeline.measure import CoreState, Measurement, Source, by_steps_of
from pipeline.report import schema
from pipeline.tensors import activation_integers

if TYPE_CHECKING:  # names of types only: reading a report again needs none of these rooms
    from pipeline.analyze import HostAnalysis, RegionFit
    from pipeline.build import Firmware
    from pipeline.forecast import CycleForecast
    from pipeline.metrics import Classification
    from pipeline.quantize import Finding, Inspection, QuantizedModel
    from pipeline.schedule import Choices, TradeOff
    from pipeline.timing import Estimate, Figures

MOST_NAMES = 8
"""Layers that a note names."""


def make_report(
    *,
    program: Program,
    board: BoardFacts,
    firmware: Firmware | None = None,
    run_firmware: Firmware | None = None,
    run_board: BoardFacts | None = None,
    run_program: Program | None = None,
    measurement: Measurement | None = None,
    estimate: Estimate | None = None,
    no_estimate: str = "",
    outputs: OutputComparison | None = None,
    prediction: Prediction | None = None,
    float_analysis: HostAnalysis | None = None,
    quantized_analysis: HostAnalysis | None = None,
    quantized: QuantizedModel | None = None,
    inspection: Inspection | None = None,
    findings: Sequence[Finding] = (),
    classifications: Sequence[Classification] = (),
    choices: Choices | None = None,
    provenance: Mapping[str, str | int | float | bool | Sequence[str]] | None = None,
) -> schema.Report:
    """The report of one deployment; what is not at hand is left out and said to be unknown.

    `firmware` is the image linked for `board`. `run_firmware` and `run_board` are the image that ran
    and its board, where they are others of the same core; `run_program` is what it was made of, where its
    kernels are others. `no_estimate` says why there is no estimate where one was wanted.
    """
    agreement = quantized.agreement if quantized else None
    ran = run_program or program
    if measurement and ran != program:
        measurement = by_steps_of(measurement, ran, program)
    bounds, estimate = (estimate, None) if estimate and estimate.model.is_bracket else (None, estimate)
    figures = compare_figures(prediction, firmware, measurement, estimate, same_plan=ran == program)
    comparison = Comparison(outputs, figures)
    judged = verdict(
        board=board,
        program=ran,
        firmware=firmware,
        measurement=measurement,
        outputs=outputs,
        run_firmware=run_firmware,
        agreement=agreement,
        classifications=classifications,
        findings=[str(finding) for finding in findings],
    )
    other = run_firmware if run_firmware and run_firmware != firmware else None
    ran_on = run_board or board
    return schema.Report(
        model=schema.Model(
            name=program.name,
            macs=program.macs,
            inputs=tuple(_place(place) for place in program.inputs),
            outputs=tuple(_place(place) for place in program.outputs),
        ),
        board=schema.BoardSection(
            name=board.name,
            title=board.title,
            flash_bytes=board.flash_bytes,
            ram_bytes=board.ram_bytes,
            clock_hz=board.clock_hz,
        ),
        verdict=_verdict(
            judged,
            [
                *_notes(board, firmware, other, ran_on, measurement, classifications),
                *_plain_layers(program),
                *_estimate_notes(estimate or bounds, no_estimate),
            ],
        ),
        arena_bytes=program.arena_bytes,
        predicted=_predicted(prediction) if prediction else None,
        linked=_image(firmware) if firmware else None,
        run_image=_image(other) if other else None,
        measured=_measured(measurement, ran_on.title, firmware is not None and other is None)
        if measurement
        else None,
        estimated=_estimated(estimate, program, float_analysis) if estimate else None,
        bracket=_bracket(bounds, program) if bounds else None,
        outputs=_outputs(outputs) if outputs else None,
        figures=tuple(_figure(row) for row in comparison.figures),
        layers=_layers(program, prediction, measurement, estimate),
        steps=_steps(program, measurement),
        choices=_choices(choices) if choices else None,
        arena=_arena(program),
        accuracy=tuple(_accuracy(found) for found in classifications),
        agreement=schema.AgreementSection(
            samples=agreement.samples,
            same_class=agreement.same_class if program.classifies else None,
            mean_absolute_difference=agreement.mean_absolute_difference,
            largest_difference=agreement.largest_difference,
        )
        if agreement
        else None,
        quantization=_quantization(quantized, program, inspection, findings) if quantized else None,
        analyses=tuple(_analysis(found) for found in (float_analysis, quantized_analysis) if found),
        provenance={
            key: value if isinstance(value, str | int | float) else tuple(value)
            for key, value in (provenance or {}).items()
        },
    )


def _verdict(judged: Verdict, notes: Sequence[str]) -> schema.VerdictSection:
    return schema.VerdictSection(
        level=judged.level.value,
        word=judged.word,
        headline=judged.headline,
        failures=judged.failures,
        cautions=judged.cautions,
        notes=tuple(notes),
    )


def _notes(
    board: BoardFacts,
    firmware: Firmware | None,
    other: Firmware | None,
    ran_on: BoardFacts,
    measurement: Measurement | None,
    classifications: Sequence[Classification],
) -> list[str]:
    notes = []
    if other and measurement:
        image = f"Flash and RAM are those of the image linked for {board.title}. " if firmware else ""
        notes.append(
            f"{image}Outputs, counts and stack are from a second image of the same generated model, "
            f"linked for {ran_on.title}{_core(board, ran_on)} and run by {measurement.runner}. "
            f"Nothing in this report was measured on {board.title}."
        )
    elif measurement and measurement.source is Source.INSTRUCTIONS:
        notes.append(
            f"The linked image itself ran, simulated by {measurement.runner}. "
            "Nothing in this report was measured on hardware."
        )
    if measurement and measurement.source is Source.INSTRUCTIONS:
        notes.append(
            "Counts are instructions executed in a simulator. They are exact and repeatable, but they are "
            "not clock cycles, and no time follows from them alone."
        )
    elif measurement and measurement.source is not Source.CYCLES:
        notes.append(f"Counts are {COUNTS[measurement.source][1]}.")
    if not classifications:
        notes.append("No labelled samples were at hand, so no accuracy is claimed.")
    return notes


def _plain_layers(program: Program) -> list[str]:
    """Which layers run in plain C, where there are kernels for the core."""
    plain = [layer for layer in program.layers if layer.library == "portable"]
    if not plain or len(plain) == len(program.layers):
        return []
    names = [f"{layer.name} ({layer.operator})" for layer in plain[:MOST_NAMES]]
    more = f" and {len(plain) - MOST_NAMES} more" if len(plain) > MOST_NAMES else ""
    return [f"In plain C, all others by kernels for this core: {', '.join(names)}{more}."]


def _core(board: BoardFacts, ran_on: BoardFacts) -> str:
    if not board.core or not ran_on.core:
        return ""
    return (
        f" (the same core, {ran_on.core})" if board.core == ran_on.core else f" (another core, {ran_on.core})"
    )


def _place(place: Place) -> schema.Place:
    return schema.Place(tensor=place.tensor, shape=place.shape, dtype=place.dtype, bytes=place_bytes(place))


def _predicted(prediction: Prediction) -> schema.Predicted:
    return schema.Predicted(
        board=prediction.board,
        clock_hz=prediction.clock_hz,
        weights_bytes=prediction.weights_bytes,
        code_bytes=prediction.code_bytes,
        flash_bytes=prediction.flash_bytes,
        arena_bytes=prediction.arena_bytes,
        ram_bytes=prediction.ram_bytes,
        instructions=prediction.instructions,
        one_macc_per_cycle_seconds=prediction.one_macc_per_cycle_seconds,
        cycles=_predicted_cycles(prediction.cycles) if prediction.cycles else None,
        basis=dict(prediction.basis),
    )


def _predicted_cycles(forecast: CycleForecast) -> schema.PredictedCycles:
    return schema.PredictedCycles(
        board=forecast.board,
        board_title=forecast.board_title,
        clock_hz=forecast.clock_hz,
        cycles=forecast.cycles,
        seconds=forecast.seconds,
        low_cycles=forecast.low_cycles,
        high_cycles=forecast.high_cycles,
        words=forecast.words,
    )


def _image(firmware: Firmware) -> schema.Image:
    symbols = sorted(firmware.symbols, key=lambda symbol: (-symbol.bytes, symbol.name, symbol.source))
    return schema.Image(
        board=firmware.board,
        digest=firmware.digest,
        flash_bytes=firmware.flash_bytes,
        ram_bytes=firmware.ram_bytes,
        code_bytes=firmware.code_bytes,
        flash_parts=dict(firmware.flash_parts),
        ram_parts=dict(firmware.ram_parts),
        sections=tuple(
            schema.SectionSize(name=name, address=address, bytes=size)
            for name, address, size in firmware.sections
        ),
        symbols=tuple(
            schema.SymbolSize(
                name=symbol.name,
                bytes=symbol.bytes,
                region=symbol.region,
                part=symbol.part,
                source=symbol.source,
            )
            for symbol in symbols
        ),
        toolchain=firmware.toolchain,
        flags=firmware.flags,
    )


def _measured(measurement: Measurement, title: str, same_image: bool) -> schema.Measured:
    count = measurement.total.median
    seconds = None
    if measurement.source is Source.HOST:
        seconds = count / 1e9
    elif measurement.source is not Source.INSTRUCTIONS and measurement.counter_hz:
        seconds = count / measurement.counter_hz
    return schema.Measured(
        board=measurement.board,
        board_title=f"{title}, simulated" if measurement.source is Source.INSTRUCTIONS else title,
        runner=measurement.runner,
        same_image=same_image,
        unit=measurement.source.value,
        meaning=COUNTS[measurement.source][1],
        counter=measurement.counter,
        state=_state(measurement.state),
        counter_hz=measurement.counter_hz,
        count=count,
        runs=measurement.total.runs,
        outside_layers=count - sum(layer.median for layer in measurement.layers) if measurement.layers else 0,
        seconds=seconds,
        stack_bytes=measurement.stack_bytes,
        arena_bytes=measurement.arena_bytes,
        digest=measurement.digest,
        notes=measurement.notes,
    )


def _state(state: CoreState | None) -> schema.MeasuredState | None:
    if state is None:
        return None
    return schema.MeasuredState(
        flash_wait_states=state.wait_states,
        accelerators=dict(state.accelerators),
        interrupts_masked=state.interrupts_masked,
        interrupts=state.interrupts,
        words=str(state),
    )


def _estimate_notes(estimate: Estimate | None, no_estimate: str) -> list[str]:
    if estimate is None:
        return [f"Cycles were not estimated: {no_estimate}"] if no_estimate else []
    if estimate.model.is_bracket:
        return [f"Cycles of {estimate.model.title} are bounded, not estimated. {estimate.error_words}"]
    return [
        f"Estimated cycles are those of a model of {estimate.model.title}, its core and its flash, over the "
        f"instructions that {estimate.simulator} executed. {estimate.error_words}"
    ]


def _estimated(estimate: Estimate, program: Program, float_analysis: HostAnalysis | None) -> schema.Estimated:
    if len(estimate.layers) != len(program.layers):
        raise ValueError(f"{len(estimate.layers)} estimated layers of a program of {len(program.layers)}")
    model, total = estimate.model, estimate.total
    error = estimate.error_percent
    macc = float_analysis.totals.macc if float_analysis else program.macs

    def cost(figures: Figures) -> dict[str, int | float]:
        return {
            "instructions": figures.instructions,
            "zero_wait_cycles": figures.zero_wait_cycles,
            "fetch_stall_cycles": figures.fetch_stall_cycles,
            "data_stall_cycles": figures.data_stall_cycles,
            "data_misses": figures.data_misses,
            "cycles": figures.cycles,
            "seconds": figures.cycles / model.clock_hz,
            "share": figures.cycles / total.cycles,
        }

    return schema.Estimated.model_validate(
        {
            **cost(total),
            "unit": Source.ESTIMATED_CYCLES.value,
            "board": model.board,
            "board_title": model.title,
            "clock_hz": model.clock_hz,
            "model": model.words,
            "image_board": estimate.image_board,
            "simulator": estimate.simulator,
            "cycles_per_mac": total.cycles / program.macs if program.macs else None,
            "convention_macc": macc,
            "one_macc_per_cycle_seconds": macc / model.clock_hz,
            "error_percent": error,
            "low_cycles": None if error is None else round(total.cycles * (1 - error / 100)),
            "high_cycles": None if error is None else round(total.cycles * (1 + error / 100)),
            "error_words": estimate.error_words,
            "evidence": model.evidence,
            "data_miss_cycles": model.data_miss_cycles,
            "layers": [
                {
                    **cost(figures),
                    "index": layer.index,
                    "name": layer.name,
                    "macs": layer.macs,
                    "cycles_per_mac": figures.cycles / layer.macs if layer.macs else None,
                }
                for layer, figures in zip(program.layers, estimate.layers, strict=True)
            ],
            "outside_layers": cost(estimate.outside),
            "functions": [
                {**cost(part.figures), "name": part.name, "source": part.source}
                for part in estimate.functions
            ],
            "blocks": [
                {
                    **cost(block.figures),
                    "function": block.function,
                    "address": block.address,
                    "bytes": block.end - block.address,
                    "executions": block.executions,
                    "source": block.source,
                }
                for block in estimate.blocks
            ],
        }
    )


def _bracket(bounds: Estimate, program: Program) -> schema.Bracket:
    model = bounds.model
    low, high = bounds.total.bounds
    return schema.Bracket(
        board=model.board,
        board_title=model.title,
        clock_hz=model.clock_hz,
        model=model.words,
        simulator=bounds.simulator,
        image_board=bounds.image_board,
        instructions=bounds.total.instructions,
        low_cycles=low,
        high_cycles=high,
        low_seconds=low / model.clock_hz,
        high_seconds=high / model.clock_hz,
        assumptions=model.assumptions,
        layers=tuple(
            schema.BracketLayer(
                index=layer.index,
                name=layer.name,
                instructions=figures.instructions,
                low_cycles=figures.bounds[0],
                high_cycles=figures.bounds[1],
            )
            for layer, figures in zip(program.layers, bounds.layers, strict=True)
        ),
    )


def _outputs(outputs: OutputComparison) -> schema.Outputs:
    return schema.Outputs(
        reference=outputs.reference,
        samples=outputs.samples,
        elements=outputs.elements,
        differing_elements=outputs.differing_elements,
        differing_samples=outputs.differing_samples,
        largest_difference=outputs.largest_difference,
        first=_first(outputs.first) if outputs.first else None,
        layers=tuple(
            schema.LayerDifferenceSection(
                layer=layer.layer,
                name=layer.name,
                elements=layer.elements,
                differing_elements=layer.differing_elements,
                largest_difference=layer.largest_difference,
            )
            for layer in outputs.layers
        ),
        layers_source=outputs.layers_source,
        remark=outputs.remark,
        each=tuple(
            schema.OutputDifferenceSection(
                name=output.name,
                tensor=output.tensor,
                elements=output.elements,
                differing_elements=output.differing_elements,
                largest_difference=output.largest_difference,
            )
            for output in outputs.each
        )
        or None,
    )


def _first(point: FirstDifference) -> schema.DifferencePoint:
    return schema.DifferencePoint(
        sample=point.sample,
        layer=point.layer,
        layer_name=point.layer_name,
        tensor=point.tensor,
        element=point.element,
        position=point.position,
        measured=point.measured if math.isfinite(point.measured) else None,
        expected=point.expected if math.isfinite(point.expected) else None,
        found_in=point.found_in,
    )


def _figure(row: FigureRow) -> schema.FigureSection:
    values = {
        name: schema.FigureValue(value=figure.value, source=figure.source) if figure else None
        for name, figure in (
            ("predicted", row.predicted),
            ("linked", row.linked),
            ("measured", row.measured),
            ("estimated", row.estimated),
        )
    }
    return schema.FigureSection(
        key=row.key,
        figure=row.figure,
        unit=row.unit,
        **values,
        differences=tuple(
            schema.FigureDifference(of=d.of, against=d.against, absolute=d.absolute, percent=d.percent)
            for d in row.differences
        ),
        remark=row.remark,
    )


def _layers(
    program: Program,
    prediction: Prediction | None,
    measurement: Measurement | None,
    estimate: Estimate | None,
) -> tuple[schema.Layer, ...]:
    """Per layer; a layer that shares its step with others was not measured alone."""
    predicted = prediction.layer_instructions if prediction else ()
    if predicted and len(predicted) != len(program.layers):
        raise ValueError(f"{len(predicted)} predicted layers of a program of {len(program.layers)}")
    counts = _counts(program, measurement)
    same_unit = measurement is not None and measurement.source is Source.INSTRUCTIONS
    rows = []
    for call in program.calls:
        for layer in call.layers:
            expected = predicted[layer.index] if predicted else None
            count = counts[call.index] if counts and len(call.layers) == 1 else None
            rows.append(
                schema.Layer(
                    index=layer.index,
                    step=call.index,
                    name=layer.name,
                    operator=layer.operator,
                    kernel=f"{layer.library}/{layer.kernel}",
                    variant=layer.variant,
                    scratch_bytes=layer.scratch_bytes,
                    ram_weights_bytes=layer.ram_bytes,
                    output_shape=layer.writes.shape,
                    output_bytes=place_bytes(layer.writes),
                    weights_bytes=layer.weights_bytes,
                    macs=layer.macs,
                    macs_share=_share(layer.macs, program.macs) or 0.0,
                    predicted_instructions=expected,
                    predicted_share=_share(expected, sum(predicted)),
                    count=count,
                    share=_share(count, sum(counts)),
                    count_per_mac=None if count is None or not layer.macs else count / layer.macs,
                    difference_percent=(
                        100 * (count - expected) / expected
                        if same_unit and expected and count is not None
                        else None
                    ),
                    **_cycles(layer, call, prediction, measurement, estimate),
                    fused=layer.fused,
                )
            )
    return tuple(rows)


def _counts(program: Program, measurement: Measurement | None) -> tuple[int, ...]:
    """What each step was measured to take; empty where nothing was measured."""
    counts = tuple(step.median for step in measurement.layers) if measurement else ()
    if counts and len(counts) != len(program.calls):
        raise ValueError(f"{len(counts)} measured steps of a program of {len(program.calls)}")
    return counts


def _steps(program: Program, measurement: Measurement | None) -> tuple[schema.Step, ...]:
    counts = _counts(program, measurement)
    return tuple(
        schema.Step(
            index=call.index,
            name=call.name,
            layers=tuple(layer.index for layer in call.layers),
            calls=len(call.portions),
            count=counts[call.index] if counts else None,
            share=_share(counts[call.index], sum(counts)) if counts else None,
            live_bytes=_live_bytes(call),
        )
        for call in program.calls
    )


def _choices(choices: Choices) -> schema.Choices:
    def choice(each: TradeOff) -> schema.Choice:
        return schema.Choice(
            cycles=round(each.cycles),
            arena_bytes=each.arena_bytes,
            ram_bytes=each.ram_bytes,
            weights_bytes=each.weights_bytes,
        )

    return schema.Choices(
        aim=choices.aim,
        chosen=choice(choices.chosen),
        others=tuple(choice(each) for each in choices.others),
    )


def _cycles(
    layer: Layer,
    call: Call,
    prediction: Prediction | None,
    measurement: Measurement | None,
    estimate: Estimate | None,
) -> dict[str, Any]:
    """One layer's cycles as predicted, estimated and measured; compared where they are of one board."""
    forecast = prediction.cycles if prediction else None
    own = forecast.layers[layer.index] if forecast else None
    predicted = own.cycles if own else None
    estimated = estimate.layers[layer.index].cycles if estimate else None
    counted = measurement is not None and measurement.source is Source.CYCLES
    alone = len(call.layers) == 1
    measured = measurement.layers[call.index].median if measurement and counted and alone else None
    alike = measurement is not None and estimate is not None and measurement.board == estimate.model.board
    return {
        "predicted_cycles": predicted,
        "predicted_low_cycles": own.low_cycles if own else None,
        "predicted_high_cycles": own.high_cycles if own else None,
        "estimated_cycles": estimated,
        "measured_cycles": measured,
        "estimated_to_predicted_percent": _percent(estimated, predicted)
        if same_board(forecast, estimate)
        else None,
        "measured_to_estimated_percent": _percent(measured, estimated) if alike else None,
    }


def _percent(value: int | None, base: int | None) -> float | None:
    return None if value is None or not base else 100 * (value - base) / base


def _share(value: int | None, total: int) -> float | None:
    return None if value is None or not total else value / total


def _live_bytes(call: Call) -> int:
    """Bytes of the arena that hold something during a call; bytes shared in place count once."""
    held = end = 0
    for place in sorted(call.live, key=lambda place: place.offset or 0):
        start = place.offset or 0
        stop = start + held_bytes(place)
        held += max(0, stop - max(start, end))
        end = max(end, stop)
    return held


def _arena(program: Program) -> schema.Arena:
    lives: dict[tuple[str, int], list[int]] = {}
    places: dict[tuple[str, int], Place] = {}
    for step, call in enumerate(program.calls):
        for place in call.live:
            key = (place.tensor, place.offset or 0)
            places[key] = place
            lives.setdefault(key, []).append(step)
    inputs = {place.tensor for place in program.inputs}
    outputs = {place.tensor for place in program.outputs}
    moved = {place.tensor for layer in program.layers for place in (*layer.reads, layer.writes)}
    writers = {layer.writes.tensor: layer.index for layer in program.layers}
    boxes: dict[tuple[int, int, int, int], list[Place]] = {}
    for key, place in places.items():
        extent = (min(lives[key]), max(lives[key]), key[1], held_bytes(place))
        boxes.setdefault(extent, []).append(place)
    tensors = []
    for (first, last, offset, nbytes), alike in sorted(boxes.items(), key=lambda item: item[0]):
        names = {place.tensor for place in alike}
        tensors.append(
            schema.ArenaTensor(
                tensor=alike[0].tensor,
                shape=alike[0].shape,
                dtype=alike[0].dtype,
                bytes=nbytes,
                offset=offset,
                first=first,
                last=last,
                written_by=next((writers[p.tensor] for p in alike if p.tensor in writers), None),
                aliases=tuple(place.tensor for place in alike[1:]),
                ring_rows=alike[0].ring_rows,
                role=_role(names, inputs, outputs, moved),
            )
        )
    live = [_live_bytes(call) for call in program.calls]
    peak = max(live, default=0)
    return schema.Arena(
        bytes=program.arena_bytes,
        lower_bound_bytes=program.arena_lower_bound_bytes,
        alignment=program.arena_alignment,
        peak_step=live.index(peak) if live else None,
        peak_live_bytes=peak,
        tensors=tuple(tensors),
    )


def _role(
    names: set[str], inputs: set[str], outputs: set[str], moved: set[str]
) -> Literal["input", "output", "activation", "scratch"]:
    if names & inputs:
        return "input"
    if names & outputs:
        return "output"
    return "activation" if names & moved else "scratch"


def _accuracy(found: Classification) -> schema.Accuracy:
    return schema.Accuracy(
        subject=found.subject,
        samples=found.samples,
        accuracy=found.accuracy,
        macro_f1=found.macro_f1,
        confusion=tuple(tuple(int(n) for n in row) for row in found.confusion),
        classes=tuple(
            schema.ClassSection(
                name=c.name, precision=c.precision, recall=c.recall, f1=c.f1, support=c.support
            )
            for c in found.classes
        ),
    )


def inspection_section(inspection: Inspection) -> schema.InspectionSection:
    """An inspection in the report's form."""
    return schema.InspectionSection.model_validate(asdict(inspection))


def finding_sections(findings: Sequence[Finding]) -> tuple[schema.FindingSection, ...]:
    """Findings in the report's form."""
    return tuple(schema.FindingSection.model_validate(asdict(finding)) for finding in findings)


def _quantization(
    quantized: QuantizedModel,
    program: Program,
    inspection: Inspection | None,
    findings: Sequence[Finding],
) -> schema.Quantization:
    calibration = quantized.calibration
    return schema.Quantization(
        sha256=quantized.sha256,
        bytes=len(quantized.tflite),
        activations=activation_integers(layer.writes.dtype for layer in program.layers),
        origin=calibration.origin if calibration else None,
        samples=calibration.samples if calibration else None,
        ranges=tuple(
            schema.Range(
                tensor=r.tensor,
                minimum=r.minimum,
                maximum=r.maximum,
                scale=r.scale,
                zero_point=r.zero_point,
                saturated=r.saturated,
            )
            for r in (calibration.ranges if calibration else ())
        ),
        recipe=calibration.recipe if calibration else None,
        inspection=inspection_section(inspection) if inspection else None,
        findings=finding_sections(findings),
        rewrites=calibration.rewrites if calibration else (),
    )


def _analysis(found: HostAnalysis) -> schema.Analysis:
    return schema.Analysis(
        kind=found.kind,
        board=found.board,
        clock_hz=found.clock_hz,
        macc=found.totals.macc,
        parameters=found.totals.parameters,
        weights_bytes=found.totals.weights_bytes,
        activations_bytes=found.totals.activations_bytes,
        estimated_seconds=found.totals.estimated_seconds,
        flash=_need(found.fit.flash),
        ram=_need(found.fit.ram),
        boards_that_fit=found.fit.boards_that_fit,
        conventions=found.conventions,
        layers=tuple(
            schema.AnalyzedLayer(
                name=layer.name,
                kind=layer.kind,
                output_shape=layer.output_shape,
                macc=layer.macc,
                parameters=layer.parameters,
                weights_bytes=layer.weights_bytes,
                activation_bytes=layer.activation_bytes,
                macc_share=layer.macc_share,
                weights_share=layer.weights_share,
            )
            for layer in found.layers
        ),
    )


def _need(region: RegionFit) -> schema.RegionNeed:
    return schema.RegionNeed(
        needed_bytes=region.needed_bytes,
        available_bytes=region.available_bytes,
        fits=region.fits,
        counted=region.counted,
    )
