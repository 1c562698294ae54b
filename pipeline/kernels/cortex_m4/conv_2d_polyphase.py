"""CONV_2D 3x3 with stride 2: its phases by Winograd's F(2, 2), 25 products in place of 36, exact."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.conv_2d_gemm import Channels, exact_channels, half_up
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import constant, integer
from pipeline.operators.conv_2d import Conv2D
from pipeline.tensors import Tensor

TILES = 4
"""Of 2 x 2 outputs, in a block."""
UNROLLED = 16
"""Steps of one round of the inner loop."""
GEOMETRY = (
    "input_height input_width input_channels output_width output_channels pad_top pad_left input_zero "
    "output_zero"
).split()
"""The first fields of the struct, which the operator's parameters have under the same names."""
FIXED = {
    "kernel_height": 3,
    "kernel_width": 3,
    "stride_y": 2,
    "stride_x": 2,
    "dilation_y": 1,
    "dilation_x": 1,
}
TAPS: Mapping[str, Sequence[tuple[int, int, int]]] = {
    "L": ((1, 0, 0), (0, 1, 0)),
    "C": ((1, 0, 1),),
    "R": ((0, 0, 1), (0, 1, 0)),
}
"""What e0 - e1 and o0, e1, e2 - e1 and o1 are multiplied by along one axis: sums of its three taps."""
RUNS = tuple(map(tuple, "CC CL CR LC LR LL RC RR RL".split()))
"""The products of a tile, by their place along both axes, in the order in which they are made."""

PLACES = sum(len(TAPS[vertical]) * len(TAPS[horizontal]) for vertical, horizontal in RUNS)
"""Products of a pair of channels for each tile."""


class Conv2DPolyphase(Kernel):
    """firmware_templates/kernels/cortex_m4/conv_2d_polyphase.c, with its products in conv_2d_polyphase.S."""

    name = "conv_2d_polyphase"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """Weights in flash or in RAM; as many rows at once as fill a block of tiles, or one row of tiles."""
        if not isinstance(op, Conv2D):
            return ()
        p = op.parameters(inputs, output)
        weights = constant(inputs[1]).astype(np.int64)
        if not _takes(p):
            return ()
        channels = exact_channels(p, weights.reshape(len(weights), -1))
        if channels is None or (channels.ceiling != channels.ceiling[0]).any():
            return ()
        found: list[Candidate] = []
        for rows in _rows_of_calls(p, output.shape[1]):
            candidate = _candidate(p, weights, channels, output.shape[1], rows)
            found += (candidate, candidate.in_ram_too({"weights": candidate.weights_bytes}))
        return found


def _takes(p: Parameters) -> bool:
    return (
        all(integer(p, name) == value for name, value in FIXED.items())
        and integer(p, "pool_height") * integer(p, "pool_width") == 1
        and integer(p, "input_channels") % 4 == 0
        and integer(p, "output_channels") > 1
        and integer(p, "output_width") > 1
    )


def _across(p: Parameters) -> int:
    """Tiles of a row."""
    return math.ceil(integer(p, "output_width") / 2)


def _rows_of_calls(p: Parameters, height: int) -> tuple[int, ...]:
    full = 2 * TILES // math.gcd(_across(p), TILES)
    return tuple(sorted({min(2, height), min(full, height)}, reverse=True))


def _pair_bytes(p: Parameters) -> int:
    """Size of the record of two channels: starting values, rescaling, and the 25 products' weights."""
    return 8 + 12 + 4 * PLACES * integer(p, "input_channels")


def _candidate(p: Parameters, weights: np.ndarray, channels: Channels, height: int, rows: int) -> Candidate:
    features, blocks = _work(p, height, rows, half_up(p, channels))
    depth = integer(p, "input_channels")
    record_bytes = math.ceil(integer(p, "output_channels") / 2) * _pair_bytes(p)
    return Candidate(
        library="cortex_m4",
        kernel=Conv2DPolyphase.name,
        variant="4 tiles of 2 x 2 outputs x 2 channels",
        parameters=lambda: _parameters(p, weights, channels),
        features=features,
        scratch_bytes=PLACES * (2 * TILES * depth + 4) + depth,
        weights_bytes=record_bytes,
        streamed={"weights": record_bytes * blocks},
        streams=True,
        rows_per_call=rows,
    )


