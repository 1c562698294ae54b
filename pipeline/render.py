"""Fill the templates."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pipeline.boards import Board
from pipeline.border import entrances, exits
from pipeline.load import Preprocessing
from pipeline.lower import Call, Constant, Layer, Place, Prepared, Program, place_bytes
from pipeline.registry import data_folder
from pipeline.schedule import Aim
from pipeline.stream import Portion
from pipeline.targets import RamNeeded, hal_sources, sections_in_ram, target_files

ROWS_HEADER = "kernels/cortex_m4/rows.h"
DIGEST_FILE = "model/digest.c"
AS_THEY_ARE = Preprocessing()
COLUMNS = 100
# More than harness, HAL and C library keep in RAM.
HARNESS_DATA_BYTES = 2048
# What each constant may lose to the next one's alignment; of wider elements their size.
ALIGNMENT_BYTES = 4
C_TYPES = {"float32": "float", "float64": "double"}


@dataclass(frozen=True)
class SourceTree:
    """Generated files as a value: relative path to text. The same input gives the same bytes."""

    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """16 hex digits over all files but the one that holds them, for the image to carry."""
        hashed = hashlib.sha256()
        for path in sorted(set(self.files) - {DIGEST_FILE}):
            hashed.update(f"{path}\0{self.files[path]}\0".encode())
        return hashed.hexdigest()[:16]


def render_sources(
    program: Program,
    board: Board,
    *,
    aim: Aim = "balanced",
    preprocessings: Sequence[Preprocessing] = (),
    code_in_ram: bool = True,
    weights_region: str | None = None,
) -> SourceTree:
    """Everything that the compiler needs for this program on this board, in memory.

    `aim`: what schedule and compiler aim at. It is written into the sources, so that the same sources
    compiled in two ways are two images.
    `preprocessings`: what makes each input of the numbers of its samples; empty: as they are.
    `code_in_ram`: whether functions that ask for it run from RAM, where the board has some that is fit.
    `weights_region`: where the constants that are copied to RAM go; None: where plan_layout has room.
    """
    templates = data_folder("firmware_templates")
    environment = _environment(templates)
    headers = sorted({f"kernels/{layer.library}/{layer.kernel}.h" for layer in program.layers})
    if program.maps:
        headers.insert(0, ROWS_HEADER)
    generated = {
        f"model/{program.name}.h": "model/model.h.j2",
        f"model/{program.name}.c": "model/model.c.j2",
        f"model/{program.name}_preprocess.h": "model/preprocess.h.j2",
        f"model/{program.name}_weights.h": "model/weights.h.j2",
        f"model/{program.name}_weights.c": "model/weights.c.j2",
        "model/deployed.c": "model/deployed.c.j2",
    }
    variables = {
        "program": program,
        "headers": headers,
        "aim": aim,
        "entrances": entrances(program, preprocessings or (AS_THEY_ARE,) * len(program.inputs)),
        "exits": exits(program),
    }
    files = {
        path: environment.get_template(template).render(variables) for path, template in generated.items()
    }
    files |= _copied(program, board, templates)
    in_ram = sections_in_ram(files.values())
    needed = ram_needed(program, board)
    target = target_files(board, needed, in_ram, code_in_ram=code_in_ram, weights_region=weights_region)
    for path, (template, own) in target.items():
        files[path] = environment.get_template(template).render(own)
    digest = SourceTree(files).digest
    files[DIGEST_FILE] = environment.get_template("model/digest.c.j2").render(digest=digest)
    return SourceTree(dict(sorted(files.items())))


def ram_needed(program: Program, board: Board) -> RamNeeded:
    """What is kept in RAM, generously: it decides into which memory each part goes."""
    inputs = sum(place_bytes(place) for place in program.inputs)
    return RamNeeded(
        data=inputs + board.stack_bytes + HARNESS_DATA_BYTES,
        arena=program.arena_bytes,
        weights=program.weights_in_ram_bytes
        + sum(max(ALIGNMENT_BYTES, constant.data.itemsize) for constant in program.constants),
    )


def _copied(program: Program, board: Board, templates: Path) -> dict[str, str]:
    """Plain C that is taken as it is: the kernels in use with all that they include, harness, HAL."""
    wanted = [
        f"kernels/{layer.library}/{layer.kernel}{suffix}"
        for layer in program.layers
        for suffix in (".c", ".S")
        if (templates / f"kernels/{layer.library}/{layer.kernel}{suffix}").is_file()
    ]
    wanted += [
        f"harness/{path.name}"
        for path in sorted((templates / "harness").iterdir())
        if path.suffix in {".c", ".h", ".S"}
    ]
    sources = {}
    while wanted:
        path = wanted.pop()
        if path in sources:
            continue
        sources[path] = (templates / path).read_text(encoding="utf-8")
        folder = Path(path).parent
        for name in re.findall(r'^#include "([^"]+)"', sources[path], re.MULTILINE):
            # Beside the file, or named from the root; what stands in neither place is generated.
            beside = (folder / name).as_posix()
            wanted += [found for found in (beside, name) if (templates / found).is_file()]
        if path.startswith("kernels/") and path.endswith(".h"):
            shared = (path.removesuffix(".h") + suffix for suffix in (".c", ".S"))
            wanted += [found for found in shared if (templates / found).is_file()]
    sources |= hal_sources(board)
    return sources


@cache
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  (C, not HTML; text from outside passes the filter `comment`)
    )
    environment.filters |= {
        "c_float": c_float,
        "c_type": c_type,
        "c_value": _c_value,
        "arrivals": _arrivals,
        "comment": comment,
        "extent": _extent,
        "extent_of_constant": _extent_of_constant,
        "formula": _formula,
        "place_bytes": place_bytes,
        "functions": _functions,
        "loop": _loop,
        "plus": _plus,
        "pointer": _pointer,
        "portion_type": _portion_type,
        "portions": _portions,
        "route": _route,
        "rows": _rows,
        "rows_of_values": _rows_of_values,
        "scratch": _scratch,
        "where": _where,
    }
    return environment


def comment(text: str) -> str:
    """Text from outside, safe inside a C comment."""
    printable = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
    return printable.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/")


def c_type(dtype: str) -> str:
    """numpy's name of a type as C's: int8 is int8_t, float32 is float."""
    return C_TYPES.get(dtype, f"{dtype}_t")


def c_float(value: float) -> str:
    """A float32 as a C literal that reads back as the same bits."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if re.search(r"[.en]", text) else f"{text}.0f"


