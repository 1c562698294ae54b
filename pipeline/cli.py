"""Commands, exit codes, and nothing else.

Exit codes: 0 good; 1 a check failed (outputs differ); 2 usage or configuration; 3 model not
supported; 4 does not fit or does not build; 5 flashing; 6 target silent or faulted; 70 a bug.
"""

from __future__ import annotations

import functools
import inspect
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.exceptions import Abort, TyperException

from pipeline import __version__
from pipeline.errors import ModelNotSupported, PipelineError, TargetFailed, UsageError
from pipeline.limits import READING_SECONDS, end_this_process_when_late

# Stages are imported where a command needs them: `boards` and `--help` answer at once.
if TYPE_CHECKING:
    from pipeline.analyze import HostAnalysis, RegionFit
    from pipeline.config import Settings
    from pipeline.cures import CureTable
    from pipeline.deploy import Inspected
    from pipeline.flash import Flashed
    from pipeline.forecast import CycleForecast
    from pipeline.metrics import Classification
    from pipeline.report import Report, Summary

BUG_EXIT_CODE = 70
INTERRUPTED_EXIT_CODE = 128 + signal.SIGINT
# Other programs' ways to end this one; Windows has not all of them.
ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
WATCHED_SIGNALS = (*ENDING_SIGNALS, signal.SIGINT, *([signal.SIGCHLD] if hasattr(signal, "SIGCHLD") else []))
PLAIN_PROGRESS_SECONDS = 10.0

app = typer.Typer(
    help="Carry a trained Keras model to a measured, bit-exact int8 deployment on an STM32.",
    epilog="Exit codes: 0 good, 1 a check failed, 2 usage, 3 model not supported, 4 does not fit or build, "
    "5 flashing, 6 target silent or faulted, 70 a bug. With --debug a bug shows its traceback.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Into a file or a pipe, tables are as wide as they want to be.
WIDE = 160
# Words in a table are not folded to less.
FOLDED = 12
# Below that the table of layers leaves out columns, so that their names stay readable.
NARROW = 132
# Layers whose scale is spoiled; a network of depthwise convolutions has many.
SPOILED_SHOWN = 5
out = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, highlight=False)


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


class Aim(StrEnum):
    TIME = "time"
    RAM = "ram"
    FLASH = "flash"
    BALANCED = "balanced"


class Allocation(StrEnum):
    ARENA = "arena"
    OUTSIDE = "outside"


class InputAllocation(StrEnum):
    ARENA = "arena"
    OUTSIDE = "outside"
    ROWS = "rows"


class BorderType(StrEnum):
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    FLOAT32 = "float32"


class CodeInRam(StrEnum):
    AUTO = "auto"
    NEVER = "never"


Model = Annotated[
    Path | None,
    typer.Argument(
        metavar="MODEL", help=".keras, .h5, SavedModel folder or quantized .tflite", show_default=False
    ),
]
Board = Annotated[str | None, typer.Option("--board", "-b", help="a name of `stm32-deploy boards`")]
Samples = Annotated[
    Path | None,
    typer.Option("--samples", help="calibration and test samples: .npz, .npy, or a folder of images"),
]
Preprocess = Annotated[
    str | None,
    typer.Option(
        "--preprocess",
        help="what the model's input is of a file's values: scale=1/255,offset=0; of several: a: ...; b: ...",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="cures for what quantization costs in accuracy: minmax, percentile or mse, equalize, train, "
        "bias, joined by +; int16: activations of 16 bits, at twice the RAM; int16=NAME,NAME or "
        "int16=worst:3: of these layers, or of those that cost most; auto: what measurement prefers",
        metavar="WORDS",
    ),
]
InputType = Annotated[
    BorderType | None,
    typer.Option("--input-type", help="of a Keras model; other than int8, the target quantizes its inputs"),
]
OutputType = Annotated[
    BorderType | None,
    typer.Option("--output-type", help="of a Keras model; other than int8, the target converts its outputs"),
]
Training = Annotated[
    Path | None,
    typer.Option(
        "--training", help="training samples: they calibrate, and a recipe's train fine-tunes on them"
    ),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="settings; default ./deploy.toml where it exists")
]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="folder of all results")]
Optimize = Annotated[Aim | None, typer.Option("--optimize", help="what kernels, memory and compiler aim at")]
MaxRam = Annotated[
    int | None,
    typer.Option("--max-ram", help="bytes of arena and of weights in RAM, at most", metavar="BYTES"),
]
MaxFlash = Annotated[
    int | None, typer.Option("--max-flash", help="bytes of weights in flash, at most", metavar="BYTES")
]
AllocateInput = Annotated[
    InputAllocation | None,
    typer.Option(
        "--allocate-input",
        help="arena; outside: it then survives a run; rows: fed one by one, as of a camera, and never whole",
    ),
]
AllocateOutput = Annotated[Allocation | None, typer.Option("--allocate-output", help="arena, or outside")]
RunFrom = Annotated[
    CodeInRam | None,
    typer.Option("--code-in-ram", help="auto: what asks for it, where RAM is fetched from without waiting"),
]
WeightsRegion = Annotated[
    str | None,
    typer.Option("--weights-region", help="memory region of the board that all weights are copied into"),
]
Runner = Annotated[
    str | None, typer.Option("--runner", help="unicorn, renode, qemu, host, serial; see `boards`")
]
Port = Annotated[
    str | None,
    typer.Option("--port", help="serial port, socket:// or rfc2217://; default: the ST-LINK's own"),
]
Baud = Annotated[
    int | None, typer.Option("--baud", help="of the serial line, up to 921600; built in as well")
]
Probe = Annotated[
    str | None,
    typer.Option("--probe", help="the ST-LINK's serial number or a part of it, if there are several"),
]
Place = Annotated[str | None, typer.Option("--place", help="an acquired labgrid place, in place of a port")]
With = Annotated[
    str | None,
    typer.Option(
        "--with", help="STM32_Programmer_CLI, openocd, st-flash, probe-rs or pyocd; default: the first found"
    ),
]
Runs = Annotated[int | None, typer.Option("--runs", help="measured inferences, for minimum and median")]
Evaluate = Annotated[
    int | None, typer.Option("--evaluate", help="samples for accuracy and agreement on the host")
]
CalibrationSamples = Annotated[
    int | None, typer.Option("--calibration-samples", help="samples that ranges are measured on, at most")
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", help="of a recipe's train, over the training samples")
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="show the commands that are run")]
EstimateFor = Annotated[
    str | None,
    typer.Option("--estimate-for", help="board whose cycles are estimated; none switches it off"),
]
Inferences = Annotated[int | None, typer.Option("--inferences", help="samples that go through the target")]
AsFormat = Annotated[Format, typer.Option("--format", help="text for people, json for programs")]


