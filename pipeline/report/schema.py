"""What a report holds: the published form of report.json, and the page that documents it.

Everything that the HTML and the Markdown show is in here, so either can be made again from the JSON.
Within one version keys are only added; a reader ignores those it does not know. Figures are exact:
bytes, counts and shares (0 to 1) as they are, rounded only where people read them.
"""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

SCHEMA_VERSION = 2
"""Raised when a key goes or changes its meaning; the same as `Report.schema_version`."""


class Part(BaseModel):
    """Base of all sections: immutable, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def said(words: str) -> Any:
    """A field that is always there."""
    return Field(description=words)


def perhaps(words: str) -> Any:
    """A field that is null where nobody knows it."""
    return Field(default=None, description=words)


Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Place(Part):
    """A tensor and where it lies."""

    tensor: str = said("Name in the TFLite file.")
    shape: tuple[int, ...] = said("NHWC.")
    dtype: str = said("numpy's name of the element type.")
    bytes: Count = said("Size.")


class Model(Part):
    """The model that was deployed."""

    name: str = said("A C identifier; every public symbol of the generated code carries it.")
    macs: Count = said("Multiply-accumulates of one inference, quantized graph, padding counted as work.")
    inputs: tuple[Place, ...] = said("Input tensors.")
    outputs: tuple[Place, ...] = said("Output tensors.")


class BoardSection(Part):
    """A board's limits."""

    name: str = said("As in `--board`.")
    title: str = said("As its maker calls it.")
    flash_bytes: Count = said("Flash of the board.")
    ram_bytes: Count = said("RAM of the board: all that can be written, each byte once.")
    clock_hz: Count = said("Clock of the core; 0 where it has no meaning, as in a simulator.")


class VerdictSection(Part):
    """How the deployment stands."""

    level: Literal["green", "amber", "red"] = said("green: good; amber: good, but look; red: a check failed.")
    word: str = said("The level in a word.")
    headline: str = said("One sentence.")
    failures: tuple[str, ...] = said("Checks that failed.")
    cautions: tuple[str, ...] = said("What wants a look although nothing failed.")
    notes: tuple[str, ...] = said("What a reader has to know to read the figures rightly.")


class PredictedCycles(Part):
    """Clock cycles of one inference by the kernels' cost formulas, before anything was built."""

    board: str = said("Whose cycles.")
    board_title: str = said("The same, as its maker calls it.")
    clock_hz: Count = said("Its clock.")
    cycles: Count = said("Zero-wait cycles and stalls together.")
    seconds: float = said("`cycles` at the board's clock.")
    low_cycles: Count | None = perhaps("All layers at the lower end of their bands; null where one has none.")
    high_cycles: Count | None = perhaps("All layers at the upper end of their bands.")
    words: str = said("What stands behind the figures.")


class Predicted(Part):
    """What the host expected before anything was compiled."""

    board: str = said("The board asked for.")
    clock_hz: Count = said("Its clock.")
    weights_bytes: Count = said("Constants in flash.")
    code_bytes: Count = said("Flash besides the constants.")
    flash_bytes: Count = said("Flash in all.")
    arena_bytes: Count = said("Arena of activations and scratch.")
    ram_bytes: Count = said("RAM in all, reserved stack included.")
    instructions: Count | None = perhaps("Instructions of one inference, by the kernels' cost formulas.")
    one_macc_per_cycle_seconds: float = said("MACC divided by clock: a convention, not a forecast of time.")
    cycles: PredictedCycles | None = perhaps("Where the board's cycles can be predicted.")
    basis: dict[str, str] = said("Where each figure comes from, by key.")


class SectionSize(Part):
    """One section of the ELF file."""

    name: str = said("Name in the ELF file.")
    address: Count = said("Where it runs or lies.")
    bytes: Count = said("Size.")


class SymbolSize(Part):
    """One function or object of the image."""

    name: str = said("Name in the ELF file.")
    bytes: Count = said("Size.")
    region: str = said("`flash`, `ram`, `flash+ram` (initialised data), or another region's name.")
    part: str = said("Which part of the image it belongs to, as in `flash_parts`.")
    source: str = said("Source file in the generated tree, or library.")


