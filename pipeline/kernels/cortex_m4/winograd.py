"""What the Winograd kernels share: transformed weights, rescaling, the proof that a layer stays in range."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from pipeline.kernels.base import Candidate, Kernel
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, constant, integer, present
from pipeline.operators.conv_2d import Conv2D
from pipeline.tensors import Tensor

TILES = 4
"""Tiles in a block."""
STEPS_UNROLLED = 16
"""Products of one round of the kernels' inner loop."""
GEOMETRY = ("input_height input_width input_channels output_width output_channels pad_top pad_left").split()
"""The first fields of the struct, which CONV_2D's parameters have under the same names."""
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


class Form(Enum):
    """How the kernel makes bytes of scaled sums: which of its routines, by name."""

    PLAIN = "plain"
    """Clamped to int8 only, at whose lower end the output's zero point lies: negative sums all end there."""
    SIGNED = "signed"
    """Clamped to int8 only."""
    CLAMPED = "clamped"
    POOLED = "pooled"
    """The largest of 2 x 2, clamped."""


@dataclass(frozen=True, slots=True, eq=False)
class Rescaling:
    """By channel, what turns a sum times 2**product_bits, A, into the output's byte; int64.

    With s the right shift of the multiplier m, TFLite's double rounding is (A * m / 2**32 + 2**(k - 1) +
    2**(shift - 1)) >> shift, where k = product_bits - 1 and shift = s + k, but for ties of negative sums:
    these are rounded away from zero, for which the kernel subtracts `away` = 2**k. Without a right shift
    there is one rounding, half up. `addend` holds the constant terms and the output's zero point; the
    kernel makes it of the rest and `offset`.
    """

    form: Form
    offset: int
    """2 * (the output's zero point among the numbers that are saturated) + 1, but for the channel's clamp."""
    multiplier: np.ndarray
    addend: np.ndarray
    shift: np.ndarray
    away: np.ndarray
    down: np.ndarray
    up: np.ndarray

    @classmethod
    def of(cls, fields: Parameters, product_bits: int) -> Rescaling:
        m, shift, low, high = (
            np.broadcast_to(array(fields, name).astype(np.int64), integer(fields, "output_channels"))
            for name in ("multiplier", "shift", "minimum", "maximum")
        )
        k = product_bits - 1
        s, zero = -shift, integer(fields, "output_zero")
        if integer(fields, "pool_height") > 1:
            form = Form.POOLED
        elif (low > -128).any() or (high < 127).any():
            form = Form.CLAMPED
        else:
            form = Form.PLAIN if zero == -128 else Form.SIGNED
        # USAT cuts at 255, where `high` has to lie; UQSUB8 of `down` brings `low` to 0, UQADD8 of `up` back.
        place = zero if form in {Form.PLAIN, Form.SIGNED} else zero + 128
        down, up = 255 - (high - low), low + 128
        away = np.where(s > 0, 1 << k, 0)
        half = 1 << np.maximum(s + k - 1, 0)
        addend = (2 * (place + down - up) + 1) * half + away // 2
        return cls(form, 2 * place + 1, m, addend, s + k, away, down, up)

    def in_range(self, lowest: np.ndarray, highest: np.ndarray) -> bool:
        """Whether nothing overflows for scaled sums between these, and shifts are those of the proof."""
        terms = [(bound * self.multiplier >> 32) + self.addend for bound in (lowest, highest)]
        numbers = [lowest, highest, *terms, self.addend, terms[0] - self.away, self.addend - self.away]
        shifts = (self.shift >= 1) & (self.shift <= 31)
        return bool(shifts.all()) and all(_fits(each, INT32) for each in numbers)

    def words(self) -> np.ndarray:
        """As the kernel reads it: (channels, 2) int32."""
        packed = self.shift | self.away << 8 | self.down << 16 | self.up << 24
        return _wrapped(np.stack([self.multiplier, packed], axis=1))


