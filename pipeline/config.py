"""What a deployment is asked to be: the settings of `deploy.toml`, and the options that win over them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import UsageError
from pipeline.quantize.recipe import CALIBRATION_SAMPLES, EPOCHS, BorderType
from pipeline.registry import nearest
from pipeline.schedule import Aim

DEFAULT_FILE = Path("deploy.toml")
OPTION_NAMES = {"timed_runs": "runs", "programmer": "with"}
"""Of settings whose option is not called as they are."""
CodeInRam = Literal["auto", "never"]
Allocation = Literal["arena", "outside"]
InputAllocation = Literal["arena", "outside", "rows"]


class Budget(BaseModel):
    """Limits that a deployment is checked against; exit code 1 when one is passed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flash_bytes: int | None = Field(default=None, ge=0, description="flash of the linked image")
    ram_bytes: int | None = Field(default=None, ge=0, description="RAM of the linked image")
    arena_bytes: int | None = Field(default=None, ge=0, description="arena of activations and scratch")
    instructions: int | None = Field(default=None, ge=0, description="of one inference, counted")
    milliseconds: float | None = Field(
        default=None, ge=0, description="of one inference, measured or estimated"
    )
    accuracy_drop: float | None = Field(default=None, description="points from float to int8")

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by key."""
        return {key: value for key, value in self.model_dump().items() if value is not None}


class Settings(BaseModel):
    """The keys of `deploy.toml`; paths in it are relative to the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path | None = Field(default=None, description="Keras model, SavedModel folder or int8 .tflite")
    board: str = Field(default="nucleo_l4r5zi", description="a folder in board/")
    runner: str | None = Field(
        default=None, description="unicorn, renode, qemu, host or serial; default: what the board names first"
    )
    samples: Path | None = Field(
        default=None, description="calibration and test samples: .npz, .npy or a folder"
    )
    estimate_for: str | None = Field(
        default=None,
        description="board whose cycles are estimated, or none; default: the board, or nucleo_l4r5zi",
    )
    optimize: Aim = Field(default="balanced", description="what kernels, memory plan and compiler aim at")
    max_ram: int | None = Field(
        default=None, ge=0, description="bytes of arena and of weights in RAM, at most"
    )
    max_flash: int | None = Field(default=None, ge=0, description="bytes of weights in flash, at most")
    allocate_input: InputAllocation = Field(
        default="arena",
        description="arena; outside of it: the input then survives a run; rows: fed one by one, never whole",
    )
    allocate_output: Allocation = Field(default="arena", description="arena, or outside of it")
    code_in_ram: CodeInRam = Field(
        default="auto",
        description="auto: hot code runs from RAM that needs no waiting, unless RAM is the aim",
    )
    weights_region: str | None = Field(
        default=None, description="memory region of the board that all weights are copied into"
    )
    input_type: BorderType | None = Field(
        default=None,
        description="int8, or uint8 or float32: the model then quantizes its inputs itself; "
        "default: the activations' own type, or what a .tflite file has",
    )
    output_type: BorderType | None = Field(
        default=None, description="int8, or uint8 or float32: the model then converts its outputs itself"
    )
    output: Path | None = Field(
        default=None, description="folder of all results; default build/<model>/<board>"
    )
    inferences: int = Field(default=16, ge=1, le=10_000, description="samples that go through the target")
    timed_runs: int = Field(
        default=3, ge=1, le=1000, description="measured inferences, for minimum and median"
    )
    evaluate: int = Field(default=1000, ge=1, description="samples for accuracy and agreement on the host")
    port: str | None = Field(
        default=None, description="a board's serial port, socket:// or rfc2217://; default: its ST-LINK's"
    )
    baud: int | None = Field(
        default=None, ge=9600, description="of the serial line; default: what board.toml says"
    )
    probe: str | None = Field(
        default=None, description="serial number of the ST-LINK, where there are several"
    )
    place: str | None = Field(default=None, description="a labgrid place, in place of a port")
    programmer: str | None = Field(
        default=None, description="the program that flashes; default: the first that is installed"
    )
    preprocess: str | None = Field(
        default=None,
        description="scale=1/255,offset=0,channels=rgb: file values to input; of several: a: ...; b: ...",
    )
    recipe: str = Field(
        default="minmax",
        description="cures for what int8 costs in accuracy, such as equalize+mse+bias; auto: by measurement",
    )
    calibration_samples: int = Field(
        default=CALIBRATION_SAMPLES, ge=1, description="samples that ranges are measured on, at most"
    )
    training: Path | None = Field(
        default=None,
        description="training samples: they calibrate, and a recipe's `train` fine-tunes on them",
    )
    epochs: int = Field(default=EPOCHS, ge=1, le=100, description="of fine-tuning, over the training samples")
    budget: Budget = Field(default_factory=Budget, description="limits of flash, RAM, time and accuracy")


def option_of(setting: str) -> str:
    """What a setting is called on the command line, such as `--max-ram`."""
    return "--" + OPTION_NAMES.get(setting, setting).replace("_", "-")


def read_settings(file: Path | None, options: dict[str, Any]) -> Settings:
    """The settings of a file (or of ./deploy.toml, where there is one) with the given options put over them.

    Raises UsageError: E_CONFIG_MISSING, E_CONFIG_SYNTAX, E_CONFIG_KEY or E_CONFIG_VALUE.
    """
    given = {key: value for key, value in options.items() if value is not None}
    path = file or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    held = _read(path) if path else {}
    try:
        return Settings.model_validate({**held, **given})
    except ValidationError as error:
        raise _explain(error, path, given) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        held = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"the configuration cannot be read ({error.strerror})",
            code="E_CONFIG_MISSING",
            where=path,
            hint="name a file that exists with --config, or leave the option out",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"this is no valid TOML: {error}",
            code="E_CONFIG_SYNTAX",
            where=path,
            hint='keys look like `board = "nucleo_l4r5zi"`',
        ) from error
    for key in ("model", "samples", "training", "output"):
        if isinstance(held.get(key), str):
            held[key] = path.parent / held[key]
    return held


def _explain(error: ValidationError, path: Path | None, given: dict[str, Any]) -> UsageError:
    """The first mistake, named as a person would name it."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    head = str(first["loc"][0])
    typed = head in given
    where = "command line" if typed else path
    if first["type"] == "extra_forbidden":
        fields = Budget.model_fields if first["loc"][0] == "budget" else Settings.model_fields
        meant = nearest(str(first["loc"][-1]), fields)
        return UsageError(
            f"unknown key `{key}`" + (f", did you mean `{meant}`?" if meant else ""),
            code="E_CONFIG_KEY",
            where=where,
            hint=f"known keys: {', '.join(fields)}",
        )
    return UsageError(
        f"`{option_of(head) if typed else key}` is {first['input']!r}: {first['msg']}",
        code="E_CONFIG_VALUE",
        where=where,
        hint="see `stm32-deploy deploy --help`",
    )