class Image(Part):
    """A linked image and its sizes, read from the ELF file."""

    board: str = said("The board it was linked for.")
    digest: str = said("Digest of the generated source, which the image carries.")
    flash_bytes: Count = said("All that is stored in flash, initial values of .data included.")
    ram_bytes: Count = said("All RAM claimed statically: .data, .bss, arena, reserved stack.")
    code_bytes: Count = said("Flash besides the model's constants.")
    flash_parts: dict[str, int] = said("Bytes of flash by part; they sum to `flash_bytes`.")
    ram_parts: dict[str, int] = said("Bytes of RAM by part; they sum to `ram_bytes`.")
    sections: tuple[SectionSize, ...] = said("Allocated sections.")
    symbols: tuple[SymbolSize, ...] = said("Functions and objects, largest first.")
    toolchain: str = said("Compiler and version.")
    flags: tuple[str, ...] = said("Its flags.")


class MeasuredState(Part):
    """What bears on time besides the code, read back from the registers when the measured runs ended."""

    flash_wait_states: Count | None = perhaps("Null where the target tells of none.")
    accelerators: dict[str, bool] = said("Prefetch and caches by name, and whether each was on.")
    interrupts_masked: bool = said("PRIMASK: no interrupt was taken.")
    interrupts: tuple[str, ...] = said("Enabled: `SysTick`, `line 28` of the NVIC; else empty.")
    words: str = said("All of it in one line.")


class Measured(Part):
    """What the target said."""

    board: str = said("The board that ran, which may be another one of the same core.")
    board_title: str = said("The same, as its maker calls it.")
    runner: str = said("How it was run.")
    same_image: bool = said("Whether the very image of `linked` ran.")
    unit: Literal["cycles", "instructions", "estimated cycles", "host nanoseconds"] = said(
        "What `count` counts. Figures of different units are never compared."
    )
    meaning: str = said("The unit in words.")
    counter: str = said("Which counter was read.")
    state: MeasuredState | None = perhaps("Flash, caches, interrupts; null where there are none.")
    counter_hz: Count = said("Counts a second; 0 where there is no meaning to it.")
    count: Count = said("One inference from the first layer to the last, median of the runs.")
    runs: tuple[Count, ...] = said("Every run.")
    outside_layers: int = said("`count` less the sum of the layers: the loop around them.")
    seconds: float | None = perhaps("Only for clock cycles and host time; instructions are not time.")
    stack_bytes: Count = said("High-water mark of the stack during inference.")
    arena_bytes: Count = said("Arena, as the image says.")
    digest: str = said("Digest that the image carries.")
    notes: tuple[str, ...] = said("What the runner had to say.")


class EstimatedCost(Part):
    """Estimated clock cycles of a part of one inference; the three kinds sum to `cycles`."""

    instructions: Count = said("Executed in the simulator.")
    zero_wait_cycles: Count = said("What the core alone needs, with memory that answers at once.")
    fetch_stall_cycles: int = said(
        "What waiting for instructions from flash adds; slightly negative where a data stall hides some."
    )
    data_stall_cycles: Count = said("What waiting for constants from flash adds.")
    data_misses: Count | None = perhaps("Times that constants had to be read from flash; null: not counted.")
    cycles: Count = said("All three together.")
    seconds: float = said("`cycles` at the board's clock.")
    share: Share = said("Of the cycles of one inference.")


class EstimatedLayer(EstimatedCost):
    """A layer's estimated cycles."""

    index: Count = said("Step at which it runs.")
    name: str = said("Name in the user's model.")
    macs: Count = said("Multiply-accumulates.")
    cycles_per_mac: float | None = perhaps("Null for layers without any.")


class EstimatedFunction(EstimatedCost):
    """A function's estimated cycles, without those of the functions that it calls."""

    name: str = said("Name in the image.")
    source: str = said("Source file in the generated tree; empty where the image does not say.")


class EstimatedBlock(EstimatedCost):
    """Instructions that are always executed together, with their estimated cycles."""

    function: str = said("The function they belong to.")
    address: Count = said("Of the first, in the image that ran.")
    bytes: Count = said("Size of the code.")
    executions: Count = said("How often they were executed.")
    source: str = said("File and lines that most of the cycles come from; empty where unknown.")