def c_double(value: float) -> str:
    """A float64 as a C literal that reads back as the same bits."""
    return repr(float(value))


def c_int(value: int) -> str:
    """An int as a C literal; the lowest int32 has none of its own."""
    return "(-2147483647 - 1)" if value == -(2**31) else str(int(value))


def _c_value(value: int | float | str | Constant | Prepared | None, program: Program) -> str:
    if value is None:
        return "0"
    if isinstance(value, str):
        return value
    if isinstance(value, Constant | Prepared):
        return f"{program.name}_{value.name}"
    return c_float(value) if isinstance(value, float) else c_int(value)


def _where(place: Place, program: Program) -> str:
    if place.constant:
        return f"{program.name}_{place.constant}"
    return f"{program.name}_{place.buffer} + {place.offset}"


def _pointer(place: Place, program: Program, constant: bool) -> str:
    if place.constant:
        return _where(place, program)
    qualifier = "const " if constant else ""
    # The arena is aligned and so is every offset in it; void * says so to the compiler.
    return f"({qualifier}{c_type(place.dtype)} *)({qualifier}void *)({_where(place, program)})"


def _extent(place: Place) -> str:
    return c_type(place.dtype) + "".join(f"[{size}]" for size in place.shape)


def _extent_of_constant(constant: Constant) -> str:
    return c_type(constant.data.dtype.name) + "".join(f"[{size}]" for size in constant.data.shape)


def _formula(preprocessing: Preprocessing) -> str:
    """How a number of the samples becomes what the model takes, as an expression of C's float."""
    number = "byte" if preprocessing.of_bytes else "number"
    scaled = number if preprocessing.scale == 1 else f"{number} * {c_float(preprocessing.scale)}"
    offset = preprocessing.offset
    return f"{scaled} {'-' if offset < 0 else '+'} {c_float(abs(offset))}" if offset else scaled


def _plus(value: int) -> str:
    """A number to be added, such as ` + 3` or ` - 128`."""
    return f" {'-' if value < 0 else '+'} {abs(value)}" if value else ""


def _route(layer: Layer) -> str:
    arena = [str(place.offset) for place in layer.reads if place.constant is None]
    return f"{', '.join(arena)} -> {layer.writes.offset}"


def _scratch(layer: Layer, program: Program) -> str:
    return "0" if layer.scratch_offset is None else f"{program.name}_arena + {layer.scratch_offset}"


def _portions(portions: Sequence[Portion]) -> str:
    return "\n".join(_rows_of_text([f"{{{p.layer}, {p.first}, {p.count}}}" for p in portions]))


def _arrivals(arrivals: Sequence[int]) -> str:
    return "\n".join(_rows_of_text([str(count) for count in arrivals]))


def _portion_type(portions: Sequence[Portion]) -> str:
    return "uint8_t" if all(max(p.layer, p.first, p.count) < 256 for p in portions) else "uint16_t"


def _functions(call: Call) -> str:
    return ", ".join(f"layer_{layer.index}" for layer in call.layers)


def _loop(call: Call) -> str:
    """The calls of a step of one layer: a loop, where its portions are of one size."""
    (layer,), portions = call.layers, call.portions
    end = portions[-1].first + portions[-1].count
    if len(portions) == 1:
        return f"    layer_{layer.index}(0, {end});"
    count = portions[0].count
    rest = str(count) if end % count == 0 else f"row + {count} > {end} ? {end} - row : {count}"
    head = f"    for (int32_t row = 0; row < {end}; row += {count})"
    return f"{head}\n        layer_{layer.index}(row, {rest});"


def _rows(data: np.ndarray) -> str:
    return "\n".join(_lines(data))


def _lines(data: np.ndarray) -> Iterator[str]:
    literals: Mapping[str, Any] = {"float32": c_float, "float64": c_double}
    literal = literals.get(data.dtype.name, c_int)
    return _rows_of_text([literal(value) for value in data.reshape(-1).tolist()])


def _rows_of_values(values: Sequence[int | float]) -> str:
    texts = [c_float(value) if isinstance(value, float) else c_int(value) for value in values]
    return "\n".join(f"    {row}" for row in _rows_of_text(texts))


def _rows_of_text(texts: Sequence[str]) -> Iterator[str]:
    """Initializers in rows of about COLUMNS characters, each column as wide as the widest of them."""
    width = max(map(len, texts), default=1)
    per_row = max(1, COLUMNS // (width + 2))
    for start in range(0, len(texts), per_row):
        row = ", ".join(text.rjust(width) for text in texts[start : start + per_row])
        yield f"    {row},"
