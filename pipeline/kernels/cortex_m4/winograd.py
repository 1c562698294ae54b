"""What the Winograd kernels share: transformed weights, rescaling, the proof that a layer stays in range."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.kernels.base import Candidate, Cost, Kernel
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, constant, integer, present
from pipeline.operators.conv_2d import Conv2D
from pipeline.tensors import Tensor

TILES = 4
"""Tiles in a block."""
INT32 = np.iinfo(np.int32)
INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Algorithm:
    """F(tile x tile, 3 x 3) in integers."""

    tile: int
    """Outputs of a tile, in each direction."""
    weights_transform: np.ndarray
    """G of U = G w G^T, (tile + 2, 3), times what makes it integer."""
    bias_gain: int
    """What sums are multiplied by in front of the output's transform; there the bias enters."""
    product_bits: int
    """Behind it they are multiplied by 2**product_bits."""
    input_offset: int
    """Added to each byte of the input before it is transformed."""
    low_lane_offset: int
    """Added to channels 4n and 4n + 1 of the transformed input."""

    @property
    def positions(self) -> int:
        """Elements of a transformed tile."""
        return (self.tile + 2) ** 2

    def transform(self, weights: np.ndarray) -> np.ndarray:
        """U, (rows, columns, filters, channels), of weights (filters, 3, 3, channels)."""
        g = self.weights_transform
        u: np.ndarray = np.einsum("iy,jx,oyxc->ijoc", g, g, weights, optimize=True)
        return u

    def transformed_bytes(self, filters: int, channels: int) -> int:
        """What U takes with its starts: int16, filters in pairs."""
        return -(-filters // 2) * self.positions * (8 + 4 * channels)

    def scratch_bytes(self, channels: int) -> int:
        """V and M of a block. Before there is M, its room is that of pointers, half a patch and padding."""
        transformed = 4 * self.positions * TILES * (channels // 2)
        return max(4 * self.positions * TILES * 2, 12 * self.positions + channels) + transformed


@dataclass(frozen=True, slots=True, eq=False)
class Rescaling:
    """By channel, what turns a sum times 2**product_bits, A, into the output's byte; int64.

    With s the right shift of the multiplier m, TFLite's double rounding is (A * m / 2**32 + 2**(k - 1) +
    2**(shift - 1)) >> shift, where k = product_bits - 1 and shift = s + k, but for ties of negative sums:
    these are rounded away from zero, for which the kernel subtracts `away` = 2**k. Without a right shift
    there is one rounding, half up. `addend` holds the constant terms and the output's zero point.
    """

    multiplier: np.ndarray
    addend: np.ndarray
    shift: np.ndarray
    away: np.ndarray
    down: np.ndarray
    up: np.ndarray
    clamped: bool

    @classmethod
    def of(cls, fields: Parameters, product_bits: int) -> Rescaling:
        m, shift, low, high = (
            np.broadcast_to(array(fields, name).astype(np.int64), integer(fields, "output_channels"))
            for name in ("multiplier", "shift", "minimum", "maximum")
        )
        k = product_bits - 1
        s, zero = -shift, integer(fields, "output_zero")
        saturated = zero == -128 and bool((low == -128).all() and (high == 127).all())
        clamped = integer(fields, "pool_height") > 1 or not saturated
        # USAT cuts at 255, where `high` has to lie; UQSUB8 of `down` brings `low` to 0, UQADD8 of `up` back.
        offset = zero + 128 + 127 - high if clamped else np.full_like(high, zero)
        away = np.where(s > 0, 1 << k, 0)
        half = 1 << np.maximum(s + k - 1, 0)
        return cls(
            m, (offset * half * 2) + half + away // 2, s + k, away, 255 - (high - low), low + 128, clamped
        )

    def in_range(self, lowest: np.ndarray, highest: np.ndarray) -> bool:
        """Whether nothing overflows for scaled sums between these, and shifts are those of the proof."""
        terms = [(bound * self.multiplier >> 32) + self.addend for bound in (lowest, highest)]
        numbers = [lowest, highest, *terms, self.addend, terms[0] - self.away, self.addend - self.away]
        shifts = (self.shift >= 1) & (self.shift <= 31)
        return bool(shifts.all()) and all(_fits(each, INT32) for each in numbers)

    def words(self) -> np.ndarray:
        """As the kernel reads it: (channels, 3) int32."""
        packed = self.shift | self.away << 8 | self.down << 16 | self.up << 24
        return _wrapped(np.stack([self.multiplier, self.addend, packed], axis=1))


class Winograd(Kernel):
    """3 x 3 convolutions with stride 1, in tiles."""

    @property
    @abstractmethod
    def algorithm(self) -> Algorithm: ...

    @property
    @abstractmethod
    def costs(self) -> Mapping[str, tuple[float, float]]:
        """Instructions and cycles of each of `count_features`, fitted on layers that were run."""

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> tuple[Candidate, ...]:
        if not isinstance(op, Conv2D) or not _takes(self.algorithm, op, inputs, output):
            return ()
        fields = op.parameters(inputs, output)
        weights = constant(present(inputs[1])).astype(np.int64)
        if not _is_exact(self.algorithm, fields, weights):
            return ()
        filters, _, _, channels = weights.shape
        rows = _rows_per_call(self.algorithm, fields)
        counts = count_features(self.algorithm, fields, channels, rows)
        instructions, cycles = (sum(n * self.costs[name][i] for name, n in counts.items()) for i in (0, 1))
        transformed_bytes = self.algorithm.transformed_bytes(filters, channels)
        in_flash = Candidate(
            library="cortex_m4",
            kernel=self.name,
            variant="weights transformed",
            parameters=lambda: _parameters(self.algorithm, fields, weights),
            cost=Cost(instructions, cycles),
            scratch_bytes=self.algorithm.scratch_bytes(channels),
            weights_bytes=transformed_bytes + 12 * filters,
            streamed={"transformed": counts["blocks"] * transformed_bytes},
            streams=True,
            rows_per_call=rows,
        )
        return in_flash, in_flash.in_ram_too({"transformed": transformed_bytes})


def _takes(algorithm: Algorithm, op: Conv2D, inputs: Sequence[Tensor | None], output: Tensor) -> bool:
    """Whether a layer's shapes are such that the kernel can run it."""
    _, height, width, channels = present(inputs[1]).shape
    return (
        (height, width) == (3, 3)
        and op.stride == op.dilation == (1, 1)
        and channels % 4 == 0
        and op.pool in {None, (1, 1), (2, 2)}
        and output.shape[2] * (op.pool or (1, 1))[1] >= algorithm.tile
    )


def _is_exact(algorithm: Algorithm, fields: Parameters, weights: np.ndarray) -> bool:
    """Whether no number of a layer can leave its type, whatever the input.

    What is summed in int32 may wrap on the way, as only the scaled sum in the end has to fit.
    """
    taps = weights.reshape(len(weights), -1)
    positive, negative = (np.where(sign * taps > 0, taps, 0).sum(axis=1) for sign in (1, -1))
    zero, bias = integer(fields, "input_zero"), array(fields, "bias").astype(np.int64)
    # Padding contributes nothing, which lies between the two, since the zero point is an int8.
    highest = bias + positive * (127 - zero) + negative * (-128 - zero)
    lowest = bias + positive * (-128 - zero) + negative * (127 - zero)
    gain = 1 << algorithm.product_bits
    in_range = Rescaling.of(fields, algorithm.product_bits).in_range(lowest * gain, highest * gain)
    return in_range and _fits(algorithm.transform(weights), INT16)


def _parameters(algorithm: Algorithm, fields: Parameters, weights: np.ndarray) -> Parameters:
    """The fields of the kernel's struct, in its order."""
    scaling = Rescaling.of(fields, algorithm.product_bits)
    same = (
        "input_height input_width input_channels output_height output_width output_channels pad_top pad_left"
    )
    return {
        **{name: fields[name] for name in same.split()},
        "pool": fields["pool_height"],
        "input_zero": fields["input_zero"],
        "clamped": int(scaling.clamped),
        "transformed": _pack(algorithm, fields, weights),
        "rescaling": scaling.words(),
    }


def _pack(algorithm: Algorithm, fields: Parameters, weights: np.ndarray) -> np.ndarray:
    """U as the kernel reads it: (pairs of filters, positions, 2 + channels) words of int32.

    A position begins with what its two sums start from: there the bias enters, and what the input's
    transform has added to its lanes goes. Then come, by two input channels, the words of both filters.
    """
    filters, _, _, channels = weights.shape
    size, pairs = algorithm.tile + 2, -(-filters // 2)
    u = np.zeros((size, size, 2 * pairs, channels // 4, 2, 2), np.int64)
    # Channels 4n .. 4n + 3 as (low, high) lanes of words (4n, 4n + 2) and (4n + 1, 4n + 3).
    u[:, :, :filters] = algorithm.transform(weights).reshape(size, size, filters, -1, 2, 2)
    low, high = u[..., 0, :], u[..., 1, :]
    starts = -algorithm.low_lane_offset * low.sum(axis=(3, 4))
    zero = integer(fields, "input_zero") + algorithm.input_offset
    bias = array(fields, "bias").astype(np.int64) - zero * weights.sum(axis=(1, 2, 3))
    starts[1, 1, :filters] += algorithm.bias_gain * bias
    words = (high << 16 | low & 0xFFFF).reshape(algorithm.positions, pairs, 2, -1)
    starts = starts.reshape(algorithm.positions, pairs, 2, 1)
    return _wrapped(np.concatenate([starts, words], axis=3).transpose(1, 0, 3, 2))


def _rows_per_call(algorithm: Algorithm, fields: Parameters) -> int:
    """Rows of the (pooled) output: a strip of tiles, or some where a strip has less than a block."""
    pool = integer(fields, "pool_height")
    across = -(-integer(fields, "output_width") * pool // algorithm.tile)
    strips = -(-TILES // across)
    return min(strips * algorithm.tile // pool, integer(fields, "output_height"))


def count_features(
    algorithm: Algorithm, fields: Parameters, channels: int, rows_per_call: int
) -> dict[str, int]:
    """How many of each of the things that a layer's cost is made of, in calls of so many rows."""
    height, width, filters, pool = (
        integer(fields, name) for name in ("output_height", "output_width", "output_channels", "pool_height")
    )
    calls = [min(rows_per_call, height - first) * pool for first in range(0, height, rows_per_call)]
    across = -(-width * pool // algorithm.tile)
    tiles = [-(-rows // algorithm.tile) * across for rows in calls]
    blocks = sum(-(-each // TILES) for each in tiles)
    pairs = -(-filters // 2)
    stored = "pooled" if pool == 2 else "clamped" if Rescaling.of(fields, 1).clamped else "plain"
    counts = dict.fromkeys(("plain", "clamped", "pooled"), 0)
    counts[stored] = sum(tiles) * filters
    return {
        "calls": len(calls),
        "blocks": blocks,
        "tiles": sum(tiles),
        "patches": sum(tiles) * channels // 4,
        "pairs": blocks * pairs,
        "positions": blocks * pairs * algorithm.positions,
        "products": blocks * pairs * algorithm.positions * channels // 2,
        **counts,
    }


def _fits(numbers: np.ndarray, kind: np.iinfo) -> bool:
    return bool((numbers >= kind.min).all() and (numbers <= kind.max).all())


def _wrapped(numbers: np.ndarray) -> np.ndarray:
    """Modulo 2**32, as int32."""
    return (numbers & 0xFFFF_FFFF).astype(np.uint32).view(np.int32)
