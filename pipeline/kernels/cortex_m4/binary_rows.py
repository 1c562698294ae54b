"""ADD, SUB and MUL row by row: of two maps or of a map and a constant, either of them repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from pipeline.arithmetic import INT8_MAX, INT8_MIN
from pipeline.kernels.base import Candidate, Kernel
from pipeline.operators import Operator
from pipeline.operators.add import HEADROOM_BITS, Add
from pipeline.operators.base import Parameters
from pipeline.operators.binary import loops
from pipeline.operators.checks import integer, present
from pipeline.operators.mul import Mul
from pipeline.tensors import Tensor, map_rows

HALF = 2**30
"""The multiplier of the operand of the larger scale, whose factor is 1/2."""
INT32 = np.iinfo(np.int32)
LINE_SHIFT = 22
"""Bits below the output's unit, where a sum is one of two products."""
NEIGHBOURS = 3
"""Factors that are tried lie so far from the real ones at most."""
LANE_BITS = 16
"""Products are rounded into the upper halves of words."""
EVERY_INT8 = tuple(range(INT8_MIN, INT8_MAX + 1))
FORM_FIELDS = (
    "floors", "start", "a_factor", "b_factor", "a_term", "b_term", "multiplier", "shift",
    "small_multiplier", "small_round", "small_shift",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Walk:
    """How rows of the output go through the operands: each in so many runs of so many elements."""

    rows: int
    runs: int
    run: int
    steps: tuple[int, int]
    """Of each operand, from what a run has taken to what the next one takes."""
    row_steps: tuple[int, int]
    """The same from row to row, behind the step of a row's last run."""
    one: int | None
    """The operand that is the same all through a run, if any."""
    constant_row_bytes: int
    """Of an operand that is a constant; 0 where it is the same for all rows."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How pairs of elements are computed."""

    name: str
    """The C function."""
    words: str
    a: int
    """The operand that it calls a."""
    fields: Mapping[str, int]
    """Those of FORM_FIELDS that are not 0."""


class BinaryRows(Kernel):
    """firmware_templates/kernels/cortex_m4/binary_rows.c"""

    name = "binary_rows"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """All rows in one call, and where rows can come one by one, a call for each."""
        if not isinstance(op, Add | Mul) or op.element != "int8":
            return ()
        operands = present(inputs[0]), present(inputs[1])
        walk = _walk(operands, output)
        form = _form(op, operands, output, walk) if walk else None
        if walk is None or form is None:
            return ()
        fields = _fields(operands, walk, form)
        constant = fields["constant"]
        read = constant.nbytes if isinstance(constant, np.ndarray) else 0
        entry = "_constant" if read else ""
        whole = Candidate(
            library="cortex_m4",
            kernel=self.name,
            variant=form.words,
            parameters=lambda: fields,
            entry=f"{entry}_whole",
            weights_bytes=read,
            streamed={"constant": read} if read else {},
        )
        ways = [whole]
        if walk.rows > 1 and op.rows_read(inputs, output, 0, 1) is not None:
            ways.append(replace(whole, variant=f"{whole.variant}, row by row", entry=entry, streams=True))
        return tuple(_counted(way, form.name, walk) for way in ways)


def _counted(way: Candidate, form: str, walk: _Walk) -> Candidate:
    """The candidate with its work."""
    runs, words = walk.rows * walk.runs, walk.rows * walk.runs * (walk.run // 4)
    odd = walk.run % 4 > 0 and runs > 1
    features = {
        "once": 0 if way.streams else 1,
        "calls": walk.rows if way.streams else 0,
        "rows": walk.rows,
        f"{form}_runs": runs,
        f"{form}_words": words,
        f"{form}_rest": runs * (walk.run % 4),
        # Words that do not begin where words do take longer.
        "odd_words": words * (3 if walk.one is None else 2) if odd else 0,
    }
    return replace(way, features=features)


def _walk(operands: tuple[Tensor, Tensor], output: Tensor) -> _Walk | None:
    """None where a row takes more than two nested loops, or maps have other rows than the output."""
    rank, rows = len(output.shape), map_rows(output)
    if rank == 4 and output.shape[0] != 1:
        return None
    padded = [(1,) * (rank - len(x.shape)) + x.shape for x in operands]
    # Rows are those of a map (1, height, width, channels), else along the first of several axes.
    above = 2 if rank == 4 else int(rank > 1)
    heights = [shape[above - 1] if above else 1 for shape in padded]
    if rows > 1 and any(
        map_rows(x) != height for x, height in zip(operands, heights, strict=True) if not x.is_constant
    ):
        return None
    *outer, (run, *moves) = loops(padded[0][above:], padded[1][above:])
    if len(outer) > 1:
        return None
    runs, *jumps = outer[0] if outer else (1, 0, 0)
    one = moves.index(0) if moves.count(0) == 1 else None
    if one is None:
        # Where a row is one element, it counts as one that all operands have.
        moves = [1, 1]
    steps = [jump - run * move if runs > 1 else 0 for jump, move in zip(jumps, moves, strict=True)]
    row_bytes = [x.elements // h if h > 1 else 0 for x, h in zip(operands, heights, strict=True)]
    row_steps = [
        whole - runs * (run * move + step) for whole, move, step in zip(row_bytes, moves, steps, strict=True)
    ]
    return _Walk(
        rows,
        runs,
        run,
        (steps[0], steps[1]),
        (row_steps[0], row_steps[1]),
        one,
        sum(count for x, count in zip(operands, row_bytes, strict=True) if x.is_constant),
    )


def _fields(operands: tuple[Tensor, Tensor], walk: _Walk, form: _Form) -> Parameters:
    """The fields of `struct binary_rows`, in its order."""
    a, b = form.a, 1 - form.a
    constants = [i for i, x in enumerate(operands) if x.is_constant]
    second = constants[0] if constants else 1
    return {
        "form": form.name,
        "swapped": int(a == second),
        "runs": walk.runs,
        "run": walk.run,
        "a_step": walk.steps[a],
        "b_step": walk.steps[b],
        "a_row_step": walk.row_steps[a],
        "b_row_step": walk.row_steps[b],
        **{name: form.fields.get(name, 0) for name in FORM_FIELDS},
        "constant": operands[second].data if constants else None,
        "constant_row_bytes": walk.constant_row_bytes,
    }


def _form(op: Add | Mul, operands: tuple[Tensor, Tensor], output: Tensor, walk: _Walk) -> _Form | None:
    """The quickest arithmetic that is the reference's for all pairs of elements; None where there is none."""
    p = op.parameters(operands, output)
    if integer(p, "maximum") != INT8_MAX:
        return None
    if isinstance(op, Mul):
        return _product(p, walk)
    factors = line_of_sums(op, operands, output)
    return _scaled(p, walk) if factors is None else _sum_of_two_products(p, factors, walk)


def line_of_sums(op: Add, operands: tuple[Tensor, Tensor], output: Tensor) -> tuple[int, int, int] | None:
    """Factors of both operands and a constant: the line shifted to the right by LINE_SHIFT, and saturated, is
    the result less the clamp's lower end, for all pairs of elements; None where there are none."""
    p = op.parameters(operands, output)
    names = tuple((name, integer(p, name)) for name in p)
    return _line(op, names, *(_values(x) for x in operands))


def _sum_of_two_products(p: Parameters, factors: tuple[int, int, int], walk: _Walk) -> _Form:
    a = 0 if walk.one is None else 1 - walk.one
    fields = {
        "a_factor": factors[a],
        "b_factor": factors[1 - a],
        "start": factors[2],
        "floors": _floors(p),
    }
    return _Form("line_each" if walk.one is None else "line_one", "two products", a, fields)


def _scaled(p: Parameters, walk: _Walk) -> _Form | None:
    """The reference's own roundings."""
    multipliers = [(integer(p, f"{name}_multiplier"), integer(p, f"{name}_shift")) for name in ("a", "b")]
    exact = [abs(multiplier) == HALF and shift == 0 for multiplier, shift in multipliers]
    large = exact.index(True) if any(exact) else None
    shift = -integer(p, "output_shift")
    if large is None:
        return None
    (large_multiplier, _), (small_multiplier, left) = multipliers[large], multipliers[1 - large]
    # The sums are below 2**29, what is added after scaling has to leave int32 room.
    if not 1 <= shift <= 21 or not -27 <= left <= 0:
        return None
    zeros = [integer(p, f"{name}_zero") for name in ("a", "b")]
    large_factor = int(np.sign(large_multiplier)) << HEADROOM_BITS
    # A product is rounded as it is, whichever of its factors is negative.
    small_factor = int(np.sign(small_multiplier)) << (HEADROOM_BITS + 1)
    name = "scaled_each" if walk.one is None else f"scaled_one_{'large' if walk.one == large else 'small'}"
    return _Form(
        name,
        "three scalings",
        large if walk.one is None else 1 - walk.one,
        {
            "a_factor": large_factor,
            "a_term": -zeros[large] * large_factor,
            "b_factor": small_factor,
            "b_term": -zeros[1 - large] * small_factor,
            "small_multiplier": abs(small_multiplier),
            "small_round": 1 << -left >> 1,
            "small_shift": -left,
            "multiplier": integer(p, "output_multiplier"),
            "start": _start(p, shift),
            "shift": shift,
            "floors": _floors(p),
        },
    )


def _product(p: Parameters, walk: _Walk) -> _Form | None:
    """The reference's two roundings, in the upper half of a word."""
    right, multiplier = -integer(p, "shift"), integer(p, "multiplier")
    if not 1 <= right <= LANE_BITS:
        return None
    zeros = [integer(p, f"{name}_zero") for name in ("a", "b")]
    ends = [(INT8_MIN - zero, INT8_MAX - zero) for zero in zeros]
    sums = [(2 * a * b * multiplier >> 32) + 1 + _start(p, right) for a in ends[0] for b in ends[1]]
    if not -(1 << LANE_BITS - 1) < min(sums) >> right <= max(sums) >> right < 1 << LANE_BITS - 1:
        return None
    a = 0 if walk.one is None else 1 - walk.one
    fields = {
        "a_term": _in_each_lane(-zeros[a]),
        "b_term": _in_each_lane(-zeros[1 - a]),
        "multiplier": multiplier,
        "start": _start(p, right),
        "shift": LANE_BITS - right,
        "floors": _floors(p),
    }
    return _Form("product_each" if walk.one is None else "product_one", "a product", a, fields)


def _values(x: Tensor) -> tuple[int, ...]:
    """What the elements of an operand can be."""
    return EVERY_INT8 if x.data is None else tuple(np.unique(x.data).tolist())


@lru_cache(maxsize=64)
def _line(
    op: Add, p: tuple[tuple[str, int], ...], a_values: tuple[int, ...], b_values: tuple[int, ...]
) -> tuple[int, int, int] | None:
    """Factors f, g and a constant c with which (f * a + g * b + c) >> LINE_SHIFT, saturated to unsigned
    bytes, is the reference's result less the clamp's lower end, for all pairs of operands; or None.

    Each pair bounds c from one or both sides, given the factors.
    """
    fields = dict(p)
    a, b = np.array(a_values)[:, np.newaxis], np.array(b_values)[np.newaxis, :]
    result = op.reference(fields, a, b).astype(np.int64) - fields["minimum"]
    # Of results at the clamp one bound is the other side of the line; above 127 bytes saturate.
    bottom, top = result == 0, result == fields["maximum"] - fields["minimum"]
    output = np.ldexp(fields["output_multiplier"], fields["output_shift"] - 31 + HEADROOM_BITS + LINE_SHIFT)
    real = [
        output * np.ldexp(fields[f"{name}_multiplier"], fields[f"{name}_shift"] - 31) for name in ("a", "b")
    ]
    steps = range(-NEIGHBOURS, NEIGHBOURS + 1)
    for near in sorted(((i, j) for i in steps for j in steps), key=lambda ij: max(map(abs, ij))):
        f, g = (round(factor) + step for factor, step in zip(real, near, strict=True))
        line = f * a + g * b
        least = np.where(bottom, INT32.min, (result << LINE_SHIFT) - line).max()
        most = np.where(top, INT32.max, ((result + 1 << LINE_SHIFT) - 1) - line).min()
        c = int(least + most) // 2
        if least <= c <= most and INT32.min <= (line + c).min() and (line + c).max() <= INT32.max:
            return f, g, c
    return None


def _start(p: Parameters, right: int) -> int:
    """What a second rounding adds before its shift to the right, and the zero point above the floor."""
    return (1 << right - 1) + (integer(p, "output_zero") - integer(p, "minimum") << right)


def _floors(p: Parameters) -> int:
    return _signed((integer(p, "minimum") - INT8_MIN) * 0x01010101)


def _in_each_lane(value: int) -> int:
    return _signed((value & 0xFFFF) * 0x00010001)


def _signed(word: int) -> int:
    """A word as C's int32 has it."""
    return word - (1 << 32) if word >= 1 << 31 else word
