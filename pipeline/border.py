"""How numbers enter and leave a model: bytes of a sensor and real numbers on one side, integers on the other.

What a generated `<model>_preprocess.h` says is computed here: `firmware_templates/model/preprocess.h.j2`
prints it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.arithmetic import quantize_real, rounding_reach
from pipeline.load import Preprocessing
from pipeline.lower import Place, Program

EXAMPLE_BYTE = 200
EXAMPLE_REAL = 0.25
INTEGERS = frozenset({"int8", "uint8", "int16"})
WIDEST_SHIFT = 62
"""Of an int64, so that half a unit can still be added."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """An input, and what a number has to become to be one of its elements."""

    place: Place
    symbol: str
    """What C calls it after the model's name: `input`, or of several `input_<name>`."""
    preprocessing: Preprocessing
    """From the numbers of its samples to real numbers."""
    table: tuple[int | float, ...]
    """What each of the 256 bytes becomes; empty where the samples do not tell."""
    difference: int | None
    """The table in one number, where each byte becomes itself plus this."""
    reach: int
    """Quotients beyond it saturate anyway, and an int32 holds it."""
    elements: int
    """That are filled at a time: all, or a row's where rows are fed one by one."""
    example_byte: int
    example_byte_real: float
    example_real: float
    example_integer: int
    """What `example_real` becomes."""

    @property
    def is_quantized(self) -> bool:
        return self.place.dtype in INTEGERS

    @property
    def limits(self) -> tuple[int, int]:
        bounds = np.iinfo(self.place.dtype)
        return int(bounds.min), int(bounds.max)


@dataclass(frozen=True, slots=True)
class Exit:
    """An output, and what its integers mean."""

    place: Place
    symbol: str
    factor: int
    """A real number in thousandths is ((integer - zero point) * factor + half) >> shift, exactly rounded."""
    shift: int
    half: int
    example: int
    """An integer that the output may hold."""
    example_real: float
    example_permille: int

    @property
    def has_permille(self) -> bool:
        """Whether every thousandth that its integers can mean is an int32."""
        bounds = np.iinfo(self.place.dtype)
        return ((int(bounds.max) - int(bounds.min)) * self.factor >> self.shift) < 2**31

    @property
    def is_quantized(self) -> bool:
        return self.place.dtype in INTEGERS


def entrances(program: Program, preprocessings: Sequence[Preprocessing]) -> tuple[Entrance, ...]:
    """Every input of a program, and how its samples were prepared."""
    return tuple(
        _entrance(place, symbol, preprocessing, place.shape[1] if program.fed else 1)
        for (symbol, place), preprocessing in zip(program.input_ports, preprocessings, strict=True)
    )


def exits(program: Program) -> tuple[Exit, ...]:
    """Every output of a program."""
    return tuple(_exit(place, symbol) for symbol, place in program.output_ports)


def _entrance(place: Place, symbol: str, preprocessing: Preprocessing, parts: int) -> Entrance:
    table: tuple[int | float, ...] = ()
    real = 0.0
    if preprocessing.of_bytes and place.dtype in INTEGERS | {"float32"}:
        # Elements one by one: the order of channels is another matter.
        reals = replace(preprocessing, bgr=False).apply(np.arange(256, dtype=np.uint8))
        real = float(reals[EXAMPLE_BYTE])
        table = tuple(_integers(reals, place).tolist())
    differences = {value - byte for byte, value in enumerate(table)}
    shifted = len(differences) == 1 and place.dtype in INTEGERS
    example = _integers(np.array([EXAMPLE_REAL], np.float32), place)[0]
    return Entrance(
        place=place,
        symbol=symbol,
        preprocessing=preprocessing,
        table=table,
        difference=int(differences.pop()) if shifted else None,
        reach=rounding_reach(place.dtype) if place.dtype in INTEGERS else 0,
        elements=math.prod(place.shape) // parts,
        example_byte=EXAMPLE_BYTE,
        example_byte_real=real,
        example_real=EXAMPLE_REAL,
        example_integer=int(example) if place.dtype in INTEGERS else 0,
    )


def _integers(reals: np.ndarray, place: Place) -> np.ndarray:
    if place.dtype not in INTEGERS or place.quantization is None:
        return reals
    (scale,), (zero,) = place.quantization.scale, place.quantization.zero_point
    return quantize_real(reals, scale, zero, place.dtype)


def _exit(place: Place, symbol: str) -> Exit:
    if place.dtype not in INTEGERS or place.quantization is None:
        return Exit(place, symbol, 0, 0, 0, 0, 0.0, 0)
    (scale,), (zero,) = place.quantization.scale, place.quantization.zero_point
    factor, shift, half = thousandths(scale)
    bounds = np.iinfo(place.dtype)
    example = int(bounds.min) + (int(bounds.max) - int(bounds.min) + 1) * 3 // 4
    return Exit(
        place=place,
        symbol=symbol,
        factor=factor,
        shift=shift,
        half=half,
        example=example,
        example_real=float(np.float32(scale) * np.float32(example - zero)),
        example_permille=((example - zero) * factor + half) >> shift,
    )


def thousandths(scale: float) -> tuple[int, int, int]:
    """(factor, shift, half) with (n * factor + half) >> shift the nearest integer to 1000 * scale * n.

    A float32 is a whole number of up to 24 bits times a power of two, so that nothing is approximated;
    ties go up. For n within 17 bits the product stays within int64.
    """
    fraction, exponent = math.frexp(scale)
    factor, shift = 1000 * round(fraction * 2**24), 24 - exponent
    while factor % 2 == 0 and shift > 0:
        factor, shift = factor // 2, shift - 1
    if shift > WIDEST_SHIFT:  # of a scale so small that every score is 0 thousandths
        factor, shift = factor >> (shift - WIDEST_SHIFT), WIDEST_SHIFT
    if shift < 0:
        factor, shift = factor << -shift, 0
    return factor, shift, (1 << shift) >> 1
