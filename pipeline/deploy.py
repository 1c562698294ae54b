"""The whole story: from a model file to a report, stage by stage."""

from __future__ import annotations

import io
import math
import platform
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from pipeline import __version__
from pipeline.analyze import HostAnalysis, analyze_float, analyze_graph
from pipeline.boards import HARDWARE_RUNNERS, Board, at_baud, load_board, simulator_for
from pipeline.build import CODE_OVERFLOW, Firmware, build_firmware, find_toolchain, write_tree
from pipeline.compare import BoardFacts, OutputComparison, Prediction, compare_outputs
from pipeline.config import Settings, option_of
from pipeline.demand import predict, refuse_what_cannot_fit, runs_from_ram
from pipeline.errors import BuildFailed, DoesNotFit, ModelNotSupported, TargetFailed, UsageError
from pipeline.files import writable_folder, write_file
from pipeline.forecast import CycleForecast, forecast_cycles
from pipeline.graph import Graph
from pipeline.kernels import libraries_of
from pipeline.load import (
    FloatModel,
    Preprocessing,
    Samples,
    TfliteModel,
    declare_preprocessings,
    load_model,
    load_samples,
    offline_samples,
    random_samples,
)
from pipeline.lower import Program, lower_program, with_all_weights_in_ram
from pipeline.measure import Measurement, measure
from pipeline.metrics import (
    FLOAT_MODEL,
    QUANTIZED_MODEL,
    TARGET,
    Classification,
    classify,
    predicted_classes,
)
from pipeline.passes import Applied, apply_passes
from pipeline.plan import plan_schedule
from pipeline.progress import Progress
from pipeline.quantize import (
    BorderTypes,
    Check,
    Cured,
    Finding,
    FloatRun,
    Inspection,
    Prepared,
    QuantizedModel,
    Recipe,
    best_of,
    candidates,
    compare_recipes,
    find_in_inputs,
    find_in_layers,
    inspect_quantization,
    parse_recipe,
    predict_float,
    predict_int8,
    prepare_model,
    quantize_model,
    run_float_graph,
    with_costly_layers,
)
from pipeline.quantize.synthesize import Synthesized, synthesize
from pipeline.read_tflite import read_tflite
from pipeline.reference import quantize_inputs, reference_layers, reference_outputs
from pipeline.registry import nearest
from pipeline.render import SourceTree, render_sources
from pipeline.report import Report, make_report, with_budget, write_report
from pipeline.report.budget import budget_words
from pipeline.report.changes import junit_xml
from pipeline.report.flame import flame_svg, folded
from pipeline.runners import RUNNERS, Runner, Stimulus
from pipeline.runners.unicorn import Unicorn
from pipeline.schedule import Choices, Machine, Schedule, Scheduler, TradeOff, machine_of, schedule_layers
from pipeline.sketch import sketch_graph
from pipeline.targets import check_weights_region, weights_regions
from pipeline.tensors import arrays_of
from pipeline.timing import (
    SIMULATORS,
    Estimate,
    TimingModel,
    can_estimate,
    estimate_cycles,
    timing_model,
)

REFERENCE = "TFLite reference kernels (BUILTIN_REF)"
REPORT_FOLDER = Path("build")
AUTO = "auto"
"""In a recipe's place: the one that measurement prefers."""
WORTH_DB = 3.0
WORTH_COST = 1.2
"""What layers in int16 have to win, and how many times the cycles and flash of int8 they may take."""
NO_FIGURE = {"model", "output", "port", "probe", "place", "programmer", "budget"}
"""Settings that a report's command leaves out: where things stand on this computer, and what is allowed."""
PROFILE_FILES = ("callgrind.out.estimated", "flame.estimated.svg", "flame.estimated.folded")
REPORT_FILES = ("report.html", "report.md", "report.json", "budget.xml", *PROFILE_FILES)
ESTIMATED_BOARD = "nucleo_l4r5zi"
"""Whose cycles are estimated where the board asked for says nothing of its own."""
# Of a larger set as many are kept, evenly spaced: what memory holds and a test set has.
MOST_SAMPLES = 10_000
# Of training data; fine-tuning needs few, and as float32 they fill memory.
MOST_TRAINING = 20_000


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model, quantized or about to be, and the samples that go with it."""

    name: str
    float_model: FloatModel | None
    """None where an int8 TFLite file was given."""
    quantized: QuantizedModel
    samples: Samples


@dataclass(frozen=True, slots=True)
class Inspected:
    """What an int8 model is like beside its float one, and what wants a look."""

    inspection: Inspection | None
    """None where there are no samples to run."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, eq=False)