class U(Enum):
    """Where transformed weights come from, in words."""

    CONSTANT = "weights transformed"
    PREPARED = "weights transformed at start"
    MADE = "weights transformed at each call"


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A convolution as the kernels see it. A strip is a row of tiles over the whole width."""

    algorithm: Algorithm
    fields: Parameters
    """Of CONV_2D."""
    weights: np.ndarray
    """(filters, 3, 3, channels), int64."""

    @property
    def filters(self) -> int:
        return int(self.weights.shape[0])

    @property
    def channels(self) -> int:
        return int(self.weights.shape[3])

    @property
    def pool(self) -> int:
        return integer(self.fields, "pool_height")

    @property
    def transformed_bytes(self) -> int:
        """What U takes with its starts: int16, filters in pairs."""
        return -(-self.filters // 2) * self._pair_bytes

    @property
    def _pair_bytes(self) -> int:
        return self.algorithm.positions * (8 + 4 * self.channels)

    def scratch_bytes(self, blocks: int, has_room: bool) -> int:
        """M, or before there is any, in its place, pointers, half a patch and padding; then V and pointers to
        the rows of each block; then perhaps room for U of a pair of filters."""
        positions, tile = self.algorithm.positions, self.algorithm.tile
        sums = max(4 * positions * TILES * 2, 12 * positions + self.channels)
        block = 4 * positions * TILES * (self.channels // 2) + 4 * (TILES * (tile + 1) + 1)
        return sums + blocks * block + has_room * self._pair_bytes

    # --- tiles ----------------------------------------------------------------------------------------

    def _across(self) -> int:
        return -(-integer(self.fields, "output_width") * self.pool // self.algorithm.tile)

    def strips(self) -> int:
        return -(-integer(self.fields, "output_height") * self.pool // self.algorithm.tile)

    def strips_of_a_block(self) -> int:
        """The least that fill a block, or all."""
        return min(-(-TILES // self._across()), self.strips())

    def rows(self, strips: int) -> int:
        """Rows of the output that so many strips make."""
        return min(strips * self.algorithm.tile // self.pool, integer(self.fields, "output_height"))

    def blocks(self, strips: int) -> int:
        return -(-strips * self._across() // TILES)

    def _calls(self, strips: int) -> list[int]:
        """Rows of outputs before pooling, by the call."""
        height, rows = integer(self.fields, "output_height"), self.rows(strips)
        return [min(rows, height - first) * self.pool for first in range(0, height, rows)]

    def _tiles(self, strips: int) -> list[int]:
        """The same in tiles."""
        return [-(-rows // self.algorithm.tile) * self._across() for rows in self._calls(strips)]

    def passes(self, strips: int, blocks: int) -> int:
        """How often all of U is used, in calls of so many strips, for so many blocks at a time."""
        return sum(-(-tiles // (TILES * blocks)) for tiles in self._tiles(strips))

    def features(self, u: U, strips: int, blocks: int) -> dict[str, int]:
        """How often each thing is done, in calls of so many strips."""
        tiles = self._tiles(strips)
        pairs = -(-self.filters // 2)
        positions = sum(-(-each // TILES) for each in tiles) * pairs * self.algorithm.positions
        steps = self.channels // 2
        stored = sum(
            each * min(rows, self.algorithm.tile) // self.pool
            for each, rows in zip(tiles, self._calls(strips), strict=True)
        )
        form = self._rescaling().form.value
        used = self.passes(strips, blocks) * pairs
        words = used * self.algorithm.positions * self.channels
        ways: dict[str, int] = {}
        if u is U.MADE:
            ways = {"made": words, "starts": used}
        elif blocks > 1:
            ways = {"copied": words}
        return {
            "calls": len(tiles),
            "tiles": sum(tiles),
            "patches": sum(tiles) * self.channels // 4,
            "positions": positions,
            "rounds": positions * ((steps - 2) // STEPS_UNROLLED),
            "products": positions * steps,
            "outputs": sum(tiles) * self.filters,
            form: stored * self.filters,
            **ways,
        }

    # --- numbers --------------------------------------------------------------------------------------

    def _rescaling(self) -> Rescaling:
        return Rescaling.of(self.fields, self.algorithm.product_bits)

    def is_exact(self) -> bool:
        """Whether no number can leave its type, whatever the input.

        What is summed in int32 may wrap on the way, as only the scaled sum in the end has to fit.
        """
        taps = self.weights.reshape(self.filters, -1)
        positive, negative = (np.where(sign * taps > 0, taps, 0).sum(axis=1) for sign in (1, -1))
        zero, bias = integer(self.fields, "input_zero"), array(self.fields, "bias").astype(np.int64)
        # Padding contributes nothing, which lies between the two, since the zero point is an int8.
        highest = bias + positive * (127 - zero) + negative * (-128 - zero)
        lowest = bias + positive * (-128 - zero) + negative * (127 - zero)
        gain = 1 << self.algorithm.product_bits
        in_range = self._rescaling().in_range(lowest * gain, highest * gain)
        return in_range and _fits(self.algorithm.transform(self.weights), INT16)

    def parameters(self, kernel: str, u: U, blocks: int) -> Parameters:
        """The fields of the kernel's struct, in its order."""
        scaling = self._rescaling()
        plain = u is not U.CONSTANT
        return {
            **{name: self.fields[name] for name in GEOMETRY},
            "pool": self.pool,
            "input_zero": self.fields["input_zero"],
            "output": f"{kernel}_{scaling.form.value}",
            "offset": scaling.offset,
            "blocks": blocks,
            "transformed": None if plain else self._transformed(),
            "weights": self._plain() if plain else None,
            "bias": _wrapped(self._bias()) if plain else None,
            "rescaling": scaling.words(),
        }

    def _plain(self) -> np.ndarray:
        """The weights as U is made of them: (filters, channels / 4, 3, 3, 4) int8."""
        fours = self.weights.reshape(self.filters, 3, 3, -1, 4).transpose(0, 3, 1, 2, 4)
        return np.ascontiguousarray(fours.astype(np.int8))

    def _bias(self) -> np.ndarray:
        """Where the bias enters a sum starts from it, less what the input's zero point contributes."""
        zero = integer(self.fields, "input_zero") + self.algorithm.input_offset
        bias = array(self.fields, "bias").astype(np.int64) - zero * self.weights.sum(axis=(1, 2, 3))
        scaled: np.ndarray = self.algorithm.bias_gain * bias
        return scaled

    def _transformed(self) -> np.ndarray:
        """U: (pairs of filters, positions, 2 + channels) words of int32.

        A position begins with what its two sums start from: position (1, 1) with the bias, each with less
        what the input's transform adds to low lanes. Then come, by two input channels, words of both filters.
        """
        size, pairs = self.algorithm.tile + 2, -(-self.filters // 2)
        u = np.zeros((size, size, 2 * pairs, self.channels // 4, 2, 2), np.int64)
        # Channels 4n .. 4n + 3 as (low, high) lanes of words (4n, 4n + 2) and (4n + 1, 4n + 3).
        u[:, :, : self.filters] = self.algorithm.transform(self.weights).reshape(
            size, size, self.filters, -1, 2, 2
        )
        low, high = u[..., 0, :], u[..., 1, :]
        starts = -self.algorithm.low_lane_offset * low.sum(axis=(3, 4))
        starts[1, 1, : self.filters] += self._bias()
        words = (high << 16 | low & 0xFFFF).reshape(self.algorithm.positions, pairs, 2, -1)
        starts = starts.reshape(self.algorithm.positions, pairs, 2, 1)
        return _wrapped(np.concatenate([starts, words], axis=3).transpose(1, 0, 3, 2))


class Winograd(Kernel):
    """3 x 3 convolutions with stride 1, in tiles."""

    @property
    @abstractmethod
    def algorithm(self) -> Algorithm: ...

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> tuple[Candidate, ...]:
        """U in flash, copied to RAM, made in RAM when the target starts; or, with several strips of tiles a
        call, for all blocks of a call at once: copied from flash, or made from plain weights."""
        if not isinstance(op, Conv2D) or not _takes(self.algorithm, op, inputs, output):
            return ()
        weights = constant(present(inputs[1])).astype(np.int64)
        layer = Layer(self.algorithm, op.parameters(inputs, output), weights)
        if not layer.is_exact():
            return ()
        once = layer.strips_of_a_block()
        in_flash = self._candidate(layer, U.CONSTANT, once, blocks=1)
        several = {min(strips, layer.strips()) for strips in (once, 2 * once, layer.strips())}
        shared = [(strips, layer.blocks(strips)) for strips in sorted(several)]
        return (
            in_flash,
            in_flash.in_ram_too({"transformed": layer.transformed_bytes}),
            self._candidate(layer, U.PREPARED, once, blocks=1),
            *(self._candidate(layer, U.CONSTANT, strips, blocks) for strips, blocks in shared if blocks > 1),
            *(self._candidate(layer, U.MADE, *ways) for ways in dict.fromkeys([(once, 1), *shared])),
        )

    def _candidate(self, layer: Layer, u: U, strips: int, blocks: int) -> Candidate:
        plain = u is not U.CONSTANT
        field, size = ("weights", layer.weights.size) if plain else ("transformed", layer.transformed_bytes)
        prepared = {"transformed": layer.transformed_bytes} if u is U.PREPARED else {}
        return Candidate(
            library="cortex_m4",
            kernel=self.name,
            variant=u.value if blocks == 1 else f"{u.value}, for {blocks} blocks of tiles",
            parameters=lambda: layer.parameters(self.name, u, blocks),
            features=layer.features(u, strips, blocks),
            scratch_bytes=layer.scratch_bytes(blocks, has_room=u is U.MADE or blocks > 1),
            weights_bytes=size + (12 if plain else 8) * layer.filters,
            streamed={} if prepared else {field: layer.passes(strips, blocks) * size},
            prepared=prepared,
            ram_bytes=sum(prepared.values()),
            streams=True,
            rows_per_call=layer.rows(strips),
        )


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


def _fits(numbers: np.ndarray, kind: np.iinfo) -> bool:
    return bool((numbers >= kind.min).all() and (numbers <= kind.max).all())


def _wrapped(numbers: np.ndarray) -> np.ndarray:
    """Modulo 2**32, as int32."""
    return (numbers & 0xFFFF_FFFF).astype(np.uint32).view(np.int32)
