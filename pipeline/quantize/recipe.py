"""How a float graph is quantized: the cures that are applied to it, as one value and one word."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from pipeline.errors import UsageError
from pipeline.quantize.ranges import RangeMethod
from pipeline.registry import nearest

CALIBRATION_SAMPLES = 500
EPOCHS = 2
PLAIN = "minmax"
RANGES = get_args(RangeMethod)
WIDE = "int16"
WORST = "worst:"
"""In the place of layers' names: so many of those that cost most."""
REWRITES = ("equalize", WIDE, "train", "bias")
FOR_INT8 = (*(word for word in RANGES if word != PLAIN), "train")
"""Cures for steps as coarse as those of int8 activations. Weights are int8 either way."""

ActivationType = Literal["int8", "int16"]
BorderType = Literal["int8", "uint8", "int16", "float32"]


@dataclass(frozen=True, slots=True)
class BorderTypes:
    """The type of all inputs and of all outputs; None: that of the activations, so that nothing converts."""

    inputs: BorderType | None = None
    outputs: BorderType | None = None


OWN_BORDER = BorderTypes()


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done between the float graph and its integers."""

    ranges: RangeMethod = "minmax"
    samples: int = CALIBRATION_SAMPLES
    """At most so many calibration samples, evenly spaced."""
    equalize: bool = False
    """Cross-layer equalization, `pipeline.quantize.equalize`."""
    epochs: int = 0
    """Of fine-tuning on training samples, `pipeline.quantize.train`; 0: none."""
    correct_bias: bool = False
    """`pipeline.quantize.bias`"""
    activations: ActivationType = "int8"
    """Of the whole model; weights are int8 either way."""
    layers: tuple[str, ...] | int = ()
    """In a model of int8: those that write int16, `pipeline.quantize.mixed`; or how many, the most costly."""

    @property
    def cures(self) -> int:
        """How many parts of it differ from plain conversion."""
        others = self.equalize + self.is_wide + bool(self.epochs) + self.correct_bias
        return (self.ranges != "minmax") + others

    @property
    def is_wide(self) -> bool:
        """Whether there is int16 in it."""
        return self.activations == WIDE or bool(self.layers)

    @property
    def wide_layers(self) -> int:
        """How many layers of an int8 model are kept in int16."""
        return self.layers if isinstance(self.layers, int) else len(self.layers)

    def __str__(self) -> str:
        """`equalize+mse+bias`, in the order in which it is done; `minmax` where nothing is."""
        words = ["equalize"] if self.equalize else []
        words += [self.ranges] if self.ranges != "minmax" or not self.cures else []
        words += [WIDE] if self.activations == WIDE else []
        if self.layers:
            asked = f"{WORST}{self.layers}" if isinstance(self.layers, int) else ",".join(self.layers)
            words += [f"{WIDE}={asked}"]
        words += ["train"] if self.epochs else []
        words += ["bias"] if self.correct_bias else []
        return "+".join(words)


def parse_recipe(text: str, samples: int = CALIBRATION_SAMPLES, epochs: int = EPOCHS) -> Recipe:
    """Read `equalize+mse+bias`: any order, each word once, at most one of the range methods.

    `int16` means the whole model, `int16=conv2d_3,dense` two layers of it, `int16=worst:3` three.

    Raises UsageError E_RECIPE.
    """
    parts = [part.strip() for part in text.split("+")]
    words = [WIDE if part.startswith(f"{WIDE}=") else part for part in parts]
    known = (*RANGES, *REWRITES)
    for word in words:
        if word not in known:
            near = nearest(word, known)
            raise UsageError(
                f"the quantization {text!r} has an unknown part {word!r}",
                code="E_RECIPE",
                hint=f"did you mean {near}?" if near else f"join by +: {', '.join(known)}",
            )
    ranges = [word for word in words if word in RANGES]
    if len(words) != len(set(words)) or len(ranges) > 1:
        raise UsageError(
            f"the quantization {text!r} names a part twice, or two ways to choose ranges",
            code="E_RECIPE",
            hint=f"one of {', '.join(RANGES)}, and each of {', '.join(REWRITES)} at most once",
        )
    if {"train", "bias"} <= set(words):
        raise UsageError(
            f"the quantization {text!r} both trains and corrects biases",
            code="E_RECIPE",
            hint="leave bias out: training has taken the roundings into account, biases and all",
        )
    layers = _layers(next((part for part in parts if part.startswith(f"{WIDE}=")), None))
    useless = sorted({*words} & ({"train"} if layers else {*FOR_INT8}))
    if WIDE in words and useless:
        raise UsageError(
            f"the quantization {text!r} asks for int16 and for {', '.join(useless)}, which mends int8",
            code="E_RECIPE",
            hint="layers in int16 with all but train" if layers else "int16 alone, or with equalize or bias",
        )
    recipe = Recipe(
        samples=samples,
        equalize="equalize" in words,
        epochs=epochs if "train" in words else 0,
        correct_bias="bias" in words,
        activations="int16" if WIDE in words and not layers else "int8",
        layers=layers,
    )
    return replace(recipe, ranges=ranges[0]) if ranges else recipe  # type: ignore[arg-type]


def _layers(part: str | None) -> tuple[str, ...] | int:
    """What stands behind `int16=`."""
    if part is None:
        return ()
    asked = part.partition("=")[2].strip()
    if asked.startswith(WORST):
        count = asked.removeprefix(WORST)
        if count.isascii() and count.isdigit() and int(count):
            return int(count)
    else:
        names = tuple(dict.fromkeys(name.strip() for name in asked.split(",")))
        if all(names):
            return names
    raise UsageError(
        f"the quantization's part {part!r} names no layers",
        code="E_RECIPE",
        hint=f"int16=conv2d_3,dense, or int16={WORST}3 for the three that cost most; "
        "quantize --inspect shows the names",
    )