class Generated:
    """A model as calls and as C for one board."""

    graph: Graph
    applied: tuple[Applied, ...]
    scheduler: Scheduler
    schedule: Schedule
    program: Program
    preprocessings: Sequence[Preprocessing]
    """What makes the model's input of the numbers of its samples."""
    tree: SourceTree


@dataclass(frozen=True, eq=False)
class Executed:
    """What ran, where, and what came of it."""

    board: Board
    generated: Generated
    firmware: Firmware
    measurement: Measurement
    inputs: np.ndarray
    """(samples, bytes of the input) uint8: what the target was given."""


Prepare = Callable[[Board, Firmware], None]
"""What is done with an image before it is run, such as flashing it."""


def deploy(
    settings: Settings, progress: Progress, prepare: Prepare | None = None
) -> tuple[Report, tuple[Path, ...]]:
    """Carry one model to a measured result on one board; the report and its files.

    The board's own image is run where the runner can: on the virtual board, on a simulated board, or on
    the board itself. Under QEMU, an STM32 board's image is built for the figures, and the simulated board
    of the same core runs for outputs and counts.
    """
    board = the_board(settings)
    runner, run_board = choose_runner(settings, board)
    model = estimated_board(settings, board)
    check_tools(board, run_board, runner=runner)
    loaded = load_quantized(settings, progress)
    inspected = inspect_loaded(loaded, progress)
    generated = generate(loaded.quantized, board, settings, loaded.samples.each_preprocessing)
    prediction = predict(
        generated.program, generated.schedule, board, model, settings.optimize, settings.code_in_ram
    )
    refuse_what_cannot_fit(prediction, board, generated.program, settings.weights_region)
    folder = output_folder(settings, loaded.name)
    for old in REPORT_FILES:
        # A deployment that fails from here on leaves no older one to be taken for it.
        (folder / old).unlink(missing_ok=True)
    generated, firmware = _build(generated, board, folder, settings, progress)
    image = (generated, firmware) if run_board == board else None
    if prepare:
        prepare(board, firmware)
    executed = _execute(settings, loaded, runner, run_board, folder, progress, image)
    outputs = hold_against_reference(executed, loaded, runner, progress)
    estimate, no_estimate = estimate_run(executed, runner, model, folder, progress)
    report = make_report(
        program=generated.program,
        board=facts(board),
        firmware=firmware,
        run_firmware=executed.firmware,
        run_board=facts(run_board),
        run_program=executed.generated.program,
        measurement=executed.measurement,
        estimate=estimate,
        no_estimate=no_estimate,
        outputs=outputs,
        prediction=prediction,
        float_analysis=_float_analysis(loaded.float_model, board),
        quantized_analysis=analyze_graph(generated.graph, board),
        quantized=loaded.quantized,
        inspection=inspected.inspection,
        findings=inspected.findings,
        classifications=classify_samples(loaded, executed, settings, progress),
        choices=choices_of(generated, settings),
        provenance=provenance(settings, loaded, generated, firmware, executed.measurement),
    )
    report = with_budget(report, settings.budget.limits)
    files = (
        *write_report(report, folder),
        *_write_profile(estimate, generated.program, folder),
        *_write_budget(report, folder),
    )
    progress("report", 1, 1)
    return report, files


def _float_analysis(model: FloatModel | None, board: Board) -> HostAnalysis | None:
    """By the conventions for float models; None where they have no rule for a layer."""
    try:
        return analyze_float(model, board) if model else None
    except ModelNotSupported:
        return None


def _write_budget(report: Report, folder: Path) -> tuple[Path, ...]:
    """The limits as JUnit XML, for CI; nothing where none is set."""
    if not report.budget:
        return ()
    cases = [(line.figure, None if line.passed else budget_words(line)) for line in report.budget]
    path = folder / "budget.xml"
    write_file(path, junit_xml("stm32-deploy budget", cases).encode())
    return (path,)


# --- the verbs, each up to its own stage ------------------------------------------------------------


def analyze_model(
    settings: Settings, progress: Progress
) -> tuple[HostAnalysis, CycleForecast | None, Classification | None]:
    """Predict figures for a Keras model (by the float conventions) or an int8 TFLite file (by its own).

    Also cycles, where the board's are known; of a Keras model those of a sketch of its int8 graph. Where
    labelled samples are named, also how well the model classifies them.
    """
    board = the_board(settings)
    model = load_model(model_path(settings))
    samples = None
    if settings.samples is not None:
        samples = load_samples(
            model,
            settings.samples,
            declared=_declared(model, settings),
            limit=MOST_SAMPLES,
            progress=progress,
        )
    labelled = samples is not None and samples.labels is not None
    if isinstance(model, TfliteModel):
        graph = read_tflite(model.content, model.name)
        analysis = analyze_graph(graph, board)
        forecast = _forecast(graph, board, settings)
        figures = _classify_quantized(model.content, samples, progress) if samples and labelled else None
    else:
        analysis = analyze_float(model, board)
        sketch = sketch_graph(model)
        forecast = _forecast(sketch, board, settings) if sketch else None
        figures = _classify_float(model, samples, progress) if samples and labelled else None
    return analysis, forecast, figures