# The option of each setting that the command line may name; the others stand in deploy.toml.
OPTIONS: dict[str, Any] = {
    "model": Model,
    "board": Board,
    "runner": Runner,
    "port": Port,
    "baud": Baud,
    "probe": Probe,
    "place": Place,
    "programmer": With,
    "samples": Samples,
    "preprocess": Preprocess,
    "recipe": Recipe,
    "training": Training,
    "calibration_samples": CalibrationSamples,
    "epochs": Epochs,
    "input_type": InputType,
    "output_type": OutputType,
    "optimize": Optimize,
    "max_ram": MaxRam,
    "max_flash": MaxFlash,
    "code_in_ram": RunFrom,
    "allocate_input": AllocateInput,
    "allocate_output": AllocateOutput,
    "weights_region": WeightsRegion,
    "estimate_for": EstimateFor,
    "inferences": Inferences,
    "timed_runs": Runs,
    "evaluate": Evaluate,
    "output": Output,
}
# Settings that go together, for `_with_settings`.
SAMPLED = ("samples", "preprocess")
CALIBRATED = ("training", "calibration_samples", "epochs", "input_type", "output_type", "evaluate")
PLACED = (
    "optimize", "max_ram", "max_flash", "code_in_ram", "allocate_input", "allocate_output", "weights_region",
)  # fmt: skip
BUILT = ("model", "board", *SAMPLED, "recipe", *CALIBRATED, *PLACED, "output")
MEASURED = ("inferences", "timed_runs")
ON_A_LINE = ("port", "baud", "probe", "place")
ON_A_PROBE = ("board", "programmer", "probe", "place")

Command = Callable[..., int | None]


def _with_settings(*names: str) -> Callable[[Command], Command]:
    """A command whose first parameter, `settings`, is made of the options of these names and of --config."""

    def decorate(command: Command) -> Command:
        # `Settings` is known to the type checker only, and no option.
        command.__annotations__.pop("settings")
        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in [*((name, OPTIONS[name]) for name in names), ("config", Config)]
        ]

        @functools.wraps(command)
        def run_command(**given: Any) -> int | None:
            typed = {name: given.pop(name) for name in names}
            return command(_settings(given.pop("config"), **typed), **given)

        # Typer reads the options of a command from its signature, which mypy knows of no function.
        own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        run_command.__signature__ = inspect.Signature([*options, *own])  # type: ignore[attr-defined]
        return run_command

    return decorate


def entry() -> int:
    """The command in a process of its own, so that a crash in native code still ends in a sentence.

    TensorFlow's converter and TFLite's kernels abort the process on some models; Python cannot catch that.
    """
    if not hasattr(signal, "sigwaitinfo"):
        return main()
    # Whoever started us may have left it ignored, and then no end of the child would be told.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED_SIGNALS)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED_SIGNALS)
        code = BUG_EXIT_CODE
        end_this_process_when_late()
        try:
            code = main()
            sys.stdout.flush()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except Ended as end:
            code = 128 + end.number
        except KeyboardInterrupt:
            code = INTERRUPTED_EXIT_CODE
        except Exception:  # with --debug, or a standard output that is closed or full
            traceback.print_exc()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(_watch(child))
    if code >= 0:
        return code
    if code == -signal.SIGKILL:
        err.print("[bold red]error[/] E_KILLED: the process was killed; often for want of memory")
        return 128 + signal.SIGKILL
    if code == -signal.SIGALRM:
        _refuse(
            ModelNotSupported(
                f"the model file could not be read within {READING_SECONDS} s: it is damaged",
                code="E_MODEL_DAMAGED",
                hint="copy it again, or save the model again",
            )
        )
        return ModelNotSupported.exit_code
    err.print(
        f"[bold red]error[/] E_NATIVE_CRASH: native code of TensorFlow or TFLite ended the process "
        f"({signal.Signals(-code).name})\n  [bold]try:[/] a smaller last layer or other samples; "
        "say which model does this in a bug report",
        soft_wrap=True,
    )
    return BUG_EXIT_CODE


def _watch(child: int) -> int:
    """Wait for the child and pass on what is sent to this process alone; the child's wait status."""
    while True:
        received = signal.sigwaitinfo(WATCHED_SIGNALS)
        if received.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
        elif received.si_code <= 0:  # sent by a process; a terminal's Ctrl-C (> 0) reaches the child as well
            os.kill(child, received.si_signo)