class Estimated(EstimatedCost):
    """Clock cycles of one inference as a timing model of the board has them: estimated, not measured."""

    unit: Literal["estimated cycles"] = said("Never compared with another unit.")
    board: str = said("The board whose cycles are estimated.")
    board_title: str = said("The same, as its maker calls it.")
    clock_hz: Count = said("Its clock.")
    model: str = said("What stands between its core and its memory.")
    image_board: str = said("The board that the simulated image was linked for: its addresses count.")
    simulator: str = said("What executed the instructions.")
    cycles_per_mac: float | None = perhaps("Null for a model without multiply-accumulates.")
    convention_macc: Count = said("MACC by the convention of the host analysis: the float model's, if any.")
    one_macc_per_cycle_seconds: float = said("The convention: one of them a cycle. Not a forecast.")
    error_percent: float | None = perhaps(
        "How far `cycles` may be off; null where the method was held against no measurement of that board."
    )
    low_cycles: Count | None = perhaps("`cycles` less the error.")
    high_cycles: Count | None = perhaps("`cycles` and the error.")
    error_words: str = said("The error and its reason in words.")
    evidence: str = said("The measurements behind the method; empty without any.")
    data_miss_cycles: Count | None = perhaps("One miss of data: wait states and `data_miss_extra`.")
    layers: tuple[EstimatedLayer, ...] = said("Per layer.")
    outside_layers: EstimatedCost = said("The loop around the layers.")
    functions: tuple[EstimatedFunction, ...] = said("Per function, most cycles first.")
    blocks: tuple[EstimatedBlock, ...] = said("The costliest basic blocks, most cycles first.")


class DifferencePoint(Part):
    """The first element that differs."""

    sample: Count = said("Index of the sample.")
    layer: Count | None = perhaps("Index of the layer; null where the output is no layer's.")
    layer_name: str = said("Its name.")
    tensor: str = said("The tensor's name.")
    element: Count = said("Flat index of the element.")
    position: tuple[int, ...] = said("The same in the tensor's shape.")
    measured: int | float | None = said("The value found (null: not a number).")
    expected: int | float | None = said("The reference's value (null: not a number).")
    found_in: str = said("Whose value `measured` is: `target`, or the build that dumped its layers.")


class LayerDifferenceSection(Part):
    """How one layer's output compares."""

    layer: Count = said("Index.")
    name: str = said("Name.")
    elements: Count = said("Elements compared.")
    differing_elements: Count = said("Of them different.")
    largest_difference: float = said("Largest absolute difference.")


class OutputDifferenceSection(Part):
    """How one of several outputs compares, over all samples."""

    name: str = said("What C calls it after the model's name.")
    tensor: str = said("Name in the TFLite file.")
    elements: Count = said("Elements compared.")
    differing_elements: Count = said("Of them different.")
    largest_difference: float = said("Largest absolute difference.")


class Outputs(Part):
    """Bit-exactness: the target's outputs against a reference."""

    reference: str = said("Held against what.")
    samples: Count = said("Samples run.")
    elements: Count = said("Output elements compared.")
    differing_elements: Count = said("Of them different.")
    differing_samples: Count = said("Samples with at least one.")
    largest_difference: float = said("Largest absolute difference.")
    first: DifferencePoint | None = perhaps("The first difference; null without one.")
    layers: tuple[LayerDifferenceSection, ...] = said("Per layer, where layers were dumped; else empty.")
    layers_source: str = said("What dumped the layers.")
    remark: str = said("What the layers say of the difference.")
    each: tuple[OutputDifferenceSection, ...] | None = perhaps("Output by output; null for a single one.")


class BracketLayer(Part):
    """A layer's bounds."""

    index: Count = said("Step at which it runs.")
    name: str = said("Name in the user's model.")
    instructions: Count = said("Executed in the simulator.")
    low_cycles: Count = said("Lower bound.")
    high_cycles: Count = said("Upper bound.")


class Bracket(Part):
    """Bounds of one inference's clock cycles on a core that no rules describe: never one figure."""

    board: str = said("The board whose cycles are bounded.")
    board_title: str = said("The same, as its maker calls it.")
    clock_hz: Count = said("Its clock.")
    model: str = said("What stands between its core and its memory.")
    simulator: str = said("What executed the instructions.")
    image_board: str = said("The board that the simulated image was linked for.")
    instructions: Count = said("Executed in the simulator.")
    low_cycles: Count = said("Lower bound.")
    high_cycles: Count = said("Upper bound.")
    low_seconds: float = said("`low_cycles` at the board's clock.")
    high_seconds: float = said("`high_cycles` at the board's clock.")
    assumptions: str = said("What the bounds rest on.")
    layers: tuple[BracketLayer, ...] = said("Per layer.")


class FigureValue(Part):
    """One number with its source."""

    value: int | float = said("The number.")
    source: str = said("Where it comes from, in words.")