def _forecast(graph: Graph, board: Board, settings: Settings) -> CycleForecast | None:
    """Predicted cycles of a graph, rewritten and scheduled as a deployment would."""
    model = timing_model(board) if can_estimate(board) else None
    if model is None or model.is_bracket:
        return None
    rewritten, _ = apply_passes(graph)
    schedule = schedule_layers(rewritten, the_machine(settings, board), settings.optimize)
    from_ram = runs_from_ram(board, settings.optimize, settings.code_in_ram)
    return forecast_cycles(schedule, model, settings.optimize, from_ram=from_ram)


def quantize_file(
    settings: Settings, output: Path | None, progress: Progress
) -> tuple[Path, QuantizedModel, Inspected]:
    """Quantize a Keras model and write the TFLite file, by default beside the other results."""
    if output is not None and output.suffix != ".tflite":
        raise UsageError(
            f"the output is {output.name}, expected a name that ends in .tflite",
            code="E_OUTPUT",
            hint=f"-o {output.with_suffix('.tflite')}",
        )
    if output is not None:
        writable_folder(output.parent)
    loaded = load_quantized(settings, progress)
    integers = loaded.quantized.activations.replace(" and ", "_")
    path = output or output_folder(settings, loaded.name) / f"{loaded.name}_{integers}.tflite"
    write_file(path, loaded.quantized.tflite)
    return path, loaded.quantized, inspect_loaded(loaded, progress)


def synthesize_samples(
    settings: Settings, output: Path | None, images: int, steps: int, progress: Progress
) -> tuple[Path, Synthesized]:
    """Make calibration samples from a model's batch norms, and write them where later commands find them.

    Raises as `synthesize`.
    """
    path = model_path(settings)
    output = output or offline_samples(path)
    if output.suffix != ".npz":
        raise UsageError(
            f"the output is {output.name}, expected a name that ends in .npz",
            code="E_OUTPUT",
            hint=f"-o {output.with_suffix('.npz')}",
        )
    writable_folder(output.parent)
    model = load_model(path)
    if isinstance(model, TfliteModel):
        raise UsageError(
            "a .tflite file is quantized already: its ranges stand in it",
            code="E_MODEL_FORMAT",
            where=path,
            hint="give the Keras model that it was made of",
        )
    made = synthesize(model, _declared(model, settings), images=images, steps=steps, progress=progress)
    names = ["x"] if len(model.inputs) == 1 else [spec.name for spec in model.inputs]
    origin = f"offline set: {images} samples made from the network's batch-norm statistics"
    content = io.BytesIO()
    arrays = dict(zip(names, made.arrays, strict=True))
    np.savez_compressed(content, allow_pickle=False, origin=np.array(origin), **arrays)
    write_file(output, content.getvalue())
    return output, made


def generate_sources(settings: Settings, progress: Progress) -> tuple[Path, Generated]:
    """Write the source tree of a model for a board."""
    board = the_board(settings)
    loaded = load_quantized(settings, progress)
    generated = generate(loaded.quantized, board, settings, loaded.samples.each_preprocessing)
    # Where `build` and `deploy` put it too.
    folder = output_folder(settings, loaded.name) / board.name / "src"
    write_tree(generated.tree, folder)
    return folder, generated


def build_image(settings: Settings, progress: Progress) -> tuple[Generated, Firmware]:
    """Compile and link the image of a model for a board."""
    board = the_board(settings)
    check_tools(board)
    loaded = load_quantized(settings, progress)
    generated = generate(loaded.quantized, board, settings, loaded.samples.each_preprocessing)
    prediction = predict(
        generated.program, generated.schedule, board, None, settings.optimize, settings.code_in_ram
    )
    refuse_what_cannot_fit(prediction, board, generated.program, settings.weights_region)
    folder = output_folder(settings, loaded.name)
    return _build(generated, board, folder, settings, progress)