class Ended(BaseException):
    """Another program asked this one to end: clean up as at Ctrl-C, exit as the signal wants."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _end(number: int, _: object) -> None:
    # Sent to a whole group it comes twice; the second must not cut the cleaning up short.
    for watched in (*ENDING_SIGNALS, signal.SIGINT):
        signal.signal(watched, signal.SIG_IGN)
    raise Ended(number)


def main() -> int:
    """Run the command line; every refusal becomes one message and its exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    # Python ends at these without cleaning up, and a simulator would go on running.
    for number in ENDING_SIGNALS:
        signal.signal(number, _end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        result = app(standalone_mode=False)
    except PipelineError as error:
        _refuse(error)
        return error.exit_code
    except TyperException as error:
        _refuse(UsageError(error.format_message(), hint="stm32-deploy --help, or the command's own --help"))
        return UsageError.exit_code
    except Ended as end:
        err.print("interrupted")
        return 128 + end.number
    except (Abort, KeyboardInterrupt):
        result = INTERRUPTED_EXIT_CODE
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # nothing else catches what nobody foresaw: it becomes E_BUG
        if debug:
            raise
        err.print(
            f"[bold red]error[/] E_BUG: {escape(type(error).__name__)}: {escape(str(error))}\n"
            "  This is a bug in stm32-deploy. Please report it with what the same command says with --debug.",
            soft_wrap=True,
        )
        return BUG_EXIT_CODE
    if result == INTERRUPTED_EXIT_CODE:  # Typer says so of Ctrl-C
        err.print("interrupted")
    return result if isinstance(result, int) else 0


def _refuse(error: PipelineError) -> None:
    where = f"{escape(error.where)}: " if error.where else ""
    err.print(f"[bold red]error[/] {error.code}: {where}{escape(error.problem)}", soft_wrap=True)
    for line in error.details:
        err.print(f"  - {escape(line)}", soft_wrap=True)
    if error.hint:
        err.print(f"  [bold]try:[/] {escape(error.hint)}", soft_wrap=True)


@contextmanager
def _progress() -> Iterator[Any]:
    """A callback (stage, done, total): a bar on a terminal, now and then a plain line elsewhere."""
    if err.is_terminal:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:<34}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=err, transient=False) as bars:
            tasks: dict[str, Any] = {}

            def show_bar(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(escape(stage), total=max(total, 1))
                bars.update(tasks[stage], completed=done if total else 1, total=max(total, 1))

            yield show_bar
        return

    last: dict[str, float] = {}

    def show_line(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage not in last or done >= total or now - last[stage] > PLAIN_PROGRESS_SECONDS:
            if stage in last and total <= 1:
                return
            last[stage] = now
            err.print(f"{escape(stage)}" + (f" {done}/{total}" if total > 1 else ""), soft_wrap=True)

    yield show_line


def _settings(config: Path | None, **options: Any) -> Settings:
    from pipeline.config import read_settings

    plain = {key: value.value if isinstance(value, StrEnum) else value for key, value in options.items()}
    settings = read_settings(config, plain)
    if "runner" in plain:
        _refuse_idle_options(settings, plain)
    return settings


def _refuse_idle_options(settings: Settings, given: dict[str, Any]) -> None:
    """UsageError for what was typed about a board's serial line and would be left unused.

    In deploy.toml it may stand for the days on which the board is there.
    """
    from pipeline.runners.serial import Serial

    typed = [f"--{name}" for name in Serial.options if given[name] is not None]
    if typed and settings.runner != Serial.name:
        runs = f"the runner {settings.runner}" if settings.runner else "without --runner a simulator"
        raise UsageError(
            f"{' and '.join(typed)} is of a board on the desk; {runs} runs the image",
            code="E_OPTION_UNUSED",
            hint=f"add --runner {Serial.name}, or leave it out; `stm32-deploy measure` flashes and measures",
        )


@app.command()
@_with_settings("model", "board", *SAMPLED)
def analyze(
    settings: Settings,
    rules: Annotated[bool, typer.Option("--rules", help="say how each figure is counted")] = False,
    format_: AsFormat = Format.TEXT,
) -> None:
    """Predict MACC, flash, RAM and time on the host, before anything is built.

    With labelled samples also accuracy, confusion matrix and a report per class.
    """
    from pipeline.deploy import analyze_model

    with _progress() as progress:
        analysis, forecast, classification = analyze_model(settings, progress)
    if format_ is Format.JSON:
        _print_json(
            {
                **_analysis_json(analysis),
                "predicted_cycles": _forecast_json(forecast),
                "accuracy": _classification_json(classification),
            }
        )
        return
    _print_analysis(analysis, rules)
    if forecast is not None:
        _print_forecast(forecast)
    if classification is not None:
        _print_classification(classification)


@app.command()
@_with_settings("model", "board", *SAMPLED, *CALIBRATED)
def quantize(
    settings: Settings,
    recipe: Recipe = None,
    inspect_: Annotated[
        bool, typer.Option("--inspect", help="integers against float layer by layer: error, range, cost")
    ] = False,
    cures: Annotated[
        bool,
        typer.Option("--cures", help="a table of what every recipe gains and costs; the best one is applied"),
    ] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="the .tflite file to write")] = None,
    format_: AsFormat = Format.TEXT,
) -> None:
    """Turn a Keras model into a fully quantized TFLite file, and say how well the two agree."""
    from pipeline.cures import cure_table
    from pipeline.deploy import quantize_file
    from pipeline.report.make import finding_sections, inspection_section

    table = None
    with _progress() as progress:
        if cures:
            table = cure_table(settings, progress)
            settings = settings.model_copy(update={"recipe": table.best})
        if recipe is not None:  # typed, it wins over the best one
            settings = settings.model_copy(update={"recipe": recipe})
        path, quantized, inspected = quantize_file(settings, output, progress)
    if format_ is Format.JSON:
        _print_json(
            {
                "file": str(path),
                "sha256": quantized.sha256,
                "bytes": len(quantized.tflite),
                "calibration": asdict(quantized.calibration) if quantized.calibration else None,
                "agreement": asdict(quantized.agreement) if quantized.agreement else None,
                "findings": [each.model_dump() for each in finding_sections(inspected.findings)],
                "inspection": inspection_section(inspected.inspection).model_dump(mode="json")
                if inspected.inspection
                else None,
                "cures": asdict(table) if table else None,
            }
        )
        return
    if table is not None:
        _print_cures(table)
    out.print(f"{path}: {len(quantized.tflite):,} bytes, sha256 {quantized.sha256[:16]}", soft_wrap=True)
    if quantized.calibration:
        out.print(
            f"calibrated with {quantized.calibration.samples} samples: {escape(quantized.calibration.origin)}"
        )
        out.print(f"recipe {quantized.calibration.recipe}")
        for rewrite in quantized.calibration.rewrites:
            out.print(f"  {escape(rewrite)}")
    if quantized.agreement and quantized.agreement.same_class is not None:
        out.print(
            "float and quantized model predict the same class "
            f"for {quantized.agreement.same_class:.2%} of {quantized.agreement.samples} samples"
        )
    elif quantized.agreement:
        mean, most = quantized.agreement.mean_absolute_difference, quantized.agreement.largest_difference
        out.print(
            f"float and quantized model differ by {mean:.4g} on average and {most:.4g} at most, "
            f"on {quantized.agreement.samples} samples"
        )
    if inspect_:
        _print_inspection(inspected)
    for finding in inspected.findings:
        out.print(f"[yellow]caution[/] {finding.code}: {escape(str(finding))}", soft_wrap=True)


