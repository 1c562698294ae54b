"""A hand-written model for tests of the harness, the build and the runners: no other stage is involved.

Input 24 bytes, output 10, three layers: each byte + 1; pairs summed (mod 256); the first 10 of 12 negated.
The outputs are easy to predict in Python, so nothing of the pipeline has to be trusted.
"""

from __future__ import annotations

import jinja2

from pipeline.boards import Board
from pipeline.registry import data_folder
from pipeline.render import DIGEST_FILE, SourceTree
from pipeline.targets import NOTHING_NEEDED, RamNeeded, hal_sources, sections_in_ram, target_files

INPUT_BYTES = 24
OUTPUT_BYTES = 10
LAYERS = 3

MODEL_C = """
#include "harness/model.h"
#include "model/small.h"

uint8_t small_arena[64] __attribute__((section(".arena"), aligned(16)));

static void add(void) { small_add(small_arena, small_arena + 24, 24u); }
static void pairs(void)
{
    for (uint32_t i = 0; i < 12u; i++)
        small_arena[i] = (uint8_t)(small_arena[24u + 2u * i] + small_arena[25u + 2u * i]);
}
static void negate(void)
{
    for (uint32_t i = 0; i < 10u; i++)
        small_arena[48u + i] = (uint8_t)(0u - small_arena[i]);
    @LAST@
}

static const struct model_tensor inputs[] = {{small_arena, 24u, 0}};
static const struct model_tensor outputs[] = {{small_arena + 48, 10u, 0}};
static const struct model_layer layers[] = {
    {add, small_arena + 24, 24u}, {pairs, small_arena, 12u}, {negate, small_arena + 48, 10u},
};
static const struct model small_model = {
    "small", inputs, 1u, outputs, 1u, layers, 3u, small_arena, sizeof small_arena, 0,
};
const struct model *const deployed_model = &small_model;
uint8_t deployed_input[24];
const uint32_t deployed_input_bytes = 24u;
"""
MODEL_H = """
#ifndef SMALL_H
#define SMALL_H
#include <stdint.h>
extern const uint8_t small_one[24];
void small_add(const uint8_t *from, uint8_t *to, uint32_t count);
#endif
"""
WEIGHTS_C = """
#include "model/small.h"
const uint8_t small_one[24] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
"""
KERNEL_C = """
#include <string.h>
#include "model/small.h"
void small_add(const uint8_t *from, uint8_t *to, uint32_t count)
{
    /* Not memcpy, which branches away from where it has read ahead: warm caches would then miss once more. */
    memmove(to, from, count);
    for (uint32_t i = 0; i < count; i++)
        to[i] = (uint8_t)(to[i] + small_one[i]);
}
"""


def small_layers(sample: bytes) -> list[bytes]:
    """What each layer's output holds."""
    first = bytes((value + 1) % 256 for value in sample)
    second = bytes((first[2 * i] + first[2 * i + 1]) % 256 for i in range(12))
    return [first, second, bytes(-value % 256 for value in second[:10])]


def small_tree(
    board: Board,
    *,
    last: str = "",
    extra: dict[str, str] | None = None,
    needed: RamNeeded = NOTHING_NEEDED,
    code_in_ram: bool = True,
) -> SourceTree:
    """The source tree of the small model; `last` is C put at the end of its last layer.

    `extra` replaces files, or adds some. `needed` and `code_in_ram` are as in `target_files`.
    """
    templates = data_folder("firmware_templates")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["comment"] = str
    files = {
        "model/small.c": MODEL_C.replace("@LAST@", last),
        "model/small.h": MODEL_H,
        "model/small_weights.c": WEIGHTS_C,
        "kernels/portable/small.c": KERNEL_C,
        **hal_sources(board),
        **{f"harness/{p.name}": p.read_text() for p in sorted((templates / "harness").glob("*.[ch]"))},
    }
    in_ram = sections_in_ram({**files, **(extra or {})}.values())
    files |= {
        path: environment.get_template(template).render(variables)
        for path, (template, variables) in target_files(
            board, needed, in_ram, code_in_ram=code_in_ram
        ).items()
    }
    files |= extra or {}
    digest = SourceTree(files).digest
    files[DIGEST_FILE] = f'#include "harness/model.h"\nconst char deployed_digest[17] = "{digest}";\n'
    return SourceTree(files)