def run_image(settings: Settings, progress: Progress, loaded: Loaded | None = None) -> Executed:
    """Build an image (of a model that may be loaded already), run it, and read what it measured."""
    board = the_board(settings)
    runner, run_board = choose_runner(settings, board)
    check_tools(run_board, runner=runner)
    loaded = loaded or load_quantized(settings, progress)
    folder = output_folder(settings, loaded.name)
    return _execute(settings, loaded, runner, run_board, folder, progress)


# --- stages -----------------------------------------------------------------------------------------


def model_path(settings: Settings) -> Path:
    """The model that was named, on the command line or in deploy.toml."""
    if settings.model is None:
        raise UsageError(
            "no model was named",
            code="E_MODEL_MISSING",
            hint='stm32-deploy deploy my_model.keras, or `model = "my_model.keras"` in deploy.toml',
        )
    return settings.model


def output_folder(settings: Settings, name: str) -> Path:
    """Where all results go; made if it is not there."""
    return writable_folder(settings.output or REPORT_FOLDER / name / settings.board)


def load_quantized(settings: Settings, progress: Progress) -> Loaded:
    """Load a model with its samples, and quantize it where it is not yet."""
    if settings.output is not None:  # refused before the long work
        writable_folder(settings.output)
    recipe = asked_recipe(settings)
    progress("load", 0, 1)
    model = load_model(model_path(settings))
    declared = _declared(model, settings)
    if isinstance(model, TfliteModel):
        # What cannot be carried is said before anything else is asked for.
        _refuse_recipe(settings, model)
        _refuse_border(settings, model)
        read_tflite(model.content, model.name)
        try:
            samples = load_samples(model, settings.samples, declared=declared, limit=MOST_SAMPLES)
        except UsageError as error:
            if settings.samples is not None or error.code != "E_SAMPLES_MISSING":
                raise
            samples = random_samples(model, settings.inferences)
        progress("load", 1, 1)
        quantized = QuantizedModel(model.name, model.content, None, None, model.sha256)
        return Loaded(model.name, None, quantized, samples)
    samples = samples_of(model, settings, progress)
    progress("load", 1, 1)

    border = BorderTypes(settings.input_type, settings.output_type)
    if recipe is None:
        count = settings.calibration_samples
        prepared = prepare_model(model, samples, count=count, border=border, progress=progress)
        run = run_float_graph(prepared, samples.take(settings.evaluate))
        recipes = candidates(prepared, settings.epochs, count)
        recipe = try_recipes(prepared, run, recipes, settings, progress).best.recipe
    check = layers_of(model.name)
    quantized = quantize_model(model, samples, recipe=recipe, border=border, check=check, progress=progress)
    return Loaded(model.name, model, quantized, samples)


def layers_of(name: str) -> Check:
    """Reads a quantized file of the model of this name: refused, or its layers' names by their tensors."""
    return lambda tflite: {node.output: node.name for node in read_tflite(tflite, name).nodes}


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """Recipes, held against the float model."""

    plain: tuple[Cured, ...]
    """Of int8 throughout."""
    mixed: tuple[Cured, ...]
    """The best of these, with a few layers in int16."""
    best: Cured


def try_recipes(
    prepared: Prepared, run: FloatRun, recipes: Sequence[Recipe], settings: Settings, progress: Progress
) -> Tried:
    """Measure int8 recipes, and layers in int16 beside the best, which are taken only if worth it."""
    check = layers_of(prepared.model.name)
    plain = compare_recipes(prepared, run, recipes, check=check, progress=progress)
    best = best_of(plain)
    mixed: list[Cured] = []
    for recipe in with_costly_layers(prepared, best, check):
        with suppress(ModelNotSupported):  # TFLite's quantizer fails on some operators beside others
            mixed += compare_recipes(prepared, run, [recipe], check=check, progress=progress)
    worth = [one for one in mixed if _is_worth(one, best, prepared.model.name, settings)]
    return Tried(plain, tuple(mixed), best_of(worth) if worth else best)


def _is_worth(mixed: Cured, plain: Cured, name: str, settings: Settings) -> bool:
    """Whether layers in int16 win half a bit, for a fifth more cycles and flash at most, and fit the board.

    RAM is no price: a schedule takes for weights and copies what maps leave of it.
    """
    if mixed.fidelity.sqnr_db < plain.fidelity.sqnr_db + WORTH_DB:
        return False
    try:
        found = (
            predict_file(plain.tflite, name, settings),
            predict_file(mixed.tflite, name, settings, must_fit=True),
        )
    except DoesNotFit:
        return False
    costs = [(each.cycles.cycles if each.cycles else each.instructions, each.flash_bytes) for each in found]
    return all(after <= WORTH_COST * before for before, after in zip(*costs, strict=True))


