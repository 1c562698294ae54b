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
REWRITES = ("equalize", "train", "bias")


BorderType = Literal["int8", "uint8", "float32"]


@dataclass(frozen=True, slots=True)
class BorderTypes:
    """The type of all inputs and of all outputs. Where it is not int8, the model itself converts."""

    inputs: BorderType = "int8"
    outputs: BorderType = "int8"


INT8_BORDER = BorderTypes()


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

    @property
    def cures(self) -> int:
        """How many parts of it differ from plain conversion."""
        return (self.ranges != "minmax") + self.equalize + bool(self.epochs) + self.correct_bias

    def __str__(self) -> str:
        """`equalize+mse+bias`, in the order in which it is done; `minmax` where nothing is."""
        words = ["equalize"] if self.equalize else []
        words += [self.ranges] if self.ranges != "minmax" or not self.cures else []
        words += ["train"] if self.epochs else []
        words += ["bias"] if self.correct_bias else []
        return "+".join(words)


def parse_recipe(text: str, samples: int = CALIBRATION_SAMPLES, epochs: int = EPOCHS) -> Recipe:
    """Read `equalize+mse+bias`: any order, each word once, at most one of the range methods.

    Raises UsageError E_RECIPE.
    """
    words = [word.strip() for word in text.split("+")]
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
    recipe = Recipe(
        samples=samples,
        equalize="equalize" in words,
        epochs=epochs if "train" in words else 0,
        correct_bias="bias" in words,
    )
    return replace(recipe, ranges=ranges[0]) if ranges else recipe  # type: ignore[arg-type]
