"""The portable C kernels, compiled for the host and called through ctypes."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

SOURCES = Path(__file__).parents[2] / "firmware_templates" / "kernels" / "portable"
WARNINGS = (
    "-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes "
    "-Wdouble-promotion -Werror"
).split()
GUARD = 64
"""Bytes before and after an output that a kernel must leave alone."""

# Undefined behaviour is counted, so that it fails a test instead of ending the process.
MONITOR = """
static int reports;
void __ubsan_on_report(void);
void __ubsan_on_report(void) { reports++; }
int ubsan_reports(void);
int ubsan_reports(void) { int found = reports; reports = 0; return found; }
"""


class Kernels:
    """All kernels in one shared library."""

    def __init__(self, folder: Path) -> None:
        monitor = folder / "monitor.c"
        monitor.write_text(MONITOR)
        library = folder / "kernels.so"
        sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
        command = [
            "gcc",
            *WARNINGS,
            "-O1",
            "-g",
            "-fsanitize=undefined",
            "-shared",
            "-fPIC",
            "-o",
            str(library),
        ]
        subprocess.run([*command, *sources, str(monitor)], check=True)
        self.library = ctypes.CDLL(str(library))

    def run(
        self,
        kernel: str,
        parameters: Mapping[str, int | float | np.ndarray | None],
        operands: list[np.ndarray],
        output: np.ndarray,
        in_place: int | None = None,
        scratch_bytes: int = 0,
    ) -> np.ndarray:
        """The output, of the shape and type of `output`; written over an operand where in_place says so."""
        types = {int: ctypes.c_int32, float: ctypes.c_float}
        fields = [(name, types.get(type(value), ctypes.c_void_p)) for name, value in parameters.items()]
        kept = {
            name: np.ascontiguousarray(v) if isinstance(v, np.ndarray) else v
            for name, v in parameters.items()
        }
        layout = type(kernel, (ctypes.Structure,), {"_fields_": fields})
        struct = layout(*(v.ctypes.data if isinstance(v, np.ndarray) else v for v in kept.values()))
        pattern = np.arange(output.nbytes + 2 * GUARD, dtype=np.uint8) * 37 + 11
        memory = pattern.copy()
        inside = memory[GUARD : GUARD + output.nbytes]
        operands = [np.ascontiguousarray(operand) for operand in operands]
        if in_place is not None:
            inside[:] = operands[in_place].view(np.uint8).reshape(-1)
            operands[in_place] = inside
        before = [operand.copy() for operand in operands]
        pointers = [ctypes.c_void_p(operand.ctypes.data) for operand in operands]
        scratch = np.full(scratch_bytes, 0xA5, np.uint8)
        if scratch_bytes:
            pointers.append(ctypes.c_void_p(scratch.ctypes.data))
        getattr(self.library, f"{kernel}_portable")(
            ctypes.byref(struct), *pointers, ctypes.c_void_p(inside.ctypes.data)
        )
        assert self.library.ubsan_reports() == 0, f"{kernel}: undefined behaviour, see standard error"
        assert (memory[:GUARD] == pattern[:GUARD]).all(), f"{kernel} wrote before its output"
        assert (memory[-GUARD:] == pattern[-GUARD:]).all(), f"{kernel} wrote behind its output"
        for i, (operand, copy) in enumerate(zip(operands, before, strict=True)):
            assert i == in_place or operand.tobytes() == copy.tobytes(), f"{kernel} changed its operand {i}"
        return inside.view(output.dtype).reshape(output.shape).copy()