def predict_file(tflite: bytes, name: str, settings: Settings, *, must_fit: bool = False) -> Prediction:
    """What the image of a quantized file is expected to need.

    Raises DoesNotFit of more than --max-ram or --max-flash; with `must_fit` of more than the board has, too.
    """
    board = the_board(settings)
    generated = generate(QuantizedModel(name, tflite, None, None, ""), board, settings)
    timing = timing_model(board) if can_estimate(board) else None
    prediction = predict(
        generated.program, generated.schedule, board, timing, settings.optimize, settings.code_in_ram
    )
    if must_fit:
        refuse_what_cannot_fit(prediction, board, generated.program, settings.weights_region)
    return prediction


def inspect_loaded(loaded: Loaded, progress: Progress) -> Inspected:
    """Hold the quantized model against float on the samples, by layer; look for what is probably wrong."""
    samples, quantized = loaded.samples, loaded.quantized
    if samples.random:
        return Inspected(None, ())
    inputs = arrays_of(samples.x)
    graph = read_tflite(quantized.tflite, quantized.name)
    names = dict(zip(graph.inputs, graph.input_names, strict=False))
    inspection = inspect_quantization(
        quantized.tflite,
        quantized.float_tflite,
        inputs,
        names=names | {node.output: node.name for node in graph.nodes},
        labelled=samples.labels is not None,
        progress=progress,
    )
    calibration = None if samples.calibration is None else arrays_of(samples.calibration)
    return Inspected(
        inspection, (*find_in_inputs(inspection, inputs, calibration), *find_in_layers(inspection))
    )


def _declared(model: FloatModel | TfliteModel, settings: Settings) -> dict[str, Preprocessing]:
    """What the user says of each input's preprocessing, by the input's name."""
    return declare_preprocessings(settings.preprocess or "", [spec.name for spec in model.inputs])


def samples_of(model: FloatModel, settings: Settings, progress: Progress) -> Samples:
    """The samples of a float model; where training data are named, they calibrate and train it."""
    declared = _declared(model, settings)
    samples = load_samples(model, settings.samples, declared=declared, limit=MOST_SAMPLES, progress=progress)
    if settings.training is None:
        return samples
    training = load_samples(
        model, settings.training, declared=declared, limit=MOST_TRAINING, progress=progress
    )
    origin = f"{samples.origin}, calibrated with {training.origin}"
    return replace(samples, origin=origin, calibration=training.x, training=training.x)


def asked_recipe(settings: Settings) -> Recipe | None:
    """The recipe that was asked for; None where it is to be chosen by measurement."""
    if settings.recipe == AUTO:
        return None
    return parse_recipe(settings.recipe, settings.calibration_samples, settings.epochs)


def _refuse_recipe(settings: Settings, model: TfliteModel) -> None:
    if settings.recipe != Settings().recipe:
        raise UsageError(
            f"the recipe {settings.recipe!r} cannot be applied to a .tflite file, which is quantized already",
            code="E_RECIPE",
            where=model.path,
            hint="give the Keras model, or leave the recipe out",
        )


def _refuse_border(settings: Settings, model: TfliteModel) -> None:
    """The types of a .tflite file stand in it."""
    for side, specs, asked in (
        ("input", model.inputs, settings.input_type),
        ("output", model.outputs, settings.output_type),
    ):
        others = [f"{side} {spec.name}: {spec.dtype}" for spec in specs if spec.dtype != asked]
        if asked is not None and others:
            raise UsageError(
                f"{len(others)} {side}s of the .tflite file are not {asked}, as --{side}-type wants them",
                code="E_BORDER_TYPE",
                where=model.path,
                details=others,
                hint=f"give the Keras model, or convert again with inference_{side}_type = tf.{asked}",
            )


def generate(
    quantized: QuantizedModel,
    board: Board,
    settings: Settings,
    preprocessings: Sequence[Preprocessing] = (),
) -> Generated:
    """From the TFLite file to C: read, rewrite, schedule, plan, lower, render.

    `preprocessings`: what makes each input of the numbers of its samples; empty: as they are.
    """
    graph, applied = apply_passes(read_tflite(quantized.tflite, quantized.name))
    outside = [name for name in graph.inputs if settings.allocate_input == "outside"]
    outside += [name for name in graph.outputs if settings.allocate_output == "outside"]
    machine = the_machine(settings, board)
    fed = _fed_input(graph) if settings.allocate_input == "rows" else None
    scheduler = Scheduler(graph, machine, frozenset(outside), fed)
    schedule = scheduler.schedule(settings.optimize)
    program = lower_program(schedule, plan_schedule(schedule))
    if settings.weights_region is not None:
        program = with_all_weights_in_ram(program)
    code_in_ram = runs_from_ram(board, settings.optimize, settings.code_in_ram)
    tree = _render(program, board, settings, preprocessings, code_in_ram=code_in_ram)
    return Generated(graph, applied, scheduler, schedule, program, preprocessings, tree)