def _work(p: Parameters, height: int, rows: int, is_half_up: bool) -> tuple[dict[str, float], int]:
    """How often each thing is done in calls of so many rows; and how many blocks there are."""
    calls = [min(rows, height - first) for first in range(0, height, rows)]
    # By the call: blocks of tiles, and the rows of a tile that are made.
    blocks = [math.ceil(math.ceil(count / 2) * _across(p) / TILES) for count in calls]
    lines = [min(count, 2) for count in calls]
    pairs, steps = math.ceil(integer(p, "output_channels") / 2), integer(p, "input_channels") // 2
    runs = [len(TAPS[vertical]) * len(TAPS[horizontal]) * steps for vertical, horizontal in RUNS]
    rounds = [(length - 1) // UNROLLED for length in runs]

    def of_pairs(counts: Sequence[int]) -> float:
        # The first three products are for both rows.
        made = (block * sum(counts[: 3 + 3 * line]) for block, line in zip(blocks, lines, strict=True))
        return pairs * sum(made)

    stored = 2 * pairs * sum(block * line for block, line in zip(blocks, lines, strict=True))
    return {
        "calls": len(calls),
        "blocks": sum(blocks),
        "patches": sum(blocks) * TILES * steps,
        "pairs": pairs * sum(blocks),
        "stored_half_up" if is_half_up else "stored": stored,
        "steps": of_pairs(runs),
        "rounds": of_pairs(rounds),
    }, sum(blocks)


def _parameters(p: Parameters, weights: np.ndarray, channels: Channels) -> Parameters:
    """The fields of `struct conv_2d_polyphase`, in its order."""
    return {
        **{name: p[name] for name in GEOMETRY},
        "ceiling": int(channels.ceiling[0]),
        "pair_bytes": _pair_bytes(p),
        "store": "conv_2d_polyphase_store" + "_half_up" * half_up(p, channels),
        "weights": records(weights, channels),
    }


def records(weights: np.ndarray, channels: Channels) -> np.ndarray:
    """The records of all pairs of channels, as conv_2d_polyphase.S reads them, in words.

    `weights` are (filters, 3, 3, channels). Of an odd number of filters the last makes a pair with the one
    before it.
    """
    count = len(weights)
    first = np.minimum(np.arange(0, count, 2), count - 2)
    pairs = first[:, np.newaxis] + np.arange(2)
    taps = {place: np.array(sums) for place, sums in TAPS.items()}
    steps = [_steps(taps[vertical], taps[horizontal], weights)[pairs] for vertical, horizontal in RUNS]
    # The sum's start is meant for x + 128.
    start = channels.start + 2 * 128 * weights.sum(axis=(1, 2, 3))
    fields = (
        start[pairs].astype(np.uint32),
        channels.multiplier[pairs].astype(np.uint32),
        (channels.shift - 1)[pairs].astype(np.uint8),
        (channels.floor + 128)[pairs].astype(np.uint8),
        np.concatenate([run.transpose(0, 2, 1, 3) for run in steps], axis=1).astype(np.int16),
    )
    as_bytes = [np.ascontiguousarray(field).reshape(len(pairs), -1).view(np.uint8) for field in fields]
    return np.hstack(as_bytes).reshape(-1).view(np.int32)


def _steps(vertical: np.ndarray, horizontal: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Doubled weights of one product, (filters, steps, 2).

    A step is two input channels (4n and 4n + 2, or 4n + 1 and 4n + 3) of one of the product's vectors, all
    vectors of two channels in a row.
    """
    doubled = 2 * np.einsum("vy,hx,oyxc->ocvh", vertical, horizontal, weights, optimize=True)
    filters, depth, *_ = doubled.shape
    lanes = doubled.reshape(filters, depth // 4, 2, 2, -1)  # 4n + 2 * lane + odd
    steps: np.ndarray = lanes.transpose(0, 1, 3, 4, 2).reshape(filters, -1, 2)
    return steps
