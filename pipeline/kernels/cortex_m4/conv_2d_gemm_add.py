"""CONV_2D with a residual that is added as results are stored: conv_2d_gemm with another store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.conv_2d_gemm import (
    Channels,
    candidate_of,
    exact_channels,
    in_ram,
    parameters_of,
)
from pipeline.kernels.cortex_m4.conv_2d_gemm_work import (
    Format,
    Work,
    can_widen_rows,
    count_work,
    rows_of_calls,
)
from pipeline.kernels.cortex_m4.residual import Addition, addition_of
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.checks import array, constant, integer
from pipeline.passes.fuse_add import ConvolutionAdd
from pipeline.tensors import Tensor

STORE = "stored_added_one_floor"
"""What results that are added to are counted as. There is one floor, so shifts stand behind the records."""


class Conv2DGemmAdd(Kernel):
    """firmware_templates/kernels/cortex_m4/conv_2d_gemm_add.c, with its store in conv_2d_gemm_add.S."""

    name = "conv_2d_gemm_add"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """As of conv_2d_gemm, with weights as int8: its loop for int16 and this store are more than the 1 KB
        of an instruction cache. For an even number of channels, and no pooling, since nothing may be made,
        and added to, twice. Input channels are a multiple of four, as they are in residual networks."""
        if not isinstance(op, ConvolutionAdd) or output.shape[3] % 2 or op.convolution.pool is not None:
            return ()
        p = op.parameters(inputs, output)
        if integer(p, "input_channels") % 4:
            return ()
        weights = constant(inputs[1]).astype(np.int64)
        weights = weights.reshape(len(weights), -1)
        channels, addition = exact_channels(p, weights), addition_of(op, inputs, output)
        if channels is None or addition is None or not _fits(p, channels):
            return ()
        found: list[Candidate] = []
        for widened in (False, True)[: 1 + can_widen_rows(p)]:
            for rows in rows_of_calls(p, output.shape[1], widened):
                work = count_work(p, output.shape[1], False, True, rows, widened)
                narrow = _candidate(p, weights, channels, work, addition)
                found += (narrow, in_ram(narrow))
        return found


def _fits(p: Parameters, channels: Channels) -> bool:
    """Whether what is added to a rescaled sum, with no floor taken off, leaves int32 room."""
    added = abs(2 * integer(p, "output_zero") + 1) << (channels.shift - 1)
    return bool((added + channels.largest + 1 < 2**31).all())


def _candidate(
    p: Parameters, weights: np.ndarray, channels: Channels, work: Work, addition: Addition
) -> Candidate:
    """The candidate of conv_2d_gemm with ADD's words behind its records."""
    found = candidate_of(p, weights, channels, work, Format.INT8)
    return replace(
        found,
        kernel=Conv2DGemmAdd.name,
        parameters=lambda: _parameters(p, weights, channels, work, addition),
        features=replace(work, store=STORE).features(Format.INT8),
        weights_bytes=found.weights_bytes + addition.words().nbytes,
    )


def _parameters(
    p: Parameters, weights: np.ndarray, channels: Channels, work: Work, addition: Addition
) -> Parameters:
    """The fields of `struct conv_2d_gemm_add`, in its order."""
    fields = parameters_of(p, weights, channels, work, Format.INT8)
    behind = work.pairs * work.pair_bytes(Format.INT8) // 4
    words = np.insert(array(fields, "weights"), behind, addition.words())
    return {**fields, "floor": 0, "store": "conv_2d_gemm_add_store", "weights": words}