def _fed_input(graph: Graph) -> str:
    """The input whose rows are fed one by one."""
    if len(graph.inputs) > 1:
        raise UsageError(
            f"rows can be fed of one input, and this model has {len(graph.inputs)}",
            code="E_FEED_ROWS",
            where=graph.name,
            hint="keep the whole inputs: --allocate-input arena, or outside",
        )
    return graph.inputs[0]


def _render(
    program: Program,
    board: Board,
    settings: Settings,
    preprocessings: Sequence[Preprocessing],
    *,
    code_in_ram: bool,
) -> SourceTree:
    """The sources. A simulated board that stands for another may lack the region that was named."""
    region = settings.weights_region
    if region not in weights_regions(board):
        region = None
    return render_sources(
        program,
        board,
        aim=settings.optimize,
        preprocessings=preprocessings,
        code_in_ram=code_in_ram,
        weights_region=region,
    )


def the_machine(settings: Settings, board: Board) -> Machine:
    """What a schedule has to keep to; an image for a simulator has the schedule of the board meant."""
    meant = the_board(settings)
    slow = meant
    if not meant.timing and settings.estimate_for != "none":
        slow = load_board(settings.estimate_for or ESTIMATED_BOARD)
    machine = replace(machine_of(meant, slow), libraries=libraries_of(board))
    if settings.code_in_ram == "never":
        machine = replace(machine, code_in_ram=False)
    if settings.max_ram is not None:
        machine = replace(machine, ram_bytes=settings.max_ram, must_fit=True)
    if settings.max_flash is not None:
        machine = replace(machine, flash_bytes=settings.max_flash, must_fit=True)
    return machine


def choose_runner(settings: Settings, board: Board) -> tuple[Runner, Board]:
    """The runner asked for, or the first that the board names, and the board that it will run.

    For a board that is not simulated, or not by QEMU where that was asked for, that is QEMU's of its core.
    """
    if settings.runner in HARDWARE_RUNNERS:
        run_board = board
    else:
        run_board = load_board("host") if settings.runner == "host" else simulator_for(board, settings.runner)
    name = settings.runner or run_board.simulators[0]
    if name not in run_board.run:
        close = None if name in RUNNERS else nearest(name, RUNNERS)
        raise UsageError(
            f"{run_board.name} cannot be run by {name!r}",
            code="E_RUNNER",
            hint=(f"did you mean {close}? " if close else "") + f"it is run by: {', '.join(run_board.run)}",
        )
    kind = RUNNERS[name]
    return kind(**{option: getattr(settings, option) for option in kind.options}), run_board


def the_board(settings: Settings) -> Board:
    """The board that was named, with the baud rate that was asked for."""
    board = load_board(settings.board)
    if settings.weights_region is not None:
        check_weights_region(board, settings.weights_region)
    return at_baud(board, settings.baud) if settings.baud is not None else board


def check_tools(*boards: Board, runner: Runner | None = None) -> None:
    """Refuse before the long work what could only fail after it."""
    for board in boards:
        find_toolchain(board)
    if runner is not None:
        runner.check()


def choices_of(generated: Generated, settings: Settings) -> Choices:
    """What was scheduled, and what else could have been; all of it as the schedule reckons."""
    layers = generated.program.layers
    in_ram = sum(layer.ram_bytes for layer in layers)
    chosen = TradeOff(
        cycles=sum(step.cycles for step in generated.schedule.steps),
        arena_bytes=generated.program.arena_bytes,
        ram_bytes=generated.program.arena_bytes + in_ram,
        weights_bytes=sum(c.weights_bytes for step in generated.schedule.steps for c in step.candidates),
    )
    return Choices(settings.optimize, chosen, generated.scheduler.trade_offs())


def _build(
    generated: Generated, board: Board, folder: Path, settings: Settings, progress: Progress
) -> tuple[Generated, Firmware]:
    """The linked image, and what it was made of: code for which its RAM is too small stays in flash."""

    def link(tree: SourceTree) -> Firmware:
        return build_firmware(tree, board, folder / board.name, optimize=settings.optimize, progress=progress)

    try:
        return generated, link(generated.tree)
    except DoesNotFit as error:
        if error.code != CODE_OVERFLOW:
            raise
    tree = _render(generated.program, board, settings, generated.preprocessings, code_in_ram=False)
    generated = replace(generated, tree=tree)
    return generated, link(generated.tree)