def _print_inspection(inspected: Inspected) -> None:
    """Integers against float, layer by layer."""
    from pipeline.report.inspected import inspection_table
    from pipeline.report.make import inspection_section

    if inspected.inspection is None:
        out.print("without samples there is nothing to inspect: name some with --samples")
        return
    held = inspection_table(inspection_section(inspected.inspection))
    for line in held.before:
        out.print(escape(line), soft_wrap=True)
    narrow = out.width < NARROW
    shown = [i for i, head in enumerate(held.header) if not (narrow and head in held.wide)]
    table = _table(*(held.header[i] for i in shown), numbers=slice(held.texts, None))
    for row in held.rows:
        table.add_row(*(escape(row[i]) for i in shown))
    _print_table(table)
    if len(shown) < len(held.header):
        out.print(f"[dim]in a wider terminal, or a file, also: {', '.join(held.wide)}[/]")
    for line in held.spoiled[:SPOILED_SHOWN]:
        out.print(escape(line), soft_wrap=True)
    if len(held.spoiled) > SPOILED_SHOWN:
        out.print(
            f"[dim]and {len(held.spoiled) - SPOILED_SHOWN} more such layers: --format json lists all[/]"
        )
    for line in held.after:
        out.print(f"[dim]{escape(line)}[/]")


@app.command()
@_with_settings(*BUILT)
def generate(settings: Settings, format_: AsFormat = Format.TEXT) -> None:
    """Write the C sources of a model for a board."""
    from pipeline.deploy import generate_sources

    with _progress() as progress:
        folder, generated = generate_sources(settings, progress)
    program, tree = generated.program, generated.tree
    if format_ is Format.JSON:
        _print_json(
            {
                "folder": str(folder),
                "digest": tree.digest,
                "files": sorted(tree.files),
                "layers": len(program.calls),
                "macc": program.macs,
                "arena_bytes": program.arena_bytes,
                "arena_lower_bound_bytes": program.arena_lower_bound_bytes,
                "weights_bytes": sum(constant.data.nbytes for constant in program.constants),
            }
        )
        return
    out.print(f"{folder}: {len(tree.files)} files, digest {tree.digest}", soft_wrap=True)
    out.print(f"start reading at model/{program.name}.c: {len(program.calls)} layers, {program.macs:,} MACC")


@app.command()
@_with_settings(*BUILT)
def build(settings: Settings, format_: AsFormat = Format.TEXT) -> None:
    """Compile and link the image for a board, and say what takes flash and RAM."""
    from pipeline.deploy import build_image

    with _progress() as progress:
        _, firmware = build_image(settings, progress)
    figures = {
        "elf": str(firmware.elf),
        "board": firmware.board,
        "digest": firmware.digest,
        "flash_bytes": firmware.flash_bytes,
        "ram_bytes": firmware.ram_bytes,
        "code_bytes": firmware.code_bytes,
        "flash_parts": firmware.flash_parts,
        "ram_parts": firmware.ram_parts,
        "toolchain": firmware.toolchain,
    }
    if format_ is Format.JSON:
        _print_json(figures)
        return
    out.print(f"{firmware.elf}  ({firmware.toolchain})", soft_wrap=True)
    for kind, total, parts in (
        ("flash", firmware.flash_bytes, firmware.flash_parts),
        ("RAM", firmware.ram_bytes, firmware.ram_parts),
    ):
        table = _table("part", "bytes", title=f"{kind}: {total:,} bytes")
        for part, size in sorted(parts.items(), key=lambda item: -item[1]):
            table.add_row(part, f"{size:,}")
        _print_table(table)


@app.command()
@_with_settings(*BUILT, "runner", *ON_A_LINE, *MEASURED)
def run(settings: Settings, format_: AsFormat = Format.TEXT) -> None:
    """Build an image and run it: outputs, cost per layer, stack."""
    from pipeline.deploy import run_image

    with _progress() as progress:
        executed = run_image(settings, progress)
    measurement, program = executed.measurement, executed.generated.program
    if format_ is Format.JSON:
        _print_json(
            {
                "board": measurement.board,
                "runner": measurement.runner,
                "unit": measurement.source.value,
                "count": measurement.total.median,
                "runs": measurement.total.runs,
                "stack_bytes": measurement.stack_bytes,
                "arena_bytes": measurement.arena_bytes,
                "samples": len(measurement.outputs),
                "layers": [
                    {"name": call.name, "macc": call.macs, "count": cost.median}
                    for call, cost in zip(program.calls, measurement.layers, strict=True)
                ],
            }
        )
        return
    table = _table("layer", "operator", "MACC", measurement.source.value, "per MACC", numbers=slice(2, None))
    for call, cost in zip(program.calls, measurement.layers, strict=True):
        ratio = f"{cost.median / call.macs:.2f}" if call.macs else ""
        table.add_row(escape(call.name), call.operator, f"{call.macs:,}", f"{cost.median:,}", ratio)
    table.add_section()
    table.add_row(
        "total", "", f"{program.macs:,}", f"{measurement.total.median:,}",
        f"{measurement.total.median / max(1, program.macs):.2f}",
    )  # fmt: skip
    _print_table(table)
    out.print(f"on {measurement.board} by {measurement.runner}; stack {measurement.stack_bytes:,} bytes")