class FigureDifference(Part):
    """Two comparable figures held against each other."""

    of: str = said("`linked`, `measured` or `estimated`.")
    against: str = said("`predicted`, `linked` or `estimated`.")
    absolute: int | float = said("`of` less `against`.")
    percent: float | None = perhaps("The same in percent of `against`; null where that is 0.")


class FigureSection(Part):
    """One figure as predicted, linked and measured."""

    key: str = said("Stable name.")
    figure: str = said("Name for people.")
    unit: str = said("`bytes`, `seconds`, or the unit of a count.")
    predicted: FigureValue | None = perhaps("By the host before compiling.")
    linked: FigureValue | None = perhaps("From the ELF file.")
    measured: FigureValue | None = perhaps("From the target.")
    estimated: FigureValue | None = perhaps("From a timing model of the board, over the simulator's run.")
    differences: tuple[FigureDifference, ...] = said("Between figures of the same kind only.")
    remark: str = said("Why the others are not compared.")


class Step(Part):
    """What the target runs and measures as one: a layer, or several strip by strip."""

    index: Count = said("Its place in the order.")
    name: str = said("Its layer, or the first and the last of them.")
    layers: tuple[Count, ...] = said("Indices of its layers.")
    calls: Count = said("Calls of kernels: strips of all its layers.")
    count: Count | None = perhaps("Measured, in `measured.unit`, median of the runs.")
    share: Share | None = perhaps("Of the sum over steps.")
    live_bytes: Count = said("Bytes of the arena that hold something during this step.")


class Layer(Part):
    """One layer of the generated program."""

    index: Count = said("Its place in the order.")
    step: Count = said("The step that it is part of; layers of one step run strip by strip.")
    variant: str = said("Which of the kernel's ways was chosen, in words.")
    scratch_bytes: Count = said("Memory of the arena that its kernel uses for itself.")
    ram_weights_bytes: Count = said("Constants that are copied to RAM when the target starts.")
    name: str = said("Name in the user's model.")
    operator: str = said("TFLite's name.")
    kernel: str = said("Kernel, as `library/kernel`.")
    output_shape: tuple[int, ...] = said("NHWC.")
    output_bytes: Count = said("Size of its output.")
    weights_bytes: Count = said("Constants it reads.")
    macs: Count = said("Multiply-accumulates.")
    macs_share: Share = said("Of the model's.")
    predicted_instructions: Count | None = perhaps("By the kernel's cost formula.")
    predicted_share: Share | None = perhaps("Of the sum over layers.")
    count: Count | None = perhaps(
        "Measured, in `measured.unit`, median of the runs; null where its step has further layers."
    )
    share: Share | None = perhaps("Of the sum over steps.")
    count_per_mac: float | None = perhaps("`count` per multiply-accumulate; null for layers without any.")
    difference_percent: float | None = perhaps("Count against prediction, where both are instructions.")
    predicted_cycles: Count | None = perhaps("By the kernel's cost formula, of `predicted.cycles.board`.")
    predicted_low_cycles: Count | None = perhaps("The lower end of the formula's band; null where unknown.")
    predicted_high_cycles: Count | None = perhaps("The upper end.")
    estimated_cycles: Count | None = perhaps("By the timing model, of `estimated.board`.")
    measured_cycles: Count | None = perhaps("Counted by the core itself.")
    estimated_to_predicted_percent: float | None = perhaps("Where both are of one board.")
    measured_to_estimated_percent: float | None = perhaps("Where both are of one board.")
    fused: tuple[str, ...] = said("Operators of the TFLite file that this layer does as well.")


class ArenaTensor(Part):
    """One buffer of the arena over its lifetime."""

    tensor: str = said("Name.")
    shape: tuple[int, ...] = said("Shape.")
    dtype: str = said("Element type.")
    bytes: Count = said("Size.")
    offset: Count = said("Bytes from the start of the arena.")
    first: Count = said("First step during which it holds its bytes.")
    last: Count = said("Last step, inclusive.")
    written_by: Count | None = perhaps("Layer whose output it is; null for an input and for scratch.")
    ring_rows: Count | None = perhaps("Rows that are kept at a time, of a map that is a ring.")
    aliases: tuple[str, ...] = said("Further names of the same bytes (a RESHAPE costs nothing).")
    role: Literal["input", "output", "activation", "scratch"] = said("What it is.")