def _execute(
    settings: Settings,
    loaded: Loaded,
    runner: Runner,
    board: Board,
    folder: Path,
    progress: Progress,
    image: tuple[Generated, Firmware] | None = None,
) -> Executed:
    """Run samples through an image, which is built first where it is not given."""
    if image is None:
        generated = generate(loaded.quantized, board, settings, loaded.samples.each_preprocessing)
        image = _build(generated, board, folder, settings, progress)
    generated, firmware = image
    inputs = quantize_inputs(loaded.quantized.tflite, loaded.samples.take(settings.inferences).x)
    stimulus = Stimulus(inputs=inputs, timed_runs=settings.timed_runs)
    transcript = runner.run(firmware, board, stimulus, progress=progress)
    return Executed(board, generated, firmware, measure(transcript, generated.program), inputs)


def hold_against_reference(
    executed: Executed, loaded: Loaded, runner: Runner, progress: Progress
) -> OutputComparison:
    """The target's outputs against TFLite's reference kernels; layer by layer where the end differs."""
    program, outputs = executed.generated.program, executed.measurement.outputs
    expected = reference_outputs(loaded.quantized.tflite, executed.inputs, progress)
    differing = np.flatnonzero((outputs != expected).any(axis=1))
    dumps: dict[tuple[int, int], np.ndarray] = {}
    wanted: dict[tuple[int, int], np.ndarray] = {}
    if len(differing):
        sample = int(differing[0])
        stimulus = Stimulus(inputs=executed.inputs[[sample]], timed_runs=1, layer_dumps=(0,))
        transcript = runner.run(executed.firmware, executed.board, stimulus, progress=progress)
        layers = reference_layers(loaded.quantized.tflite, executed.inputs[sample])
        for call in program.calls:
            if call.writes.tensor in layers:
                dumps[sample, call.index] = np.frombuffer(transcript.dumps[0, call.index], np.uint8)
                wanted[sample, call.index] = layers[call.writes.tensor]
    return compare_outputs(
        outputs,
        expected,
        reference=REFERENCE,
        layer_dumps=dumps or None,
        expected_layers=wanted or None,
        program=program,
        layers_source=f"the same image on {executed.board.name}",
    )


def estimated_board(settings: Settings, board: Board) -> TimingModel | None:
    """The board whose cycles are to be estimated; None where none are wanted.

    UsageError E_BOARD_UNKNOWN, E_BOARD_TIMING for a board that says too little.
    """
    if settings.estimate_for == "none":
        return None
    if settings.estimate_for is None and can_estimate(board):
        return timing_model(board)
    return timing_model(load_board(settings.estimate_for or ESTIMATED_BOARD))


def estimate_run(
    executed: Executed, runner: Runner, model: TimingModel | None, folder: Path, progress: Progress
) -> tuple[Estimate | None, str]:
    """The estimated cycles of what ran in a simulator, or of a board's image on the virtual one.

    None, and why, where one was wanted and cannot be had.

    An estimate comes on top of what was measured: without a compiler for this computer a deployment
    is still one.
    """
    simulator = runner.name
    if runner.name in HARDWARE_RUNNERS and Unicorn.name in executed.board.run:
        simulator = Unicorn.name  # beside what the board itself counted
    if model is None or simulator not in SIMULATORS:
        return None, ""
    if executed.board.cpu != model.cpu:
        return None, f"{model.board} has a {model.cpu}, the image is for a {executed.board.cpu}"
    calls = executed.generated.program.calls
    steps = tuple(tuple(layer.index for layer in call.layers) for call in calls)
    try:
        estimate = estimate_cycles(
            executed.firmware, executed.board, model, executed.inputs[0], steps,
            folder / executed.board.name / "timing", progress, simulator,
        )  # fmt: skip
    except (BuildFailed, TargetFailed) as error:
        return None, f"{error.problem} ({error.code})" + (f"; {error.hint}" if error.hint else "")
    return estimate, ""


def _write_profile(estimate: Estimate | None, program: Program, folder: Path) -> tuple[Path, ...]:
    """Beside the report, for KCachegrind and as flame graphs; never those of another run."""
    paths = [folder / name for name in PROFILE_FILES]
    if estimate is None or estimate.model.is_bracket:
        for path in paths:
            path.unlink(missing_ok=True)
        return ()
    names = {f"layer_{layer.index}": layer.name for layer in program.layers}
    names |= {f"step_{call.index}": call.name for call in program.calls}
    stacks = [
        (tuple(f"{part} {names[part]}" if part in names else part for part in path), cycles)
        for path, cycles in estimate.stacks
    ]
    title = f"{program.name}: estimated cycles on {estimate.model.title}"
    note = f"{estimate.total.cycles:,} cycles at {estimate.model.words}; not measured"
    contents = (estimate.callgrind, flame_svg(stacks, title, note), folded(stacks))
    for path, content in zip(paths, contents, strict=True):
        write_file(path, content.encode())
    return tuple(paths)


