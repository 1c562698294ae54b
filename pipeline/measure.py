"""Read outputs and per-layer cost from a transcript."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import TargetFailed
from pipeline.lower import Program, place_bytes
from pipeline.runners import CoreState, Source, Transcript

__all__ = ["CoreState", "Cost", "Measurement", "Source", "by_steps_of", "measure"]

# Between two layers the harness's loop runs: some instructions a layer, which the laps leave out.
LOOP_COUNTS_A_LAYER = 64
# How far the laps' sum may be from the total where counts do not repeat exactly: caches, other programs.
TOLERANCE = {Source.CYCLES: 0.05, Source.ESTIMATED_CYCLES: 0.05, Source.HOST: 0.5}


@dataclass(frozen=True, slots=True)
class Cost:
    """One count over several runs of the same work."""

    runs: tuple[int, ...]

    @property
    def median(self) -> int:
        return sorted(self.runs)[(len(self.runs) - 1) // 2]


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a target said of one image, checked: CRCs right, digest that of the image."""

    board: str
    runner: str
    source: Source
    counter_hz: int
    """Counts of `source` per second on this target; 0 where there is no meaning to it."""
    total: Cost
    """One inference from the first layer to the last, transfers kept out."""
    layers: tuple[Cost, ...]
    """The same, step by step, in the program's order; empty where they cannot be told apart."""
    outputs: np.ndarray
    """(samples, bytes of the output) uint8: the raw bytes of the output tensor."""
    stack_bytes: int
    """High-water mark of the stack during inference."""
    arena_bytes: int
    digest: str
    """The source tree's digest, as the image carries it."""
    counter: str
    """In words: which counter was read."""
    state: CoreState | None = None
    """Of caches and interrupts, when the runs ended; None where the target has no such registers."""
    notes: tuple[str, ...] = ()


def measure(transcript: Transcript, program: Program) -> Measurement:
    """Check that a transcript is about this program, and read its figures.

    Raises TargetFailed: E_MEASUREMENT when the image and the program disagree, E_COUNTS when exact
    counts do not add up.
    """
    _check(transcript, program)
    total = Cost(transcript.totals)
    layers = tuple(Cost(tuple(run[k] for run in transcript.layers)) for k in range(transcript.layer_count))
    return Measurement(
        board=transcript.board,
        runner=transcript.runner,
        source=transcript.source,
        counter_hz=transcript.counter_hz,
        total=total,
        layers=layers,
        outputs=transcript.outputs,
        stack_bytes=transcript.stack_bytes,
        arena_bytes=transcript.arena_bytes,
        digest=transcript.digest,
        counter=transcript.counter,
        state=transcript.state,
        notes=(*transcript.notes, *_oddities(transcript, total, layers)),
    )


def by_steps_of(measurement: Measurement, ran: Program, wanted: Program) -> Measurement:
    """What was measured of one program, step by step of another one of the same model.

    Other kernels may run layers one by one that a board's run strip by strip: the costs of its steps are
    then summed up, by the names of their layers. Where a step that ran holds layers of two of the wanted
    ones, nothing is known of any.
    """
    step_of = {layer.name: call.index for call in wanted.calls for layer in call.layers}
    sums: dict[int, list[int]] = {call.index: [0] * len(measurement.total.runs) for call in wanted.calls}
    for call, cost in zip(ran.calls, measurement.layers, strict=True):
        steps = {step_of.get(layer.name) for layer in call.layers}
        (step, *others) = steps
        if step is None or others:
            return replace(measurement, layers=())
        sums[step] = [total + run for total, run in zip(sums[step], cost.runs, strict=True)]
    return replace(measurement, layers=tuple(Cost(tuple(runs)) for runs in sums.values()))


def _check(transcript: Transcript, program: Program) -> None:
    said_and_expected = {
        "model": (transcript.model, program.name),
        "layers": (transcript.layer_count, len(program.calls)),
        "arena bytes": (transcript.arena_bytes, program.arena_bytes),
        "input bytes": (transcript.input_bytes, sum(map(place_bytes, program.inputs))),
        "output bytes": (transcript.output_bytes, sum(map(place_bytes, program.outputs))),
        "laps": ({len(run) for run in transcript.layers}, {len(program.calls)}),
        "bytes of each output": (transcript.outputs.shape[1], sum(map(place_bytes, program.outputs))),
    }
    wrong = [
        f"{what}: the target says {said}, expected {expected}"
        for what, (said, expected) in said_and_expected.items()
        if said != expected
    ]
    if wrong:
        raise TargetFailed(
            f"what {transcript.board} says does not fit the program {program.name}",
            code="E_MEASUREMENT",
            hint="build again from scratch: remove the output folder",
            details=wrong,
        )


def _oddities(transcript: Transcript, total: Cost, layers: tuple[Cost, ...]) -> list[str]:
    notes = []
    laps = sum(layer.median for layer in layers)
    gap = abs(total.median - laps)
    allowed = LOOP_COUNTS_A_LAYER * (len(layers) + 1) + TOLERANCE.get(transcript.source, 0.0) * total.median
    if gap > allowed:
        words = f"the layers add up to {laps} {transcript.source}, the whole inference took {total.median}"
        if transcript.source is Source.INSTRUCTIONS:
            raise TargetFailed(words, code="E_COUNTS", hint="run again; if it stays, the counter is at fault")
        notes.append(words)
    if transcript.source is Source.INSTRUCTIONS and len({*total.runs}) > 1:
        notes.append(f"the same input took different numbers of instructions: {sorted({*total.runs})}")
    state = transcript.state
    if state is not None and state.interrupts and not state.interrupts_masked:
        notes.append(f"interrupts were enabled ({', '.join(state.interrupts)}): they may be in the counts")
    if transcript.stack_reserved_bytes and transcript.stack_bytes > 0.9 * transcript.stack_reserved_bytes:
        notes.append(
            f"{transcript.stack_bytes} of {transcript.stack_reserved_bytes} bytes of stack were in use: "
            "give the board more with the key stack"
        )
    return notes