class Arena(Part):
    """The arena over time."""

    bytes: Count = said("Size.")
    lower_bound_bytes: Count = said("No plan for these steps can be smaller.")
    alignment: Count = said("Of the arena's start.")
    peak_step: Count | None = perhaps("The step that needs most.")
    peak_live_bytes: Count = said("What it needs.")
    tensors: tuple[ArenaTensor, ...] = said("Its buffers in order of their lifetimes.")


class ClassSection(Part):
    """One class, as in scikit-learn's classification report."""

    name: str = said("Class.")
    precision: float = said("Of those called so, the share that is.")
    recall: float = said("Of those that are, the share called so.")
    f1: float = said("Harmonic mean of the two.")
    support: Count = said("Samples of the class.")


class Accuracy(Part):
    """Predictions held against labels."""

    subject: str = said("What predicted: `float model`, `quantized model` (on the host), `target`.")
    samples: Count = said("Labelled samples.")
    accuracy: float = said("Share predicted rightly.")
    macro_f1: float = said("Mean F1 over classes.")
    confusion: tuple[tuple[int, ...], ...] = said("Rows: true class; columns: predicted class.")
    classes: tuple[ClassSection, ...] = said("Per class.")


class AgreementSection(Part):
    """How far float and quantized model agree on the same samples."""

    samples: Count = said("Samples.")
    same_class: float | None = perhaps(
        "Share for which both predict the same class; null where the model ends in no softmax."
    )
    mean_absolute_difference: float = said("Of the real-valued outputs.")
    largest_difference: float = said("Of the real-valued outputs.")


class Range(Part):
    """What calibration found for one activation."""

    tensor: str = said("Name.")
    minimum: float = said("Smallest real value seen.")
    maximum: float = said("Largest real value seen.")
    scale: float = said("Real value of one integer step.")
    zero_point: int = said("The integer that stands for 0.")
    saturated: float = said("Share of values at the smallest or the largest integer.")


class DeviationSection(Part):
    """How far real values q of the quantized model are from the float ones f that they stand for."""

    sqnr_db: float | None = perhaps(
        "10 log10(sum f² / sum (q - f)²); null where nothing differs, or f is 0 throughout."
    )
    cosine: float | None = perhaps("Between the two as vectors; null where either is 0 throughout.")
    bias: float = said("Mean of q - f.")
    rms: float = said("Root of the mean square of q - f.")


class ChannelRangeSection(Part):
    """What one channel held."""

    channel: Count = said("Its index along the last axis.")
    minimum: float = said("Smallest real value.")
    maximum: float = said("Largest real value.")


class SpoiledSection(Part):
    """A tensor whose one scale is set by a few of its channels."""

    by: tuple[ChannelRangeSection, ...] = said("These channels, the widest first.")
    factor: float = said("How many times wider the range is than without them.")


class InspectedLayerSection(Part):
    """An input, or the output of a layer with the clamps behind it; ranges are of real values."""

    name: str = said("Name in the user's model.")
    tensor: str = said("Name in the TFLite file.")
    operator: str = said("TFLite's name, with those of the clamps behind it; INPUT.")
    shape: tuple[int, ...] = said("NHWC.")
    scale: float = said("Real value of one step.")
    zero_point: int = said("The integer that stands for 0.")
    low: float = said("The smallest value that its integers can stand for.")
    high: float = said("The largest.")
    minimum: float = said("Smallest value seen: in float where there is a float model, else in integers.")
    maximum: float = said("Largest value seen.")
    unused: float = said("Share of the integers' range outside of those that were seen.")
    at_low: Share = said("Share of integers that are the smallest one.")
    at_high: Share = said("Share of integers that are the largest one.")
    floor: bool = said("Whether the layer itself clamps from below, or where its values came from.")
    ceiling: bool = said("Whether it clamps from above.")
    clipped: Share | None = perhaps("Share of float values that lie beyond `low` and `high` by half a step.")
    own: DeviationSection | None = perhaps("Against the float layer on the same inputs: its own error.")
    total: DeviationSection | None = perhaps("Against the float model: its own and all that arrived.")
    channel_bias: float | None = perhaps("The largest own bias of a channel.")
    weights_db: float | None = perhaps("SQNR of its integer weights.")
    cost: Share | None = perhaps("Share of the noise at the model's output that its own error causes.")
    cost_db: float | None = perhaps("SQNR of the model's output if this were the only error.")
    changed: Count | None = perhaps("Samples whose predicted class its own error changes.")
    channels: Count = said("Along the last axis.")
    constant_channels: Count = said("That hold one integer for all samples and positions.")
    lost_channels: Count | None = perhaps("Of these, those that vary in float.")
    spoiled: SpoiledSection | None = perhaps("Channels that spoil the scale for the others.")