def classify_samples(
    loaded: Loaded, executed: Executed, settings: Settings, progress: Progress
) -> tuple[Classification, ...]:
    """Float model, quantized model and target held against the labels, where there are labels."""
    samples = loaded.samples
    if samples.labels is None or samples.offline:
        return ()
    (output,) = executed.generated.program.outputs  # of several, none is known to be the labels'
    if math.prod(output.shape) != output.shape[-1]:
        return ()
    found = []
    if loaded.float_model is not None:
        found.append(_classify_float(loaded.float_model, samples.take(settings.evaluate), progress))
    found.append(_classify_quantized(loaded.quantized.tflite, samples.take(settings.evaluate), progress))
    on_target = executed.measurement.outputs.view(output.dtype)
    if output.quantization is not None:
        (scale,), (zero_point,) = output.quantization.scale, output.quantization.zero_point
        on_target = scale * (on_target.astype(np.float64) - zero_point)
    found.append(_classify(TARGET, on_target, samples.take(settings.inferences)))
    return tuple(found)


def _classify_float(model: FloatModel, samples: Samples, progress: Progress) -> Classification:
    (scores,) = arrays_of(predict_float(model, samples.x, progress))
    return _classify(FLOAT_MODEL, scores, samples)


def _classify_quantized(tflite: bytes, samples: Samples, progress: Progress) -> Classification:
    (scores,) = arrays_of(predict_int8(tflite, samples.x, progress=progress)[1])
    return _classify(QUANTIZED_MODEL, scores, samples)


def _classify(subject: str, scores: np.ndarray, samples: Samples) -> Classification:
    """Real scores (N, ...), one for each class or of class 1 alone, against the labels of the samples."""
    assert samples.labels is not None
    classes = max(2, scores[0].size)
    return classify(subject, predicted_classes(scores), samples.labels, samples.classes, classes)


def _passes_in_words(applied: Sequence[Applied]) -> list[str]:
    """What each pass saved, of those that found anything to do."""
    found = [str(each) for each in applied if each.found_anything]
    return found or [f"none of {len(applied)} found anything to do"]


def provenance(
    settings: Settings, loaded: Loaded, generated: Generated, firmware: Firmware, measured: Measurement
) -> dict[str, str | int | float | bool | Sequence[str]]:
    """Which inputs and tools the report rests on; nothing that differs between two equal runs."""
    path = model_path(settings)
    return {
        "tool": f"stm32-deploy {__version__}",
        "command": command_line(settings),
        "model file": path.name,
        "model sha256": loaded.float_model.sha256 if loaded.float_model else loaded.quantized.sha256,
        "framework": loaded.float_model.framework if loaded.float_model else "given as quantized TFLite",
        "quantized TFLite sha256": loaded.quantized.sha256,
        "samples": loaded.samples.origin,
        "preprocessing": _preprocessing_in_words(loaded.samples),
        "graph passes": _passes_in_words(generated.applied),
        "source digest": generated.tree.digest,
        "optimize": settings.optimize,
        "compiler": firmware.toolchain,
        "flags": list(firmware.flags),
        "runner": measured.runner,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "ai-edge-litert": metadata.version("ai-edge-litert"),
        "tensorflow": metadata.version("tensorflow"),
    }


def _preprocessing_in_words(samples: Samples) -> str:
    each = samples.preprocessings
    return "; ".join(f"{name}: {done}" for name, done in each.items()) or str(samples.preprocessing)


def command_line(settings: Settings) -> str:
    """A command that makes the same report from the same files: every setting that is not the default.

    Paths are cut to their names, so that the same report comes from another folder.
    """
    default = Settings(board="")  # which board is meant is always said
    words = ["stm32-deploy", "deploy", model_path(settings).name]
    for setting, value in settings:
        if setting not in NO_FIGURE and value != getattr(default, setting):
            words += [option_of(setting), value.name if isinstance(value, Path) else str(value)]
    return shlex.join(words)


def facts(board: Board) -> BoardFacts:
    """What a report says of a board."""
    return BoardFacts(
        board.name, board.title, board.flash_bytes, board.all_ram_bytes, board.hclk_hz, board.core
    )