@app.command()
@_with_settings(*BUILT, "runner", *ON_A_LINE, "estimate_for", *MEASURED)
def deploy(settings: Settings, format_: AsFormat = Format.TEXT) -> int:
    """All of it in order: from a Keras model to a measured report."""
    from pipeline.deploy import deploy as deploy_model

    with _progress() as progress:
        report, files = deploy_model(settings, progress)
    return _print_report(report, files, format_)


@app.command()
@_with_settings(*BUILT, *ON_A_PROBE[1:], "baud")
def flash(settings: Settings, verbose: Verbose = False) -> None:
    """Build the image for a board and write it into the board's flash."""
    from pipeline.desk import flash_model

    with _progress() as progress:
        flashed = flash_model(settings, progress, _shown(verbose))
    _print_flashed(flashed, "holds the new image and runs it")


@app.command()
@_with_settings(*ON_A_PROBE)
def erase(settings: Settings, verbose: Verbose = False) -> None:
    """Erase the whole flash of a board."""
    from pipeline.desk import erase_flash

    _print_flashed(erase_flash(settings, _shown(verbose)), "is erased")


@app.command()
@_with_settings(*ON_A_PROBE)
def reset(settings: Settings, verbose: Verbose = False) -> None:
    """Start a board again."""
    from pipeline.desk import start_board

    _print_flashed(start_board(settings, _shown(verbose)), "was started again")


@app.command()
@_with_settings("board", *ON_A_LINE)
def monitor(settings: Settings) -> None:
    """Show what a board says on its serial line, until Ctrl-C; lines that you type are sent to it."""
    from pipeline.desk import console_of
    from pipeline.flash import open_line

    line, rate = console_of(settings)
    err.print(f"{escape(str(line))} at {rate} baud; Ctrl-C ends; try name%, info% or help%", soft_wrap=True)
    with open_line(line, rate) as console:
        if sys.stdin.isatty():
            threading.Thread(target=_send_lines, args=(console,), daemon=True).start()
        try:
            while True:
                sys.stdout.write(console.read(max(1, console.in_waiting)).decode(errors="replace"))
                sys.stdout.flush()
        except KeyboardInterrupt:
            err.print()
        except OSError as error:
            raise TargetFailed(
                f"{line.port} is gone: {error}", code="E_LINE_CLOSED", hint="was the cable pulled?"
            ) from error


def _send_lines(console: Any) -> None:
    for text in sys.stdin:
        console.write(text.encode())


@app.command()
@_with_settings(*BUILT, "programmer", *ON_A_LINE, *MEASURED)
def measure(settings: Settings, verbose: Verbose = False, format_: AsFormat = Format.TEXT) -> int:
    """Flash a board, unless the image runs there already, and report real cycles."""
    from pipeline.desk import measure_model

    with _progress() as progress:
        report, files, flashed = measure_model(settings, progress, _shown(verbose))
    if flashed is not None and format_ is Format.TEXT:
        _print_flashed(flashed, "holds the new image and runs it")
    return _print_report(report, files, format_)


def _shown(verbose: bool) -> Callable[[str], None] | None:
    return (lambda command: err.print(f"[dim]{escape(command)}[/]", soft_wrap=True)) if verbose else None


def _print_flashed(flashed: Flashed, what: str) -> None:
    done = f"{flashed.board} {what}: {flashed.programmer}, {flashed.probe.kind} {flashed.probe.name}"
    out.print(f"{escape(done)}, {flashed.seconds:.1f} s", soft_wrap=True)
    for note in flashed.notes:
        out.print(f"  {escape(note)}", soft_wrap=True)


@app.command()
def report(
    path: Annotated[Path, typer.Argument(help="a report.json, or the folder that holds it")],
    format_: AsFormat = Format.TEXT,
) -> int:
    """Write report.html and report.md again from a report.json, and print its summary."""
    from pipeline.report import read_report, write_report

    file = path / "report.json" if path.is_dir() else path
    held = read_report(file)
    files = write_report(held, file.parent)
    return _print_report(held, files, format_)


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(help="a report.json, or the folder that holds it")],
    new: Annotated[Path, typer.Argument(help="the report to hold against it")],
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="percent by which bytes and counts may grow")
    ] = 0.0,
    accuracy_tolerance: Annotated[
        float, typer.Option("--accuracy-tolerance", min=0, help="points by which accuracy may fall")
    ] = 0.0,
    sqnr_tolerance: Annotated[
        float, typer.Option("--sqnr-tolerance", min=0, help="dB by which int8 may go farther from float")
    ] = 0.0,
    junit: Annotated[Path | None, typer.Option("--junit", help="also write the checks as JUnit XML")] = None,
    format_: AsFormat = Format.TEXT,
) -> int:
    """What became better or worse from one report to the next; exit code 1 when something is worse."""
    from pipeline.files import write_file
    from pipeline.report import read_report
    from pipeline.report.changes import Tolerance, change_words, compare_reports, junit_xml

    allowed = Tolerance(tolerance, accuracy_tolerance, sqnr_tolerance)
    changes = compare_reports(read_report(old), read_report(new), allowed)
    problems = [
        (
            change.figure if change.unit == "bytes" else f"{change.figure}, {change.unit}",
            f"{old_text} became {new_text}" if change in changes.worse else None,
        )
        for change in changes.figures
        for _, old_text, new_text, _, _ in [change_words(change)]
    ]
    if junit is not None:
        write_file(junit, junit_xml("stm32-deploy compare", problems).encode())
    if format_ is Format.JSON:
        _print_json(
            {
                "worse": [change.figure for change in changes.worse],
                "figures": [{**asdict(change), "percent": change.percent} for change in changes.figures],
                "layers": [{**asdict(change), "percent": change.percent} for change in changes.layers],
            }
        )
    else:
        for title, found in (("figures", changes.figures), ("layers that changed", changes.layers)):
            table = _table(title, "old", "new", "difference", "verdict", numbers=slice(1, 4))
            for change in found:
                table.add_row(*(escape(text) for text in change_words(change)))
            if found:
                _print_table(table)
        worse = ", ".join(change.figure for change in changes.worse)
        out.print(f"worse: {worse}" if worse else "nothing is worse")
    return 1 if changes.worse else 0