class InspectionSection(Part):
    """Where the quantized model differs from float, layer by layer."""

    samples: Count = said("Samples run.")
    costed_samples: Count = said("On which costs were measured.")
    layers: tuple[InspectedLayerSection, ...] = said("In order of execution, the inputs first.")
    judged: tuple[str, ...] = said("Tensors at which costs are measured: outputs, before a last softmax.")
    output_db: float | None = perhaps("SQNR there, of the quantized model.")
    explained: float | None = perhaps("Share of the error there that the layers' own errors add up to.")
    predicted: tuple[int, ...] = said("Each sample's class by the quantized model.")
    predicted_float: tuple[int, ...] = said("By the float model.")
    without_float: str = said("Why nothing is held against float; empty where it is.")
    unmatched: tuple[str, ...] = said("Layers that the float model does not have.")


class FindingSection(Part):
    """Something about the quantized model or its samples that wants a look."""

    code: str = said("Stays the same, such as `W_SATURATED`.")
    subject: str = said("The input, layer or output.")
    problem: str = said("What was found, with its values.")
    remedy: str = said("What to do.")


class Quantization(Part):
    """How the quantized model came about."""

    sha256: str = said("Of the TFLite file.")
    bytes: Count = said("Size of the TFLite file.")
    activations: str = said("What its values are kept in: `int8`, `int16`, or `int8 and int16`.")
    origin: str | None = perhaps("Calibration data; null where the model was quantized already.")
    samples: Count | None = perhaps("Calibration samples.")
    ranges: tuple[Range, ...] = said("Per activation.")
    recipe: str | None = perhaps(
        "Cures that were applied, as `--recipe` names them; null: it was quantized already."
    )
    inspection: InspectionSection | None = perhaps("Layer by layer against float; null without samples.")
    findings: tuple[FindingSection, ...] = Field(default=(), description="What wants a look.")
    rewrites: tuple[str, ...] = said("Float rewrites and cures; folds with the difference they made.")


class AnalyzedLayer(Part):
    """One layer of a host analysis."""

    name: str = said("Name.")
    kind: str = said("Kind of layer.")
    output_shape: tuple[int, ...] = said("Shape.")
    macc: Count = said("By the convention of the analysis.")
    parameters: Count = said("Parameters.")
    weights_bytes: Count = said("Their size.")
    activation_bytes: Count = said("Of its output.")
    macc_share: float = said("Of the model's.")
    weights_share: float = said("Of the model's.")


class RegionNeed(Part):
    """Need and supply of one kind of memory."""

    needed_bytes: Count = said("Needed.")
    available_bytes: Count = said("There.")
    fits: bool = said("Whether it fits.")
    counted: str = said("What is counted as needed.")


class Analysis(Part):
    """What the host says of a model before anything is generated."""

    kind: str = said("`float32`, or the activations of a quantized graph, such as `int8`.")
    board: str = said("The board it is held against.")
    clock_hz: Count = said("Its clock.")
    macc: Count = said("In all.")
    parameters: Count = said("In all.")
    weights_bytes: Count = said("In all.")
    activations_bytes: Count = said("Peak.")
    estimated_seconds: float = said("One MACC per cycle: a convention, not a measurement.")
    flash: RegionNeed = said("Flash.")
    ram: RegionNeed = said("RAM.")
    boards_that_fit: tuple[str, ...] = said("Boards that could hold it.")
    conventions: tuple[str, ...] = said("How each figure is counted.")
    layers: tuple[AnalyzedLayer, ...] = said("Per layer.")


class BudgetLine(Part):
    """One limit of `[budget]` in deploy.toml."""

    key: str = said("The limit's key.")
    figure: str = said("What it limits.")
    limit: float = said("At most this.")
    actual: float | None = perhaps("What it was; null where nobody knows.")
    source: str = said("Where `actual` comes from.")
    passed: bool = said("Whether the limit is kept.")


