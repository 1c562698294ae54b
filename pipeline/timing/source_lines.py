"""Which line of which source file an instruction comes from, by the image's DWARF."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from elftools.elf.elffile import ELFFile


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of a source file, relative to the generated tree."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class SourceLines:
    """The line table: from each address on, a line, or None where the compiler says nothing."""

    addresses: tuple[int, ...]
    lines: tuple[SourceLine | None, ...]

    def at(self, address: int) -> SourceLine | None:
        position = bisect_right(self.addresses, address) - 1
        return self.lines[position] if position >= 0 else None


def read_source_lines(elf: Path) -> SourceLines:
    """The line table of an image; empty where it carries none."""
    found: dict[int, SourceLine | None] = {}
    with elf.open("rb") as file:
        image = ELFFile(file)
        if image.has_dwarf_info():
            dwarf = image.get_dwarf_info()
            for unit in dwarf.iter_CUs():
                program = dwarf.line_program_for_CU(unit)
                if program is not None:
                    _read_unit(program, found)
    addresses = sorted(found)
    return SourceLines(tuple(addresses), tuple(found[address] for address in addresses))


def _read_unit(program: Any, found: dict[int, SourceLine | None]) -> None:
    names = _file_names(program)
    sequence: dict[int, SourceLine | None] = {}
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if state.end_sequence:
            # Sections that the linker threw away keep their tables, at address 0.
            if sequence and min(sequence) != 0:
                found.update(sequence)
                found.setdefault(state.address, None)
            sequence = {}
        elif state.line:
            sequence[state.address] = SourceLine(names.get(state.file, "?"), state.line)


def _file_names(program: Any) -> dict[int, str]:
    """DWARF 5 counts files and folders from 0, where 0 is the unit itself; older ones from 1."""
    header = program.header
    five = header.version >= 5
    folders = [_text(folder) for folder in header.include_directory]
    names = {}
    for number, entry in enumerate(header.file_entry, start=0 if five else 1):
        folder = entry.dir_index if five else entry.dir_index - 1
        path = PurePosixPath(_text(entry.name))
        if not path.is_absolute() and 0 <= folder < len(folders):
            path = PurePosixPath(folders[folder]) / path
        parts = [part for part in path.parts if part != "."]
        # Headers and sources of the compiler's own library keep no more than their name.
        names[number] = path.name if path.is_absolute() else "/".join(parts)
    return names


def _text(name: Any) -> str:
    name = getattr(name, "DW_LNCT_path", name)
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