@app.command()
@_with_settings("model", "output")
def explore(settings: Settings, format_: AsFormat = Format.TEXT) -> None:
    """A model on every board for every aim: predicted time, RAM, flash and energy, before anything is built.

    The table, and explore.html with a picture of what is best.
    """
    from pipeline.deploy import REPORT_FOLDER
    from pipeline.explore import HEADER, choice_words, exploration_html, explore_model
    from pipeline.files import write_file

    with _progress() as progress:
        explored = explore_model(settings, progress)
    page = (settings.output or REPORT_FOLDER / explored.model) / "explore.html"
    write_file(page, exploration_html(explored).encode())
    if format_ is Format.JSON:
        _print_json(
            {
                "model": explored.model,
                "page": str(page),
                "notes": explored.notes,
                "choices": [
                    {
                        **asdict(choice),
                        "fits": choice.fits,
                        "seconds": choice.seconds,
                        "low_seconds": choice.low_seconds,
                        "high_seconds": choice.high_seconds,
                    }
                    for choice in explored.choices
                ],
            }
        )
        return
    table = _table(*HEADER, numbers=slice(2, 8))
    for choice in explored.choices:
        table.add_row(*(escape(cell) for cell in choice_words(choice)), style="bold" if choice.best else None)
    _print_table(table)
    for note in explored.notes:
        out.print(f"  [dim]{escape(note)}[/]", soft_wrap=True)
    out.print(f"page: {page}", soft_wrap=True)


@app.command()
@_with_settings("model", "preprocess")
def calibrate(
    settings: Settings,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="the .npz to write; default: beside the model"),
    ] = None,
    images: Annotated[int, typer.Option("--images", help="samples to make", min=8, max=1000)] = 64,
    steps: Annotated[int, typer.Option("--steps", help="of optimization", min=1, max=10_000)] = 300,
    format_: AsFormat = Format.TEXT,
) -> None:
    """Calibration samples without data: made from the statistics that the model's batch norms hold."""
    from pipeline.deploy import synthesize_samples

    with _progress() as progress:
        path, made = synthesize_samples(settings, output, images, steps, progress)
    if format_ is Format.JSON:
        _print_json(
            {
                "file": str(path),
                "norms": made.norms,
                "mismatch_before": made.mismatch_before,
                "mismatch_after": made.mismatch_after,
            }
        )
        return
    out.print(f"{path}: {images} samples", soft_wrap=True)
    out.print(
        f"statistics of {made.norms} batch norms, mean squared distance in standard deviations: "
        f"{made.mismatch_after:.3g} (noise: {made.mismatch_before:.3g})"
    )


@app.command("calibrate-timing")
def calibrate_timing(
    reports: Annotated[
        list[Path], typer.Argument(metavar="REPORT...", help="report.json of `measure`, or folders with one")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="leave the board's file as it is")] = False,
    format_: AsFormat = Format.TEXT,
) -> None:
    """Fit a board's free timing constant to cycles that the board counted, and keep it in its board.toml."""
    from pipeline.calibrate import calibrate_timing, keep_calibration

    found = calibrate_timing(reports)
    path = None if dry_run else keep_calibration(found)
    if format_ is Format.JSON:
        _print_json({**asdict(found), "evidence": found.evidence, "file": str(path) if path else None})
        return
    out.print(
        f"{found.board}: data_miss_extra {found.before} -> {found.data_miss_extra} "
        f"({found.fitted:.2f} before rounding), from {found.steps} steps of {', '.join(found.reports)}"
    )
    out.print(
        f"error of a step: {found.rms_before_percent:.1f} % RMS before; of steps left out of the fit "
        f"{found.rms_percent:.1f} % RMS, {found.worst_percent:.1f} % at worst; "
        f"measured by estimated {found.ratio:.3f}"
    )
    out.print(f"kept in {path}" if path else "not kept: --dry-run", soft_wrap=True)


@app.command()
def boards(format_: AsFormat = Format.TEXT) -> None:
    """The boards this tool knows: core, clock, flash, RAM, and how each can be run."""
    from pipeline.boards import list_boards, simulator_for

    known = list_boards()
    if format_ is Format.JSON:
        _print_json(
            [
                {
                    "name": board.name,
                    "title": board.title,
                    "core": board.cpu,
                    "hclk_hz": board.hclk_hz,
                    "flash_bytes": board.flash_bytes,
                    "ram_bytes": board.ram_bytes,
                    "runners": sorted(board.run),
                }
                for board in known
            ]
        )
        return
    table = _table("board", "core", "clock", "flash", "RAM", "run by", numbers=slice(2, 5))
    for board in known:
        table.add_row(
            board.name,
            board.cpu,
            "" if board.cpu == "native" else f"{board.hclk_hz / 1e6:g} MHz",
            "" if board.cpu == "native" else f"{board.flash_bytes // 1024:,} KiB",
            "" if board.cpu == "native" else f"{board.ram_bytes // 1024:,} KiB",
            ", ".join(
                [*([] if board.is_simulated else [f"{simulator_for(board).name} in its place"]), *board.run]
            ),
        )
    _print_table(table)


