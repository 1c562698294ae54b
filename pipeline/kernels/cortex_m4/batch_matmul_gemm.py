"""BATCH_MATMUL by conv_2d_gemm's product: the second operand becomes records of weights when it is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pipeline.arithmetic import INT8_MAX, INT8_MIN, LARGEST_ACCUMULATOR, doubling_high_product
from pipeline.kernels.base import Candidate, Kernel
from pipeline.kernels.cortex_m4.conv_2d_gemm import STORES
from pipeline.kernels.cortex_m4.conv_2d_gemm_work import PIXELS, Format, Work, count_matrices
from pipeline.operators import Operator
from pipeline.operators.base import Parameters
from pipeline.operators.batch_matmul import BatchMatMul
from pipeline.operators.checks import integer
from pipeline.tensors import Tensor

LOOPS = ("outer", "inner", "a_outer", "a_inner", "b_outer", "b_inner", "rows", "depth", "columns")
"""The first fields of the struct, which the operator's parameters have under the same names."""


class BatchMatMulGemm(Kernel):
    """firmware_templates/kernels/cortex_m4/batch_matmul_gemm.c, with the loops of conv_2d_gemm.S."""

    name = "batch_matmul_gemm"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> Sequence[Candidate]:
        """One way, for operands that both come from other layers."""
        if type(op) is not BatchMatMul or any(x is None or x.is_constant for x in inputs[:2]):
            return ()
        p = op.parameters(inputs, output)
        if not _is_exact(p):
            return ()
        rows, depth, columns = (integer(p, name) for name in ("rows", "depth", "columns"))
        work = replace(count_matrices(rows, depth, columns), store=_store(p))
        return (
            Candidate(
                library="cortex_m4",
                kernel=self.name,
                variant="4 rows x 2 columns",
                parameters=lambda: _parameters(op, p, work),
                features=_features(p, work, op.a_transposed, _is_turned(op, columns)),
                scratch_bytes=work.record_bytes(Format.INT16)
                + math.ceil(rows * depth / 4) * 4 * op.a_transposed
                + 4 * PIXELS * work.steps
                + max(2 * work.steps, PIXELS * 4 * math.ceil(depth % 4 / 4)),
            ),
        )


def _is_exact(p: Parameters) -> bool:
    """Whether the kernel gives the reference's integers for all operands; conv_2d_gemm.py says why."""
    reach = [max(INT8_MAX - integer(p, name), integer(p, name) - INT8_MIN) for name in ("a_zero", "b_zero")]
    largest = integer(p, "depth") * math.prod(reach)
    multiplier, shift = integer(p, "multiplier"), -integer(p, "shift")
    if shift < 1 or largest >= LARGEST_ACCUMULATOR:
        return False
    added = (2 * (integer(p, "output_zero") - INT8_MIN) + 1) << (shift - 1)
    return added + int(doubling_high_product(largest, multiplier)) + 1 < 2**31


def _store(p: Parameters) -> str:
    """What becomes of the sums: no result below the zero point shows where that is the lowest byte."""
    return "stored" + "_half_up" * (integer(p, "output_zero") == INT8_MIN) + "_one_scale"


def _is_turned(op: BatchMatMul, columns: int) -> bool:
    """Whether the second operand's columns lie in one piece each, as an only one does."""
    return op.b_transposed or columns == 1


def _features(p: Parameters, work: Work, a_turned: bool, b_turned: bool) -> dict[str, float]:
    """How often each thing is done."""
    products = integer(p, "outer") * integer(p, "inner")
    fours, rest = divmod(integer(p, "depth"), 4)
    packed = products * work.pairs
    return {
        **{name: count * products for name, count in work.features(Format.INT16).items()},
        "packed": packed,
        "packed_rests": packed * (rest > 0),
        "packed_rest_bytes": packed * rest,
        "packed_fours_turned" if b_turned else "packed_fours": packed * fours,
        "turned_bytes": products * integer(p, "rows") * integer(p, "depth") * a_turned,
    }


def _parameters(op: BatchMatMul, p: Parameters, work: Work) -> Parameters:
    """The fields of `struct batch_matmul_gemm`, in its order."""
    loop = Format.INT16.loop
    return {
        **{name: p[name] for name in LOOPS},
        "a_turned": int(op.a_transposed),
        "b_turned": int(_is_turned(op, integer(p, "columns"))),
        **{name: p[name] for name in ("a_zero", "b_zero", "output_zero", "multiplier")},
        "shift": -integer(p, "shift") - 1,
        "steps": work.steps,
        "multiply": f"conv_2d_gemm_{loop}",
        "multiply_two": f"conv_2d_gemm_{loop}_two" if work.twos else None,
        "store": f"conv_2d_gemm_{STORES[work.store]}",
    }
