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

    @property
    def cures(self) -> int:
        """How many parts of it differ from plain conversion."""
        wide = self.activations == WIDE
        return (self.ranges != "minmax") + self.equalize + wide + bool(self.epochs) + self.correct_bias

    def __str__(self) -> str:
        """`equalize+mse+bias`, in the order in which it is done; `minmax` where nothing is."""
        words = ["equalize"] if self.equalize else []
        words += [self.ranges] if self.ranges != "minmax" or not self.cures else []
        words += [WIDE] if self.activations == WIDE else []
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
    useless = sorted({*words} & {*FOR_INT8})
    if WIDE in words and useless:
        raise UsageError(
            f"the quantization {text!r} asks for int16 and for {', '.join(useless)}, which mends int8",
            code="E_RECIPE",
            hint="int16 alone, or with equalize or bias",
        )
    recipe = Recipe(
        samples=samples,
        equalize="equalize" in words,
        epochs=epochs if "train" in words else 0,
        correct_bias="bias" in words,
        activations="int16" if WIDE in words else "int8",
    )
    return replace(recipe, ranges=ranges[0]) if ranges else recipe  # type: ignore[arg-type]