@app.command()
def operators(format_: AsFormat = Format.TEXT) -> None:
    """The TFLite operators that are supported, their limits, and which are not."""
    from pipeline.operators import operator_table

    if format_ is Format.JSON:
        _print_json([{"operator": name, "supported": text} for name, text in operator_table()])
        return
    table = _table("operator", "supported", numbers=slice(0))
    for name, text in operator_table():
        table.add_row(name, escape(text))
    _print_table(table)


@app.command()
def doctor(format_: AsFormat = Format.TEXT) -> int:
    """What is installed, what is missing, and how to get it."""
    from pipeline.build import tools_status

    tools = tools_status()
    missing = [tool for tool in tools if tool.needed and not tool.found]
    if format_ is Format.JSON:
        _print_json([asdict(tool) for tool in tools])
    else:
        table = _table("tool", "found", "needed for", "how to get it", numbers=slice(0))
        for tool in tools:
            found = (
                tool.version or tool.path if tool.found else "[red]missing[/]" if tool.needed else "missing"
            )
            table.add_row(tool.name, found, tool.purpose, "" if tool.found else escape(tool.how))
        _print_table(table)
        if not missing:
            out.print("all that is needed is there: try `stm32-deploy deploy MODEL`")
    return 4 if missing else 0


@app.command()
def bench(
    models: Annotated[
        Path | None, typer.Option("--models", help="folder with further .tflite models to measure")
    ] = None,
    write: Annotated[
        Path | None, typer.Option("--write", help="the Markdown file to keep the table in")
    ] = None,
    fit: Annotated[
        bool,
        typer.Option("--fit", help="profile many layers and write the kernels' cost formulas, costs.toml"),
    ] = False,
    kernel: Annotated[
        list[str] | None,
        typer.Option("--kernel", help="with --fit: of this kernel alone; may be given again", metavar="NAME"),
    ] = None,
    cures: Annotated[
        bool, typer.Option("--cures", help="the tables of docs/quantization.md: every recipe, on CIFAR-10")
    ] = False,
    samples: Annotated[
        Path | None, typer.Option("--samples", help="with --cures: labelled test images of CIFAR-10")
    ] = None,
    training: Annotated[
        Path | None, typer.Option("--training", help="with --cures: its training images")
    ] = None,
    format_: AsFormat = Format.TEXT,
) -> None:
    """Instructions, RAM and flash of the benchmark models, reproducible to the instruction.

    With --fit or --cures, in place of that, the formulas by which costs are predicted, or what the recipes of
    quantization gain and cost.
    """
    from pipeline.bench import bench_cures, bench_models, fit_lines, markdown_table, write_costs

    if kernel and not fit:
        raise UsageError("--kernel names whose formula is fitted", code="E_OPTION_UNUSED", hint="add --fit")
    with _progress() as progress:
        if cures:
            if samples is None:
                raise UsageError("--cures needs labelled test images", hint="--samples test.npz, of CIFAR-10")
            tables = bench_cures(models, samples, training, write, progress)
        if fit:
            for line in fit_lines(write_costs(progress, kernel or ())):
                out.print(line, soft_wrap=True)
            return
        rows = () if cures else bench_models(models, write, progress)
    if cures:
        for table in tables:
            _print_cures(table)
        return
    if format_ is Format.JSON:
        _print_json([asdict(row) for row in rows])
    else:
        out.print(markdown_table(rows), soft_wrap=True)


@app.command()
def version() -> None:
    """The version of this tool."""
    out.print(__version__)


def _print_report(held: Report, files: Sequence[Path], format_: Format) -> int:
    """The exit code: 1 where a check failed, such as outputs that differ or an image that does not fit."""
    from pipeline.report import summarize

    if format_ is Format.JSON:
        _print_json(held.model_dump(mode="json"))
    else:
        _print_summary(summarize(held))
        for file in files:
            out.print(f"report: {file}", soft_wrap=True)
    return 1 if held.verdict.level == "red" else 0


def _print_cures(table: CureTable) -> None:
    from pipeline.cures import HEADER, row_words, table_words

    shown = _table(*HEADER)
    for row in table.rows:
        cells = row_words(row)
        shown.add_row(*(escape(cell) for cell in cells), style="bold" if row.is_best else None)
    out.print(escape(table_words(table)), soft_wrap=True)
    _print_table(shown)
    out.print(f'best: --recipe {table.best}, or `recipe = "{table.best}"` in deploy.toml', soft_wrap=True)


def _table(*header: str, numbers: slice = slice(1, None), title: str | None = None) -> Table:
    """A table of words, which a narrow terminal folds, and of `numbers`, which stay in one line."""
    table = Table(title=title, title_justify="left")
    for head in header:
        table.add_column(head, overflow="fold")
    for column in table.columns[numbers]:
        column.justify, column.no_wrap = "right", True
    return table


def _print_table(table: Table) -> None:
    """Columns for which a narrow terminal has no room are left out from the right, and named: none is cut."""
    left_out: list[str] = []
    while len(table.columns) > 2 and _least_width(table) > out.width:
        left_out.insert(0, str(table.columns.pop().header))
    out.print(table)
    if left_out:
        out.print(f"[dim]in a wider terminal, or a file, also: {', '.join(left_out)}[/]")


def _least_width(table: Table) -> int:
    """Characters of a line in which words are folded and numbers are whole; three frame each column."""
    widths = 1
    for column in table.columns:
        longest = max(len(str(cell)) for cell in (column.header, *column.cells))
        widths += 3 + (longest if column.no_wrap else min(longest, FOLDED))
    return widths


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