class Choice(Part):
    """One schedule, by its predicted cost: cycles without waiting for code, memory without the harness."""

    cycles: Count = said("Of one inference, by the kernels' cost formulas.")
    arena_bytes: Count = said("Activations and scratch.")
    ram_bytes: Count = said("Arena, and weights that are kept in RAM.")
    weights_bytes: Count = said("Of flash.")


class Choices(Part):
    """What was scheduled, and what could have been: predicted before anything was built."""

    aim: str = said("What was aimed at: time, ram, flash or balanced.")
    chosen: Choice = said("The schedule of this image.")
    others: tuple[Choice, ...] = said(
        "Of several limits of cycles the schedule of least RAM, also with weights as small as they can be; "
        "quickest first."
    )


class Report(Part):
    """One deployment, from prediction to measurement."""

    schema_version: Literal[2] = Field(default=2, description="Version of this form.")
    model: Model = said("The model.")
    board: BoardSection = said("The board asked for.")
    verdict: VerdictSection = said("The verdict.")
    arena_bytes: Count = said("Size of the arena as planned.")
    predicted: Predicted | None = perhaps("The host's prediction.")
    linked: Image | None = perhaps("The image linked for the board asked for.")
    run_image: Image | None = perhaps("The image that ran, where it is another one than `linked`.")
    measured: Measured | None = perhaps("What the target said.")
    estimated: Estimated | None = perhaps("Estimated clock cycles of a board.")
    bracket: Bracket | None = perhaps("Bounds of them, of a core of which no single figure is given.")
    outputs: Outputs | None = perhaps("Bit-exactness.")
    figures: tuple[FigureSection, ...] = said("Predicted, linked and measured side by side.")
    budget: tuple[BudgetLine, ...] = Field(default=(), description="Limits that were set, each checked.")
    layers: tuple[Layer, ...] = said("Per layer.")
    steps: tuple[Step, ...] = said("What runs as one, in order.")
    choices: Choices | None = perhaps("What was scheduled, and what could have been.")
    arena: Arena = said("The arena over time.")
    accuracy: tuple[Accuracy, ...] = said("At most three; empty without labels.")
    agreement: AgreementSection | None = perhaps("Float against quantized.")
    quantization: Quantization | None = perhaps("How the int8 model came about.")
    analyses: tuple[Analysis, ...] = said("Host analyses: of the float model, of the quantized graph.")
    provenance: dict[str, str | int | float | bool | tuple[str, ...]] = said(
        "From what this was made: hashes, versions, data, command. Free keys."
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of report.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Report.model_json_schema(mode="serialization"),
    }


def schema_page() -> str:
    """docs/report_schema.md: every key of report.json with its type and meaning."""
    lines = [
        "# report.json",
        "",
        "Generated from `pipeline/report/schema.py`; `report_schema.json` beside this page says the same as",
        "a JSON Schema, for programs.",
        "",
        f"Schema version {SCHEMA_VERSION}. Within a version keys are only added: ignore unknown ones.",
        "A change of meaning raises the version, and a reader refuses a version newer than its own.",
        "Bytes and counts are exact integers, shares run from 0 to 1, and `null` means that nobody knows.",
    ]
    for model in _models(Report, []):
        title = "The whole" if model is Report else model.__name__
        lines += [
            "",
            f"## {title}",
            "",
            (model.__doc__ or "").strip(),
            "",
            "| key | type | meaning |",
            "|---|---|---|",
        ]
        lines += [
            f"| `{name}` | {_words(info.annotation)} | {info.description} |" for name, info in _fields(model)
        ]
    return "\n".join(lines) + "\n"


def _fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    return list(model.model_fields.items())


def _models(model: type[BaseModel], found: list[type[BaseModel]]) -> list[type[BaseModel]]:
    """This model and all it refers to, in the order in which a reader meets them."""
    if model not in found:
        found.append(model)
        for _, info in _fields(model):
            for part in _leaves(info.annotation):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    _models(part, found)
    return found


def _leaves(kind: Any) -> list[Any]:
    arguments = [
        a for a in typing.get_args(kind) if a is not Ellipsis and typing.get_origin(kind) is not Literal
    ]
    return [leaf for a in arguments for leaf in _leaves(a)] if arguments else [kind]


def _words(kind: Any) -> str:
    """A type as the page prints it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _words(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(a) for a in arguments)
    if origin is tuple:
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return f"map of {_words(arguments[0])} to {_words(arguments[1])}"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return {"str": "text", "int": "integer", "float": "number", "bool": "true or false", "NoneType": "null"}[
        kind.__name__
    ]
