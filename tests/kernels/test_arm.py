"""The driver of kernels' tests notices what it should; profiling changes nothing of a run."""

from __future__ import annotations

import shutil

import arm
import numpy as np
import pytest
from arm import ArmKernels, Portion

from pipeline.kernels.base import Candidate

pytestmark = pytest.mark.toolchain

ROWS = """
#include "kernels/cortex_m4/rows.h"

struct add_table { int32_t width, beyond; const int8_t *table; };
void add_table_cortex_m4(const struct add_table *p, const struct feature_map *x, const struct feature_map *y,
                         void *scratch, int32_t first, int32_t count);

RAMCODE void add_table_cortex_m4(const struct add_table *p, const struct feature_map *x,
                                 const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    (void)scratch;
    for (int32_t row = first; row < first + count; row++)
        for (int32_t i = 0; i < p->width + p->beyond; i++)
            row_of(y, row)[i] = (int8_t)(row_of(x, row)[i] + p->table[i]);
}
"""
# The larger of two neighbours, by loads that an IT makes conditional; a call ends each block.
CONDITIONAL = """
    .syntax unified
    .thumb
    .section .ramcode, "ax", %progbits
    .global larger_cortex_m4
    .thumb_func
    .type larger_cortex_m4, %function
larger_cortex_m4:
    push {r4-r7, lr}
    ldr  r4, [r1]
    ldr  r5, [r2]
    ldr  r6, [r0]
1:  ldrsb r0, [r4]
    ldrsb r1, [r4, #1]
    cmp  r0, r1
    itt  lt
    ldrsblt r0, [r4, #1]
    strblt r0, [r5]
    it   ge
    strbge r0, [r5]
    bl   2f
    subs r6, #1
    bne  1b
    pop  {r4-r7, pc}
2:  adds r4, #1
    adds r5, #1
    bx   lr
    .size larger_cortex_m4, . - larger_cortex_m4
"""
X = np.random.default_rng(0).integers(-50, 50, (1, 9, 5, 3)).astype(np.int8)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> ArmKernels:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    root = tmp_path_factory.mktemp("templates")
    folder = root / "kernels" / "cortex_m4"
    folder.mkdir(parents=True)
    shutil.copy(arm.TEMPLATES / "kernels/cortex_m4/rows.h", folder)
    (folder / "add_table.c").write_text(ROWS)
    (folder / "larger.S").write_text(CONDITIONAL)
    before, arm.TEMPLATES = arm.TEMPLATES, root
    try:
        return ArmKernels(tmp_path_factory.mktemp("image"))
    finally:
        arm.TEMPLATES = before


def add_table(beyond: int = 0) -> Candidate:
    table = np.arange(16, dtype=np.int8)
    fields = {"width": 15, "beyond": beyond, "table": table}
    return Candidate("cortex_m4", "add_table", "", lambda: fields)


def test_whole_maps_and_rings_give_the_same(kernels: ArmKernels) -> None:
    expected = (X.reshape(9, 15) + np.arange(15)).reshape(X.shape)
    portions = [Portion(row, 1, ((row, row + 1),)) for row in range(9)]
    whole = kernels.run(add_table(), [X], X.shape)
    ring = kernels.run(add_table(), [X], X.shape, portions=portions, ring_rows=3)
    np.testing.assert_array_equal(whole.output, expected)
    np.testing.assert_array_equal(ring.output, expected)


def test_a_byte_beyond_a_buffer_is_noticed(kernels: ArmKernels) -> None:
    with pytest.raises(AssertionError, match="outside a buffer"):
        kernels.run(add_table(beyond=1), [X], X.shape)


def test_conditional_accesses_run_under_the_timing_core_as_without_it(kernels: ArmKernels) -> None:
    """Unicorn forgets, after an access within an IT's block, that the block has an end."""
    x = np.random.default_rng(1).integers(-128, 128, (1, 1, 41, 1)).astype(np.int8)
    larger = Candidate("cortex_m4", "larger", "", lambda: {"count": 40})
    plain = kernels.run(larger, [x], (1, 1, 40, 1))
    profiled = kernels.run(larger, [x], (1, 1, 40, 1), cycles=True)
    flat = x.ravel()
    np.testing.assert_array_equal(plain.output.ravel(), np.maximum(flat[:-1], flat[1:]))
    np.testing.assert_array_equal(profiled.output, plain.output)
    assert profiled.figures is not None
    # The driver's own are no part of the profile.
    assert plain.instructions - 30 < profiled.figures.instructions <= plain.instructions