def _analysis_json(analysis: HostAnalysis) -> dict[str, Any]:
    return {
        **asdict(analysis),
        "fit": {
            "board": analysis.fit.board,
            "flash": _region_json(analysis.fit.flash),
            "ram": _region_json(analysis.fit.ram),
            "largest_weights": [{"layer": n, "bytes": b} for n, b in analysis.fit.largest_weights],
            "boards_that_fit": analysis.fit.boards_that_fit,
        },
    }


def _region_json(fit: RegionFit) -> dict[str, Any]:
    return {"fits": fit.fits, "over_bytes": fit.over_bytes, **asdict(fit)}


def _forecast_json(found: CycleForecast | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "board": found.board,
        "clock_hz": found.clock_hz,
        "instructions": found.instructions,
        "cycles": found.cycles,
        "low_cycles": found.low_cycles,
        "high_cycles": found.high_cycles,
        "seconds": found.seconds,
        "words": found.words,
        "layers": [
            {
                **asdict(layer),
                "cycles": layer.cycles,
                "low_cycles": layer.low_cycles,
                "high_cycles": layer.high_cycles,
                "seconds": layer.cycles / found.clock_hz,
            }
            for layer in found.layers
        ],
    }


def _classification_json(found: Classification | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "subject": found.subject,
        "samples": found.samples,
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "confusion": found.confusion.tolist(),
        "classes": [asdict(figures) for figures in found.classes],
    }


def _print_classification(found: Classification) -> None:
    """A report per class with the confusion matrix beside it: rows are the true class."""
    table = _table("true class", "precision", "recall", "F1", "support", *map(str, range(len(found.classes))))
    for figures, row in zip(found.classes, found.confusion.tolist(), strict=True):
        shares = (f"{value:.3f}" for value in (figures.precision, figures.recall, figures.f1))
        table.add_row(escape(figures.name), *shares, f"{figures.support:,}", *(f"{n:,}" for n in row))
    _print_table(table)
    scores = f"accuracy {found.accuracy:.4f}, macro F1 {found.macro_f1:.4f}"
    out.print(f"{found.subject}, {found.samples:,} samples: {scores}")


def _print_analysis(analysis: HostAnalysis, rules: bool) -> None:
    table = _table(
        "layer",
        "kind",
        "output",
        "MACC",
        "share",
        "parameters",
        "weights",
        "share",
        "activation",
        numbers=slice(3, None),
    )
    for layer in analysis.layers:
        table.add_row(
            escape(layer.name),
            layer.kind,
            "x".join(map(str, layer.output_shape)),
            f"{layer.macc:,}",
            f"{layer.macc_share:.1%}",
            f"{layer.parameters:,}",
            f"{layer.weights_bytes:,}",
            f"{layer.weights_share:.1%}",
            f"{layer.activation_bytes:,}",
        )
    _print_table(table)
    totals, fit = analysis.totals, analysis.fit
    out.print(
        f"{escape(analysis.model)} ({analysis.kind}): {totals.macc:,} MACC, "
        f"{totals.parameters:,} parameters, weights {totals.weights_bytes:,} B, "
        f"activations {totals.activations_bytes:,} B"
    )
    out.print(f"time at one MACC a cycle, {analysis.clock_hz / 1e6:g} MHz: {totals.estimated_seconds:.7f} s")
    for kind, region in (("flash", fit.flash), ("RAM", fit.ram)):
        answer = "fits" if region.fits else f"[red]does not fit[/], {region.over_bytes:,} B over"
        out.print(f"{kind} of {fit.board}: {region.needed_bytes:,} of {region.available_bytes:,} B, {answer}")
    if not (fit.flash.fits and fit.ram.fits):
        largest = ", ".join(f"{escape(name)} {size:,} B" for name, size in fit.largest_weights)
        out.print(f"largest: {largest}")
        out.print(f"boards that would fit: {', '.join(fit.boards_that_fit) or 'none known'}")
        if analysis.kind == "float32":
            out.print(
                f"this is the float model; in int8, as `deploy` makes it, the weights take about "
                f"{totals.parameters:,} B and the activations a quarter"
            )
    for convention in analysis.conventions if rules else ():
        out.print(f"  [dim]{escape(convention)}[/]", soft_wrap=True)


def _print_forecast(found: CycleForecast) -> None:
    """Predicted cycles layer by layer, with the band of each kernel's formula."""
    from pipeline.report.words import milliseconds, share

    table = _table(
        "layer of the quantized graph",
        "kernel",
        "instructions",
        "cycles",
        "±",
        "ms",
        "share",
        numbers=slice(2, None),
    )
    for layer in found.layers:
        error = layer.worst_error_percent
        table.add_row(
            escape(layer.name),
            layer.kernel,
            f"{layer.instructions:,}",
            f"{layer.cycles:,}",
            "" if error is None else f"{error:.1f} %",
            milliseconds(layer.cycles / found.clock_hz).removesuffix(" ms"),
            share(layer.cycles / found.cycles),
        )
    _print_table(table)
    band = ""
    if found.low_cycles is not None and found.high_cycles is not None:
        low, high = (
            milliseconds(cycles / found.clock_hz) for cycles in (found.low_cycles, found.high_cycles)
        )
        band = f", {low} to {high}"
    out.print(
        f"predicted on {escape(found.board_title)} at {found.clock_hz / 1e6:g} MHz: {found.cycles:,} cycles, "
        f"{milliseconds(found.seconds)}{band}"
    )
    out.print(f"  [dim]{escape(found.words)}[/]", soft_wrap=True)


def _print_summary(held: Summary) -> None:
    """A report's verdict and its figures side by side."""
    for line in held.verdict:
        out.print(escape(line), soft_wrap=True)
    table = _table(*held.header)
    for row in held.rows:
        table.add_row(*(escape(cell) for cell in row))
    _print_table(table)
